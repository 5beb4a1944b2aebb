//! An export in memory: its messages, written to files again, and the findings of a verification.

use audit::export::claims::Claims;
use audit::export::writer::Writer;
use exchange::Stored;
use jiff::Timestamp;
use schemas::digest::Digest;
use schemas::encryption::DecryptionKeys;
use schemas::sign::SigningKey;
use verification::export::format::{BlockKind, Record};
use verification::export::manifest::Header;
use verification::export::reader::{Next, Reader};
use verification::export::verify::{ExportFindings, ExportVerifier};
use verification::{Fault, StreamId, Trust};

use super::rich_site::RichExport;

/// Name and bytes of each file.
pub(super) type Files = Vec<(String, Vec<u8>)>;

/// The messages of an export, by stream.
#[derive(Clone)]
pub(super) struct Messages {
    pub(super) streams: Vec<(StreamId, Vec<Stored>)>,
}

/// Verifies files as `slacktide-verify` does.
pub(super) fn verify_files(files: &Files, trust: &Trust) -> ExportFindings {
    let mut verifier = ExportVerifier::new(trust);
    for (name, bytes) in files {
        verifier.file(name, bytes.as_slice(), &mut |_| {}).unwrap();
    }
    verifier.finish(None)
}

pub(super) fn trust(export: &RichExport) -> Trust {
    export.trust.clone().trust(DecryptionKeys::default())
}

/// Describes faults for the message of a failed test.
pub(super) fn list(faults: &[Fault]) -> String {
    let lines: Vec<String> = faults.iter().take(20).map(ToString::to_string).collect();
    lines.join("\n")
}

impl Messages {
    /// Reads the messages of all files.
    pub(super) fn of(files: &Files) -> Self {
        let mut streams: Vec<(StreamId, Vec<Stored>)> = Vec::new();
        for (_, bytes) in files {
            let mut reader = Reader::new(bytes.as_slice());
            let mut header = None;
            while let Next::Block(block) = reader.next().unwrap() {
                let content = block.content.unwrap();
                match block.kind {
                    BlockKind::Header => {
                        let read: Header = serde_json::from_slice(&content).unwrap();
                        if streams.is_empty() {
                            streams = read
                                .streams
                                .iter()
                                .map(|stream| (stream.clone(), Vec::new()))
                                .collect();
                        }
                        header = Some(read);
                    }
                    BlockKind::Records => {
                        let header = header.as_ref().unwrap();
                        let mut rest = &content[8..];
                        while let Some((record, after)) = Record::decode(rest) {
                            let stream = &header.streams[usize::from(record.stream)];
                            let (_, messages) =
                                streams.iter_mut().find(|(known, _)| known == stream).unwrap();
                            messages.push(Stored {
                                subject: record.subject.to_owned(),
                                sequence: record.sequence,
                                stored_at: record.stored_at,
                                trace: None,
                                bytes: record.bytes.to_vec().into(),
                            });
                            rest = after;
                        }
                    }
                    BlockKind::End | BlockKind::Manifest => {}
                }
            }
        }
        Self { streams }
    }

    /// Returns the messages of a stream.
    pub(super) fn of_stream(&mut self, name: &str) -> &mut Vec<Stored> {
        let found = self
            .streams
            .iter_mut()
            .find(|(stream, _)| stream.to_string() == name);
        &mut found.unwrap_or_else(|| panic!("no stream {name}")).1
    }

    /// Writes all messages to one file with valid digests, signed by this key.
    pub(super) fn write(&self, key: &SigningKey) -> Files {
        self.write_until(key, None)
    }

    /// Writes the messages before a time to one file, and the others to a second one.
    pub(super) fn write_until(&self, key: &SigningKey, split: Option<Timestamp>) -> Files {
        let mut files = Files::new();
        let mut previous: Option<Digest> = None;
        let mut claims = Claims::default();
        let parts = if split.is_some() { 2 } else { 1 };
        for number in 1..=parts {
            let header = Header {
                site: "main".parse().unwrap(),
                number,
                previous,
                from: None,
                until: if number == 1 { split } else { None },
                streams: self.streams.iter().map(|(stream, _)| stream.clone()).collect(),
                is_selection: false,
            };
            let mut writer = Writer::new(Vec::new(), header).unwrap();
            for (index, (stream, messages)) in self.streams.iter().enumerate() {
                for message in messages {
                    let is_first = split.is_none_or(|split| message.stored_at < split);
                    if is_first == (number == 1) {
                        writer.push(index, message).unwrap();
                        claims.add(stream, message);
                    }
                }
            }
            let written = writer.finish(&claims, &[], key).unwrap();
            previous = Some(written.digest);
            files.push((format!("{number:06}.slx"), written.out));
        }
        files
    }
}
