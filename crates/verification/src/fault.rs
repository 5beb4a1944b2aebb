//! A located violation.

use serde::Serialize;

use crate::message::{Message, StreamId};

/// What kind of evidence a fault is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultClass {
    /// A file of an export: its bytes, end, manifest or link.
    File,
    /// One message: its schema, signature, key, body or totals.
    Message,
    /// The order of messages: a gap, a fork, a repetition, a missing head.
    Chain,
    /// A receipt or confirmation that does not agree with what was sent.
    Receipt,
    /// A request, its decisions and its one reply.
    Request,
    /// Load evidence that the gate's policy does not allow.
    Load,
}

impl FaultClass {
    /// Returns its name for display.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Message => "message",
            Self::Chain => "chain",
            Self::Receipt => "receipt",
            Self::Request => "request",
            Self::Load => "load",
        }
    }
}

/// A fault with its position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The kind of evidence.
    pub class: FaultClass,
    /// The file of an export; `None` for a live stream.
    pub file: Option<String>,
    /// The record in the file, counted from 1; `None` if it is in no record, or the message was not read from a file.
    pub record: Option<u64>,
    /// The stream, as `data.insurer-a`; empty if it is in none.
    pub stream: String,
    /// Subject of the message; empty if it is not one message.
    pub subject: String,
    /// Its sequence in the stream; 0 if a message is missing.
    pub sequence: u64,
    /// The epoch and number that it claims, if it is a readable chunk.
    pub chunk: Option<(u32, u64)>,
    /// What is wrong.
    pub what: String,
}

impl Fault {
    /// Creates a fault of a message.
    #[must_use]
    pub fn of_message(message: &Message<'_>, class: FaultClass, what: String) -> Self {
        let chunk = match message.stream.stream {
            schemas::stream::Stream::Data => schemas::chunk::read_untrusted(message.bytes)
                .map(|(manifest, _)| (manifest.epoch, manifest.number)),
            _ => None,
        };
        Self {
            class,
            file: message.place.file.as_deref().map(str::to_owned),
            record: message.place.record,
            stream: message.stream.to_string(),
            subject: message.subject.to_owned(),
            sequence: message.sequence,
            chunk,
            what,
        }
    }

    /// Creates a fault of a stream or chain that lacks a message.
    #[must_use]
    pub fn of_missing(stream: Option<&StreamId>, subject: String, class: FaultClass, what: String) -> Self {
        Self {
            class,
            file: None,
            record: None,
            stream: stream.map_or_else(String::new, ToString::to_string),
            subject,
            sequence: 0,
            chunk: None,
            what,
        }
    }

    /// Creates a fault of a file.
    #[must_use]
    pub fn of_file(file: &str, record: Option<u64>, what: String) -> Self {
        Self {
            class: FaultClass::File,
            file: Some(file.to_owned()),
            record,
            stream: String::new(),
            subject: String::new(),
            sequence: 0,
            chunk: None,
            what,
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}")?;
            if let Some(record) = self.record {
                write!(f, " record {record}")?;
            }
            if self.subject.is_empty() {
                return write!(f, ": {}", self.what);
            }
            write!(f, ", ")?;
        }
        let place = if self.subject.is_empty() {
            &self.stream
        } else {
            &self.subject
        };
        write!(f, "{place} at sequence {}", self.sequence)?;
        if let Some((epoch, number)) = self.chunk {
            write!(f, " (epoch {epoch} number {number})")?;
        }
        write!(f, ": {}", self.what)
    }
}
