//! Header, end record and signed manifest of an export file.

use jiff::Timestamp;
use schemas::digest::Digest;
use schemas::envelope::Payload;
use schemas::name::SiteName;
use schemas::sign::PublicKey;
use serde::{Deserialize, Serialize};

use crate::findings::KeyUse;
use crate::heads::KeptHeads;
use crate::message::StreamId;
use crate::trust::KeyRule;

/// The header of a file: which part of which streams it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The site.
    pub site: SiteName,
    /// The number of the file in the export: 1, 2, 3, …
    pub number: u64,
    /// The digest of the last block of the file before; `None` in the first one.
    pub previous: Option<Digest>,
    /// Messages that were stored before are not in the export; `None` if it begins with the first message.
    pub from: Option<Timestamp>,
    /// The file ends before the first message of each stream that was stored at this time or later; `None` if it ends with the
    /// last message.
    pub until: Option<Timestamp>,
    /// The streams, in the order of their messages in the file.
    pub streams: Vec<StreamId>,
    /// Whether streams were left out by choice.
    pub is_selection: bool,
}

/// The end record: after it there are no messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// The number of records.
    pub records: u64,
    /// The length of all records in bytes.
    pub bytes: u64,
}

/// The signed manifest of a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The header again.
    pub header: Header,
    /// The end record again.
    pub end: End,
    /// The digest of the end record's block, which covers every byte before it.
    pub content: Digest,
    /// What the file holds of each stream, in the order of the header.
    pub streams: Vec<StreamPart>,
    /// The history of the keys as the exporter trusts it: rotation and revocation.
    pub rules: Vec<KeyRule>,
    /// The use of each key, from the begin of the export to the end of this file.
    pub keys: Vec<KeyUse>,
    /// The heads of all chains at the end of this file. The exporter read them, and did not verify them.
    pub heads: KeptHeads,
    /// The key that signed.
    pub key: PublicKey,
}

/// What a file holds of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamPart {
    /// The stream.
    pub stream: StreamId,
    /// The number of messages.
    pub messages: u64,
    /// The first sequence; 0 if there is none.
    pub first: u64,
    /// The last sequence; 0 if there is none.
    pub last: u64,
    /// The sequence at which the next file begins.
    pub next: u64,
    /// The running digest of the records; `None` if there is none.
    pub digest: Option<Digest>,
    /// Set if the file does not hold everything that it should: the last sequence that the stream's leader reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<u64>,
    /// Whether the leader's last sequence is not known, so that the end of the stream is not either.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_end_unknown: bool,
}

impl Payload for Manifest {
    const KIND: &'static str = "slacktide.export.v1";
    fn signer(&self) -> &PublicKey {
        &self.key
    }
}
