//! Rows into a receiver: what is stored, once, whatever comes how often in which order.
//!
//! - [`port`] the verbs, as one trait
//! - [`ledger`] PURE: whether a chunk is new, known, superseded or a fork
//! - [`lineage`] PURE: a lane's epochs, and which chunks of an old one count
//! - [`frontier`] PURE: the gapless frontier that receipts are made of
//! - [`compaction`] PURE: which old ledger entries are folded, and what stands for them
//! - [`merge`] PURE: which version of a row wins; the order and the tombstone rule
//! - [`resync`] PURE: what the end of a resynchronisation removes
//! - [`table`] PURE: the tables' shape, from what chunks say of their columns; what has to be asked
//! - [`naming`] PURE: which names may become tables, schemas and columns
//! - `claims` PURE: whether a table may be made, written or changed for its owner
//! - [`layout`] PURE: which tables a feed's rows go to, and what is kept of them
//! - [`quarantine`] the verbs of what is kept aside; PURE: what may be tried again and what became of it
//! - [`refill`] a store that holds less than it signed for: identity, chunks stored again, rows counted
//! - [`requests`] the verbs of an insurer's requests; PURE: the outbox's rows, the answers' tables
//! - [`error`] what can go wrong, by kind, with the remedy
//! - [`postgres`], [`sqlite`] the two receivers
//! - [`conformance`] the suite that every receiver must pass; [`samples`] chunks made by hand

mod claims;
pub mod compaction;
pub mod conformance;
pub mod error;
pub mod frontier;
pub mod layout;
pub mod ledger;
pub mod lineage;
pub mod merge;
pub mod naming;
pub mod port;
pub mod postgres;
pub mod quarantine;
mod record;
pub mod refill;
pub mod requests;
pub mod resync;
pub mod samples;
pub mod sqlite;
pub mod table;

pub use compaction::Keep;
pub use error::{Error, ErrorKind, Result};
pub use layout::{Database, FeedOptions, LaneTables, Layout, Mode, Options, Owner};
pub use naming::Refusal;
pub use port::{Answer, Arrival, Changes, LaneReport, Outcome, Store, Unreadable};
pub use postgres::{PostgresStore, security};
pub use quarantine::Quarantine;
pub use refill::{Identity, Refill, RowCount};
pub use requests::Requests;
pub use sqlite::SqliteStore;
