//! Stores rows at a receiver exactly once, independent of the order and number of deliveries.
//!
//! - [`port`] the store's operations, as one trait
//! - [`ledger`] PURE: whether a chunk is new, known, superseded or a fork
//! - [`lineage`] PURE: a lane's epochs, and which chunks of an old epoch count
//! - [`frontier`] PURE: the gapless frontier that receipts are built from
//! - [`compaction`] PURE: which old ledger entries are folded, and their summary
//! - [`merge`] PURE: which version of a row wins, and the tombstone rule
//! - [`resync`] PURE: which rows the end of a resynchronisation removes
//! - [`table`] PURE: the tables' shape, from the columns of chunks; which changes need approval
//! - [`naming`] PURE: which names are allowed for tables, schemas and columns
//! - `ownership` PURE: whether a table may be created, written or changed for its owner
//! - `bookkeeping` lanes, ledger, quarantine and requests in SQL, once for both stores
//! - [`layout`] PURE: table names and modes of a feed
//! - [`quarantine`] the operations of the quarantine; PURE: what may be retried, and the outcomes
//! - [`refill`] a store that lost chunks: identity, chunks stored again, row counts
//! - [`requests`] the operations of an insurer's requests; PURE: outbox rows, answer tables
//! - [`error`] errors by kind, with the remedy
//! - [`postgres`], [`sqlite`] the two stores
//!
//! The crate `store-testing` has the test suite of every store, and sample chunks.

mod bookkeeping;
pub mod compaction;
pub mod error;
pub mod frontier;
pub mod layout;
pub mod ledger;
pub mod lineage;
pub mod merge;
pub mod naming;
mod ownership;
pub mod port;
pub mod postgres;
pub mod quarantine;
mod record;
pub mod refill;
pub mod requests;
pub mod resync;
pub mod sqlite;
pub mod table;

pub use compaction::LedgerRetention;
pub use error::{Error, ErrorKind, Result};
pub use layout::{Database, FeedOptions, LaneTables, Layout, Mode, Options, Owner};
pub use naming::Refusal;
pub use port::{Approval, Arrival, LaneReport, Outcome, PendingChanges, Store, Unreadable};
pub use postgres::{PostgresStore, security};
pub use quarantine::Quarantine;
pub use refill::{Identity, Refill, RowCount};
pub use requests::Requests;
pub use sqlite::SqliteStore;
