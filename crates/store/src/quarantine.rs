//! The quarantine of a store, and how entries leave it.
//!
//! It keeps three kinds of entries: a message that could not be opened, a row that a constraint refused, and a
//! reject, which records a row that the source could not send. None of them stops the other rows. An operator ends
//! each entry: it is stored after all, or discarded with a reason.
//!
//! **A retry stores late.** A message is opened again with the current trusted keys and goes through [`Store::store`]
//! like any chunk. A row goes through the same merge as its chunk, under its chunk's number. So a retry after newer
//! chunks overwrites nothing newer, and a deleted row stays deleted: tombstones above the lowest chunk in quarantine
//! are kept for it. Every step may be repeated, and concurrent retries have the same result.
//!
//! **A receipt never covers more than is stored.** When the last part of a chunk is stored, its number leaves the
//! receipt's list of quarantined numbers. A discarded part is not stored, so its number stays in the list.
//!
//! - [`decide`] PURE: what may be retried, the outcomes, the recounted frontier
//! - [`waiting`] PURE: rows that wait for another row, and when they are retried

pub mod decide;
pub mod waiting;

use async_trait::async_trait;
use jiff::Timestamp;
use schemas::load::Load;
use schemas::manifest::{Manifest, Totals};
use schemas::name::{FeedName, Lane};
use serde::Serialize;

use crate::arrival::Arrival;
use crate::chunk_number::ChunkNumber;
use crate::error::Result;
use crate::ledger::Judgement;
use crate::port::Store;

/// The kind of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A message that could not be opened.
    Message,
    /// A row that the receiver's constraints refused.
    Row,
    /// A row that the source could not send; only its key, column and reason arrived.
    Reject,
}

impl Kind {
    /// Returns the word for people and tables.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Row => "row",
            Self::Reject => "reject",
        }
    }
}

/// How an entry left the quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// It was stored, by the rule that the newest version of a row wins.
    Released,
    /// A later epoch superseded its chunk; there was nothing to store.
    LeftBehind,
    /// An operator discarded it.
    Discarded,
}

impl Ending {
    /// Returns the word for people and tables.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::LeftBehind => "left_behind",
            Self::Discarded => "discarded",
        }
    }

    /// Reads the word; an unknown word is an end too.
    #[must_use]
    pub fn of_word(word: &str) -> Self {
        match word {
            "released" => Self::Released,
            "left_behind" => Self::LeftBehind,
            _ => Self::Discarded,
        }
    }
}

/// Who decides about an entry, and why. Kept permanently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The person who decided.
    pub actor: String,
    /// The reason.
    pub reason: String,
}

/// The end of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ended {
    /// How it ended.
    pub ending: Ending,
    /// SHA-256 of the bytes that were dropped.
    pub digest: Option<String>,
    /// The person who decided.
    pub actor: String,
    /// The reason.
    pub reason: String,
    /// When it ended, by the database's clock.
    pub at: Timestamp,
}

/// An entry without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The lane.
    pub lane: Lane,
    /// 64 hex digits; the same entry always has the same id.
    pub id: String,
    /// The kind.
    pub kind: Kind,
    /// The number of its chunk; for a message the number that it claims, if readable.
    pub chunk_number: Option<ChunkNumber>,
    /// The row in the chunk, or the reject in the manifest, counted from 0.
    pub ordinal: Option<u64>,
    /// The exchange's sequence of the message.
    pub sequence: u64,
    /// The cause, without any value.
    pub reason: String,
    /// When the exchange stored the message.
    pub exchanged_at: Timestamp,
    /// Since when it is kept, by the database's clock.
    pub since: Timestamp,
    /// The size of its content; 0 once it has ended.
    pub bytes: u64,
    /// Set once it has ended.
    pub ended: Option<Ended>,
    /// Set while it is retried without an operator.
    pub waiting: Option<waiting::Waiting>,
}

/// The content of an entry: personal data.
#[derive(Debug, Clone, PartialEq)]
pub struct Content {
    /// A message as published, a packed row, or a reject in JSON.
    pub bytes: Vec<u8>,
    /// For a row: its chunk's manifest, which names the columns.
    pub manifest: Option<Manifest>,
}

/// Selects entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntryFilter {
    /// Only this feed.
    pub feed: Option<FeedName>,
    /// Ids with this prefix, in hex digits.
    pub prefix: String,
    /// Also entries that have ended.
    pub ended: bool,
    /// The maximum number of entries; `None`: all.
    pub limit: Option<u32>,
}

/// The number of entries of one kind of a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantineCount {
    /// The lane.
    pub lane: Lane,
    /// The kind.
    pub kind: Kind,
    /// The number of entries.
    pub count: u64,
    /// When the oldest entry was quarantined, by the database's clock.
    pub oldest: Timestamp,
}

/// The outcome of a retry or a discard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum RetryOutcome {
    /// Its rows are stored, unless a newer version is stored.
    Released {
        /// Rows in it.
        rows: u64,
        /// For a message: rows that constraints refused now; each has its own entry.
        refused: u64,
    },
    /// A later epoch superseded its chunk: there was nothing to store.
    LeftBehind,
    /// It stays: the cause still holds.
    Stays {
        /// The cause.
        reason: String,
    },
    /// It stays until something else arrives or an operator acts.
    Waits {
        /// What it waits for.
        reason: String,
    },
    /// It stays: storing it would change the lane's stored history.
    Contradicts {
        /// The contradiction.
        reason: String,
    },
    /// No retry can store it here.
    Never {
        /// The remedy.
        reason: String,
    },
    /// It was discarded now.
    Discarded,
    /// It had ended before; nothing changed.
    Ended {
        /// How it ended.
        ending: Ending,
    },
    /// There is no such entry.
    Unknown,
}

impl RetryOutcome {
    /// Returns whether the entry is out of quarantine.
    #[must_use]
    pub fn is_out(&self) -> bool {
        matches!(
            self,
            Self::Released { .. } | Self::LeftBehind | Self::Discarded | Self::Ended { .. }
        )
    }
}

/// The quarantine of a store. Each operation is one transaction, or changes nothing when repeated.
#[async_trait]
pub trait Quarantine: Store {
    /// Returns the selected entries, by lane and chunk number.
    async fn entries(&self, wanted: &EntryFilter) -> Result<Vec<Entry>>;

    /// Returns the content of an entry; `None` if there is no such entry or it has ended.
    async fn content(&self, lane: &Lane, id: &str) -> Result<Option<Content>>;

    /// Returns how the ledger would judge a chunk; changes nothing.
    async fn judge(&self, arrival: &Arrival) -> Result<Judgement>;

    /// Stores rows of one lane again in one transaction. Returns one outcome for each id.
    async fn retry_rows(&self, lane: &Lane, ids: &[String], by: &Decision) -> Result<Vec<RetryOutcome>>;

    /// Ends the entry of a message whose chunk has been stored, and recounts the frontier.
    async fn finish(&self, arrival: &Arrival, id: &str, by: &Decision) -> Result<RetryOutcome>;

    /// Records why an entry stays.
    async fn record_reason(&self, lane: &Lane, id: &str, reason: &str) -> Result<()>;

    /// Discards entries of one lane: their bytes are dropped, their digests and reasons are kept.
    async fn discard(&self, lane: &Lane, ids: &[String], by: &Decision) -> Result<Vec<RetryOutcome>>;

    /// Retries due rows that wait for another row. Returns the number of stored rows.
    async fn retry_waiting(&self, now: Timestamp) -> Result<u64>;

    /// Returns the number of entries by lane and kind.
    async fn counts(&self) -> Result<Vec<QuarantineCount>>;

    /// Stores a message that can be opened now. The ledger judges it first, so that a retry never stops a lane. After
    /// an interruption, a repetition finds the chunk stored and ends the entry.
    async fn retry_message(&self, id: &str, arrival: &Arrival, by: &Decision) -> Result<RetryOutcome> {
        if let Some(outcome) = decide::refusal(&self.judge(arrival).await?) {
            return Ok(outcome);
        }
        let lane = arrival.chunk.manifest.lane();
        let outcomes = self.store(&lane, std::slice::from_ref(arrival)).await?;
        match outcomes.first().and_then(decide::deferral) {
            Some(outcome) => Ok(outcome),
            None => self.finish(arrival, id, by).await,
        }
    }
}

/// Returns the part of a chunk's manifest that is needed to store its refused rows later.
pub(crate) fn kept_manifest(arrival: &Arrival) -> Manifest {
    let manifest = &arrival.chunk.manifest;
    Manifest {
        content: schemas::manifest::Content {
            load: Load::default(),
            rejects: Vec::new(),
            ..manifest.content.clone()
        },
        ..manifest.clone()
    }
}

/// Returns a chunk of one row, with the number and columns of its original chunk.
pub(crate) fn chunk_of_row(entry: &Entry, mut manifest: Manifest, row: Vec<u8>) -> Arrival {
    manifest.content.totals = Totals {
        rows: 1,
        ..Totals::default()
    };
    let digest = schemas::digest::Digest::of(&[&row]);
    Arrival {
        chunk: schemas::chunk::VerifiedChunk {
            manifest,
            digest,
            plain: row,
        },
        sequence: entry.sequence,
        exchanged_at: entry.exchanged_at,
    }
}

/// Returns the decision that ends entries of a chunk's rows when the chunk is stored again. Rows that are refused
/// then get new entries.
pub(crate) fn restored_decision() -> Decision {
    Decision {
        actor: "slacktide".to_owned(),
        reason: "its chunk is stored again".to_owned(),
    }
}

/// The reason of a row that the table ignored without an error.
pub(crate) const LEFT_OUT: &str = "a trigger of the table left the row out, or another row has a key that the column's \
     type takes for the same";

/// The reason of a row whose columns no longer fit the tables.
pub(crate) const NO_PLACE: &str = "its columns no longer fit the tables: they changed since, or the \
     configuration did; discard it, and ask for the row to be sent again";

/// Returns the id of a source's reject.
#[must_use]
pub fn reject_id(chunk: schemas::digest::Digest, ordinal: u64) -> String {
    schemas::digest::Digest::of(&[&chunk.0, b"reject", &ordinal.to_be_bytes()]).to_string()
}

/// Describes a reject by column and reason, without a value.
#[must_use]
pub fn describe_reject(reject: &schemas::manifest::Reject) -> String {
    match &reject.column {
        Some(column) => format!("the source could not carry column {column:?}: {}", reject.reason),
        None => format!("the source could not carry the row: {}", reject.reason),
    }
}
