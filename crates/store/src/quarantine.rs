//! What a receiver keeps aside, and its way out.
//!
//! Three things are kept: a whole message that could not be opened, a row that the receiver's
//! constraints refused, and a note of a row that the source could not carry. None of them stops
//! the rest. Each ends by an operator's word: it is stored after all, or discarded with a reason.
//!
//! **Retrying is storing late.** A message is opened again with the trust of today and goes
//! through [`Store::store`] like any chunk; a row goes through the same merge as its chunk did,
//! under its chunk's place. So a retry after newer chunks overwrites nothing that is newer, and a
//! deleted row stays deleted: tombstones above the lowest place in quarantine are kept for it.
//! Every step may be repeated, and two that retry at once come to the same end.
//!
//! **A receipt never says more than is there.** When the last part of a chunk is stored, its
//! number leaves the receipts' list; when something is discarded, the number stays in it, for
//! what was discarded is not stored.
//!
//! - [`decide`] PURE: what may be tried again, what became of it, the frontier counted anew
//! - [`waiting`] PURE: rows that another row may make room for, and when they are tried again

pub mod decide;
pub mod waiting;

use async_trait::async_trait;
use jiff::Timestamp;
use schemas::load::Load;
use schemas::manifest::{Manifest, Totals};
use schemas::name::{FeedName, Lane};
use serde::Serialize;

use crate::error::Result;
use crate::ledger::Judgement;
use crate::merge::Place;
use crate::port::{Arrival, Store};

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A whole message that could not be opened.
    Message,
    /// A row that the receiver's constraints refused.
    Row,
    /// A row that the source could not carry; only its key, column and reason came.
    Reject,
}

impl Kind {
    /// The word for people and tables.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Row => "row",
            Self::Reject => "reject",
        }
    }
}

/// How something left the quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// It was stored, by the rule that the newest version of a row wins.
    Released,
    /// A later epoch has left its chunk behind; there was nothing to store.
    LeftBehind,
    /// An operator gave it up.
    Discarded,
}

impl Ending {
    /// The word for people and tables.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::LeftBehind => "left_behind",
            Self::Discarded => "discarded",
        }
    }

    /// Reads the word; whatever else stands there was an end too.
    #[must_use]
    pub fn of_word(word: &str) -> Self {
        match word {
            "released" => Self::Released,
            "left_behind" => Self::LeftBehind,
            _ => Self::Discarded,
        }
    }
}

/// Who ends it, and why. Kept for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// The person who decided.
    pub actor: String,
    /// Why, in their words.
    pub reason: String,
}

/// The end of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ended {
    /// How.
    pub how: Ending,
    /// SHA-256 of the bytes that were kept until then.
    pub digest: Option<String>,
    /// Who decided.
    pub actor: String,
    /// Why, in their words.
    pub reason: String,
    /// When, by the database's clock.
    pub at: Timestamp,
}

/// One thing in quarantine, without what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The lane it came on.
    pub lane: Lane,
    /// 64 hex digits, the same wherever and whenever it is kept.
    pub id: String,
    /// What it is.
    pub kind: Kind,
    /// Its chunk's place; for a message the one that it claims, where that could be read.
    pub place: Option<Place>,
    /// Its row in the chunk, or its reject in the manifest, counted from 0.
    pub ordinal: Option<u64>,
    /// The exchange's sequence of the message.
    pub sequence: u64,
    /// What is wrong, without any value.
    pub reason: String,
    /// When the exchange stored the message.
    pub exchanged_at: Timestamp,
    /// Since when it is kept, by the database's clock.
    pub since: Timestamp,
    /// Bytes kept; 0 once it has ended.
    pub bytes: u64,
    /// Set once it has ended.
    pub ended: Option<Ended>,
    /// Set while it is tried again without an operator.
    pub waiting: Option<waiting::Waiting>,
}

/// What an entry holds: personal data.
#[derive(Debug, Clone, PartialEq)]
pub struct Content {
    /// A message as it was published, a packed row, or a reject in JSON.
    pub bytes: Vec<u8>,
    /// Of a row: its chunk's manifest, which tells its columns.
    pub manifest: Option<Manifest>,
}

/// Which entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Of one feed only.
    pub feed: Option<FeedName>,
    /// Ids that begin so; hex digits.
    pub prefix: String,
    /// Those that have ended, too.
    pub ended: bool,
    /// At most so many; none: all.
    pub most: Option<u32>,
}

/// How much of a kind a lane has in quarantine now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The lane.
    pub lane: Lane,
    /// What.
    pub kind: Kind,
    /// How many.
    pub count: u64,
    /// Since when the oldest is there, by the database's clock.
    pub oldest: Timestamp,
}

/// What became of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "became")]
pub enum Became {
    /// Its rows are stored, where nothing newer stands.
    Released {
        /// Rows in it.
        rows: u64,
        /// Of a message: rows of it that constraints refused now; they are entries of their own.
        refused: u64,
    },
    /// A later epoch has left its chunk behind: there was nothing to store.
    LeftBehind,
    /// It stays: what kept it aside still holds.
    Stays {
        /// What.
        reason: String,
    },
    /// It stays until something else has come or an operator has acted.
    Waits {
        /// For what.
        reason: String,
    },
    /// It stays: storing it would make the lane's history another one than the stored one.
    Contradicts {
        /// In which way.
        reason: String,
    },
    /// It cannot be stored here by any retry.
    Never {
        /// What helps.
        reason: String,
    },
    /// It was given up now.
    Discarded,
    /// It had ended before; nothing changed.
    Ended {
        /// How.
        how: Ending,
    },
    /// There is no such entry.
    Unknown,
}

impl Became {
    /// Whether it is out of quarantine.
    #[must_use]
    pub fn is_out(&self) -> bool {
        matches!(
            self,
            Self::Released { .. } | Self::LeftBehind | Self::Discarded | Self::Ended { .. }
        )
    }
}

/// A receiver's quarantine. Each verb is one transaction, or changes nothing when repeated.
#[async_trait]
pub trait Quarantine: Store {
    /// What is kept, by lane and place.
    async fn entries(&self, wanted: &Wanted) -> Result<Vec<Entry>>;

    /// What an entry holds; none when there is no such entry or it has ended.
    async fn content(&self, lane: &Lane, id: &str) -> Result<Option<Content>>;

    /// What the ledger would say to a chunk; changes nothing.
    async fn judged(&self, arrival: &Arrival) -> Result<Judgement>;

    /// Stores rows of one lane again, all in one transaction. One answer for each id.
    async fn retry_rows(&self, lane: &Lane, ids: &[String], by: &By) -> Result<Vec<Became>>;

    /// Ends a message's entry whose chunk has been stored, and counts the frontier anew.
    async fn finish(&self, arrival: &Arrival, id: &str, by: &By) -> Result<Became>;

    /// Notes why an entry stays.
    async fn stays(&self, lane: &Lane, id: &str, reason: &str) -> Result<()>;

    /// Gives entries of one lane up: their bytes are dropped, their digests and reasons stay.
    async fn discard(&self, lane: &Lane, ids: &[String], by: &By) -> Result<Vec<Became>>;

    /// Tries the rows again that another row may make room for, as far as their time has come. Says how many were stored.
    async fn retry_waiting(&self, now: Timestamp) -> Result<u64>;

    /// How much is kept now, by lane and kind.
    async fn held(&self) -> Result<Vec<Held>>;

    /// Stores a message that opens today. It is asked first whether it fits, so that a retry
    /// never stops a lane; killed in between, a repetition finds the chunk stored and ends.
    async fn retry_message(&self, id: &str, arrival: &Arrival, by: &By) -> Result<Became> {
        if let Some(became) = decide::refusal(&self.judged(arrival).await?) {
            return Ok(became);
        }
        let lane = arrival.chunk.manifest.lane();
        let outcomes = self.store(&lane, std::slice::from_ref(arrival)).await?;
        match outcomes.first().and_then(decide::put_off) {
            Some(became) => Ok(became),
            None => self.finish(arrival, id, by).await,
        }
    }
}

/// What is kept of the manifest of a chunk with refused rows: enough to store them later.
pub(crate) fn kept_manifest(arrival: &Arrival) -> Manifest {
    Manifest {
        load: Load::default(),
        rejects: Vec::new(),
        ..arrival.chunk.manifest.clone()
    }
}

/// A chunk of one row, in the place and with the columns of the one that it came in.
pub(crate) fn chunk_of_row(entry: &Entry, manifest: Manifest, row: Vec<u8>) -> Arrival {
    let digest = schemas::digest::Digest::of(&[&row]);
    Arrival {
        chunk: schemas::chunk::Verified {
            manifest: Manifest {
                totals: Totals {
                    rows: 1,
                    ..Totals::default()
                },
                ..manifest
            },
            digest,
            plain: row,
        },
        sequence: entry.sequence,
        exchanged_at: entry.exchanged_at,
    }
}

/// Who ends the entries of a chunk's rows when the chunk is stored again. What is refused then is kept again.
pub(crate) fn stored_again() -> By {
    By {
        actor: "slacktide".to_owned(),
        reason: "its chunk is stored again".to_owned(),
    }
}

/// Why a row is not stored that the table took without an error.
pub(crate) const LEFT_OUT: &str = "a trigger of the table left the row out, or another row has a key that the column's \
     type takes for the same";

/// Why a row finds no place any more.
pub(crate) const NO_PLACE: &str = "its columns have no place in the tables any more: they changed since, or the \
     configuration did; discard it, and ask for the row to be sent again";

/// The id of a source's reject.
#[must_use]
pub fn reject_id(chunk: schemas::digest::Digest, ordinal: u64) -> String {
    schemas::digest::Digest::of(&[&chunk.0, b"reject", &ordinal.to_be_bytes()]).to_string()
}

/// What is told of a reject: the column and the source's reason, and no value.
#[must_use]
pub fn told_of(reject: &schemas::manifest::Reject) -> String {
    match &reject.column {
        Some(column) => format!("the source could not carry column {column:?}: {}", reject.reason),
        None => format!("the source could not carry the row: {}", reject.reason),
    }
}
