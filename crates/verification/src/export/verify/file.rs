//! PURE: a file as far as it is read, compared with its manifest.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemas::digest::Digest;

use crate::export::manifest::{End, Header, Manifest, StreamPart};
use crate::message::StreamId;

/// What a file holds of a stream, as it is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) messages: u64,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) digest: Option<Digest>,
}

/// The state of one file.
pub(super) struct File<'n> {
    pub(super) name: &'n str,
    pub(super) shared_name: Arc<str>,
    pub(super) header: Option<Header>,
    pub(super) counted: Vec<Counted>,
    pub(super) records: u64,
    pub(super) bytes: u64,
    pub(super) end: Option<(End, Digest)>,
    pub(super) manifest: Option<(Manifest, Digest)>,
}

impl File<'_> {
    /// Describes the position after the last record.
    pub(super) fn position(&self) -> String {
        let streams = self
            .header
            .as_ref()
            .map(|header| header.streams.as_slice())
            .unwrap_or_default();
        let last = streams
            .iter()
            .zip(&self.counted)
            .rfind(|(_, counted)| counted.messages > 0);
        match last {
            None => "before the first record".to_owned(),
            Some((stream, counted)) => {
                format!(
                    "after record {} ({stream} sequence {})",
                    self.records, counted.last
                )
            }
        }
    }
}

/// Returns how a manifest differs from the file.
pub(super) fn differences(file: &File<'_>, manifest: &Manifest) -> Vec<String> {
    let mut list = Vec::new();
    if file.header.as_ref() != Some(&manifest.header) {
        list.push("the signed manifest has another header than the file".to_owned());
    }
    if file.end.as_ref().map(|(end, digest)| (end, *digest)) != Some((&manifest.end, manifest.content)) {
        list.push(
            "the signed manifest is not that of these bytes: it has another end record or digest".to_owned(),
        );
    }
    let streams: &[StreamId] = file
        .header
        .as_ref()
        .map(|header| header.streams.as_slice())
        .unwrap_or_default();
    for (index, stream) in streams.iter().enumerate() {
        let found = file.counted.get(index).cloned().unwrap_or_default();
        let listed = manifest.streams.get(index);
        if !listed.is_some_and(|part| is_part(part, stream, &found)) {
            list.push(format!(
                "the signed manifest lists other messages of {stream} than the file has: {} from sequence {} to {}",
                found.messages, found.first, found.last
            ));
        }
    }
    if manifest.streams.len() != streams.len() {
        list.push("the signed manifest lists other streams than the header".to_owned());
    }
    list
}

fn is_part(part: &StreamPart, stream: &StreamId, found: &Counted) -> bool {
    let listed = Counted {
        messages: part.messages,
        first: part.first,
        last: part.last,
        digest: part.digest,
    };
    part.stream == *stream && listed == *found
}

/// Returns the keys whose values are not the same in another map.
pub(super) fn differing_keys<V: PartialEq>(
    found: &BTreeMap<String, V>,
    listed: &BTreeMap<String, V>,
) -> Vec<String> {
    let differs = |(key, value): &(&String, &V)| listed.get(*key) != Some(value);
    found.iter().filter(differs).map(|(key, _)| key.clone()).collect()
}
