//! A message of the exchange with its place.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use schemas::name::PartyName;
use schemas::stream::Stream;
use serde::{Deserialize, Serialize};

/// One party's stream of a kind. Its text is `data.insurer-a`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StreamId {
    /// The kind.
    pub stream: Stream,
    /// The party.
    pub party: PartyName,
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.stream, self.party)
    }
}

impl TryFrom<String> for StreamId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let invalid = || "a stream is KIND.PARTY, for example data.insurer-a".to_owned();
        let (kind, party) = text.split_once('.').ok_or_else(invalid)?;
        Ok(Self {
            stream: Stream::from_token(kind).ok_or_else(invalid)?,
            party: party.parse().map_err(|_| invalid())?,
        })
    }
}

impl From<StreamId> for String {
    fn from(id: StreamId) -> Self {
        id.to_string()
    }
}

/// Where a message was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The file of an export; `None` for a live stream.
    pub file: Option<Arc<str>>,
    /// The record in the file, counted from 1.
    pub record: Option<u64>,
}

/// A stored message.
#[derive(Debug, Clone)]
pub struct Message<'a> {
    /// Its stream.
    pub stream: &'a StreamId,
    /// Its subject.
    pub subject: &'a str,
    /// Its sequence in the stream.
    pub sequence: u64,
    /// When the exchange stored it.
    pub stored_at: Timestamp,
    /// The envelope.
    pub bytes: &'a [u8],
    /// Where it was read.
    pub place: Place,
}
