//! Verifies the files of an export, in their order.
//!
//! - `file` PURE: a file as far as it is read, compared with its manifest

mod file;

use std::io::{self, Read};
use std::sync::Arc;

use jiff::Timestamp;
use schemas::digest::Digest;
use schemas::envelope::Envelope;
use serde::Serialize;

use super::format::{BlockKind, Record, next_stream_digest};
use super::manifest::{End, Header, Manifest};
use super::reader::{Block, Next, Reader};
use crate::fault::Fault;
use crate::findings::Findings;
use crate::heads::KeptHeads;
use crate::message::{Message, Place};
use crate::trust::Trust;
use crate::verifier::{Scope, Verifier};
use file::{Counted, File, differences, differing_keys};

/// What an export proves.
#[derive(Debug, Serialize)]
pub struct ExportFindings {
    /// The files, in the order in which they were read.
    pub files: Vec<FileReport>,
    /// Whether the export reaches the end of every stream, as the stream's leader reported it, and no file is missing.
    pub is_complete: bool,
    /// The findings of the messages and files.
    pub findings: Findings,
}

/// A file that was read.
#[derive(Debug, Clone, Serialize)]
pub struct FileReport {
    /// Its name.
    pub name: String,
    /// Its number in the export; 0 if it has no readable header.
    pub number: u64,
    /// Messages that were stored before are not in the export; `None` if it begins with the first message.
    pub from: Option<Timestamp>,
    /// Where the file ends; `None` if it ends with the last message.
    pub until: Option<Timestamp>,
    /// Its records.
    pub records: u64,
    /// Its length in bytes.
    pub bytes: u64,
}

/// Verifies files one after the other.
#[derive(Debug)]
pub struct ExportVerifier<'a> {
    verifier: Verifier<'a>,
    files: Vec<FileReport>,
    /// Number and digest of the last file.
    last: Option<(u64, Digest)>,
    first_number: u64,
    is_complete: bool,
}

impl<'a> ExportVerifier<'a> {
    /// Begins a verification.
    #[must_use]
    pub fn new(trust: &'a Trust) -> Self {
        Self {
            verifier: Verifier::new(trust, Scope::Whole),
            files: Vec::new(),
            last: None,
            first_number: 0,
            is_complete: true,
        }
    }

    /// Reads the next file. `progress` gets the position in it.
    ///
    /// # Errors
    /// The input cannot be read. What is wrong with its content is a fault.
    pub fn file(&mut self, name: &str, input: impl Read, progress: &mut dyn FnMut(u64)) -> io::Result<()> {
        let mut reader = Reader::new(input);
        let mut file = File {
            name,
            shared_name: Arc::from(name),
            header: None,
            counted: Vec::new(),
            records: 0,
            bytes: 0,
            end: None,
            manifest: None,
        };
        loop {
            match reader.next()? {
                Next::Block(block) => self.block(&mut file, &block),
                Next::Damaged { offset, what } => {
                    let what = format!("at byte {offset}, {}: {what}", file.position());
                    self.fail(&file, what);
                    break;
                }
                Next::End => break,
            }
            progress(reader.offset());
        }
        self.end_of_file(&file);
        self.files.push(FileReport {
            name: name.to_owned(),
            number: file.header.as_ref().map_or(0, |header| header.number),
            from: file.header.as_ref().and_then(|header| header.from),
            until: file.header.as_ref().and_then(|header| header.until),
            records: file.records,
            bytes: reader.offset(),
        });
        Ok(())
    }

    fn fail(&mut self, file: &File<'_>, what: String) {
        let record = (file.records > 0).then_some(file.records);
        self.verifier.add_fault(Fault::of_file(file.name, record, what));
    }

    fn block(&mut self, file: &mut File<'_>, block: &Block) {
        if !block.is_valid {
            let what = format!(
                "block {} at byte {}, {}: its digest does not match its bytes and the block before: it was altered, moved, or the \
                 one before was removed",
                block.number,
                block.offset,
                file.position()
            );
            self.fail(file, what);
        }
        if file.manifest.is_some() {
            let what = format!(
                "block {} follows the signed manifest, which must be the last",
                block.number
            );
            self.fail(file, what);
            return;
        }
        let content = match &block.content {
            Ok(content) => content,
            Err(error) => {
                let what = format!(
                    "block {} at byte {}, {}: {error}",
                    block.number,
                    block.offset,
                    file.position()
                );
                self.fail(file, what);
                return;
            }
        };
        match block.kind {
            BlockKind::Header => self.header(file, block, content),
            BlockKind::Records => self.records(file, block, content),
            BlockKind::End => match serde_json::from_slice::<End>(content) {
                Ok(end) => {
                    if (end.records, end.bytes) != (file.records, file.bytes) {
                        let what = format!(
                            "the end record counts {} records of {} bytes, the file has {} of {}",
                            end.records, end.bytes, file.records, file.bytes
                        );
                        self.fail(file, what);
                    }
                    file.end = Some((end, block.digest));
                }
                Err(error) => self.fail(file, format!("the end record is unreadable: {error}")),
            },
            BlockKind::Manifest => self.manifest(file, block, content),
        }
    }

    fn header(&mut self, file: &mut File<'_>, block: &Block, content: &[u8]) {
        if block.number != 1 {
            self.fail(file, format!("block {} is a second header", block.number));
            return;
        }
        let header: Header = match serde_json::from_slice(content) {
            Ok(header) => header,
            Err(error) => {
                self.fail(file, format!("the header is unreadable: {error}"));
                return;
            }
        };
        let here = &self.verifier.trust().here.site;
        if header.site != *here {
            let what = format!(
                "it is an export of site {}, and the trusted keys are for site {here}",
                header.site
            );
            self.fail(file, what);
        }
        match self.last {
            None => {
                self.first_number = header.number;
                if header.number > 1 || header.from.is_some() {
                    self.verifier.start_late();
                }
            }
            Some((number, digest)) if header.number != number + 1 || header.previous != Some(digest) => {
                let what = format!(
                    "it is file {} of an export and does not continue file {number} before it: a file is missing, altered, or of \
                     another export",
                    header.number
                );
                self.fail(file, what);
            }
            Some(_) => {}
        }
        if (header.number == 1) != header.previous.is_none() {
            self.fail(file, "only file 1 has no file before it".to_owned());
        }
        if header.is_selection {
            self.verifier.restrict();
        }
        for stream in &header.streams {
            self.verifier.begin(stream);
        }
        file.counted = vec![Counted::default(); header.streams.len()];
        file.header = Some(header);
    }

    fn records(&mut self, file: &mut File<'_>, block: &Block, content: &[u8]) {
        let Some(header) = file.header.clone() else {
            self.fail(
                file,
                format!(
                    "block {} has records, and there is no header before it",
                    block.number
                ),
            );
            return;
        };
        if file.end.is_some() {
            self.fail(
                file,
                format!("block {} has records after the end record", block.number),
            );
        }
        let Some((first, mut rest)) = content.split_first_chunk::<8>() else {
            self.fail(file, format!("block {} has no record", block.number));
            return;
        };
        let first = u64::from_be_bytes(*first);
        if first != file.records + 1 {
            let what = format!(
                "block {} begins with record {first} and follows record {}: a block was removed, repeated or moved",
                block.number, file.records
            );
            self.fail(file, what);
            file.records = first.saturating_sub(1);
        }
        while !rest.is_empty() {
            let Some((record, after)) = Record::decode(rest) else {
                let what = format!(
                    "block {}, {}: the next record is unreadable",
                    block.number,
                    file.position()
                );
                self.fail(file, what);
                return;
            };
            let bytes = rest.get(..rest.len() - after.len()).unwrap_or_default();
            rest = after;
            self.record(file, &header, &record, bytes);
        }
    }

    fn record(&mut self, file: &mut File<'_>, header: &Header, record: &Record<'_>, bytes: &[u8]) {
        file.records += 1;
        file.bytes += bytes.len() as u64;
        let index = usize::from(record.stream);
        let (Some(stream), Some(counted)) = (header.streams.get(index), file.counted.get_mut(index)) else {
            self.fail(
                file,
                "the record is of a stream that the header does not have".to_owned(),
            );
            return;
        };
        if counted.messages == 0 {
            counted.first = record.sequence;
        }
        counted.messages += 1;
        counted.last = record.sequence;
        counted.digest = Some(next_stream_digest(counted.digest, bytes));
        let message = Message {
            stream,
            subject: record.subject,
            sequence: record.sequence,
            stored_at: record.stored_at,
            bytes: record.bytes,
            place: Place {
                file: Some(Arc::clone(&file.shared_name)),
                record: Some(file.records),
            },
        };
        self.verifier.push(&message);
        if header
            .from
            .is_some_and(|from| record.stored_at < from && counted.messages == 1 && header.number == 1)
        {
            self.fail(
                file,
                "the record is older than the begin of the export".to_owned(),
            );
        }
    }

    fn manifest(&mut self, file: &mut File<'_>, block: &Block, content: &[u8]) {
        let trust = self.verifier.trust();
        let read = Envelope::decode(content).and_then(|envelope| {
            if trust.exporters.is_empty() {
                envelope.read::<Manifest>()
            } else {
                envelope.verify::<Manifest>(&trust.exporters)
            }
        });
        let manifest = match read {
            Ok(manifest) => manifest,
            Err(error) => {
                self.fail(file, format!("the signed manifest: {error}"));
                return;
            }
        };
        if trust.exporters.is_empty() {
            self.verifier.add_not_covered(format!(
                "the signature of the manifest of {}: no key is trusted under exporters, so a person who passed the file on can have left \
                 out whole ends of streams",
                file.name
            ));
        }
        file.manifest = Some((manifest, block.digest));
    }

    fn end_of_file(&mut self, file: &File<'_>) {
        if file.header.is_none() {
            self.fail(file, "it has no header".to_owned());
        }
        if file.end.is_none() {
            self.fail(
                file,
                format!(
                    "it ends without an end record, {}: it was cut off",
                    file.position()
                ),
            );
        }
        let Some((manifest, digest)) = &file.manifest else {
            self.fail(file, "it ends without a signed manifest".to_owned());
            self.last = file
                .header
                .as_ref()
                .map(|header| (header.number, Digest([0; 32])));
            return;
        };
        let differing = differences(file, manifest);
        for what in differing {
            self.fail(file, what);
        }
        self.compare_chains(file, manifest);
        self.note_ends(file, manifest);
        self.last = Some((manifest.header.number, *digest));
    }

    /// Compares heads and keys, which the exporter noted without verifying anything.
    fn compare_chains(&mut self, file: &File<'_>, manifest: &Manifest) {
        let heads = self.verifier.heads();
        let listed = &manifest.heads;
        let mut differing = Vec::new();
        differing.extend(differing_keys(&heads.chunks, &listed.chunks));
        differing.extend(differing_keys(&heads.receipts, &listed.receipts));
        differing.extend(differing_keys(&heads.entries, &listed.entries));
        differing.extend(differing_keys(&heads.orders, &listed.orders));
        if !differing.is_empty() {
            let what = format!("the signed manifest has other heads of {}", differing.join(", "));
            self.fail(file, what);
        }
        let trust = self.verifier.trust();
        let unknown = manifest
            .rules
            .iter()
            .filter(|rule| !trust.rules.contains(rule))
            .count();
        if unknown > 0 {
            self.verifier.add_not_covered(format!(
                "{unknown} limits of keys in the manifest of {} that the trust file does not have: the auditor who exported knows of a \
                 rotation or revocation",
                file.name
            ));
        }
        if self.first_number == 1 {
            let observed = self.verifier.keys().list();
            let missing = observed.iter().find(|key_use| !manifest.keys.contains(key_use));
            if let Some(key_use) = missing {
                let what = format!(
                    "the signed manifest has another use of {} in {} than the messages",
                    key_use.key, key_use.stream
                );
                self.fail(file, what);
            }
        }
    }

    fn note_ends(&mut self, file: &File<'_>, manifest: &Manifest) {
        for part in &manifest.streams {
            if let Some(last) = part.missed {
                self.is_complete = false;
                self.verifier.add_not_covered(format!(
                    "{}: the end of {}: the exporter read up to sequence {}, and its leader had {last}",
                    file.name, part.stream, part.last
                ));
            } else if part.is_end_unknown {
                self.is_complete = false;
                self.verifier.add_not_covered(format!(
                    "{}: the end of {}: the exporter could not ask for its last sequence",
                    file.name, part.stream
                ));
            }
        }
        if let Some(from) = manifest.header.from
            && manifest.header.number == 1
        {
            self.verifier
                .add_not_covered(format!("what was stored before {from}, when the export begins"));
        }
        if manifest.header.is_selection && self.files.is_empty() {
            self.verifier
                .add_not_covered("the streams that are not in the export: it is a selection".to_owned());
        }
    }

    /// Ends the verification.
    #[must_use]
    pub fn finish(mut self, since: Option<&KeptHeads>) -> ExportFindings {
        if self.first_number > 1 {
            self.is_complete = false;
            let what = format!(
                "files 1 to {} of the export, which were not given",
                self.first_number - 1
            );
            self.verifier.add_not_covered(what);
        }
        ExportFindings {
            files: self.files,
            is_complete: self.is_complete,
            findings: self.verifier.finish(since),
        }
    }
}
