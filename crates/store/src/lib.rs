//! Stores rows at a receiver exactly once, independent of the order and number of deliveries.
//!
//! - [`port`] the store's operations, as one trait
//! - [`arrival`] a delivered chunk, [`outcome`] what storing it results in; [`chunk_number`] PURE: its number
//! - [`entry`] PURE: a ledger entry; [`ledger`] PURE: whether a chunk is new, known, superseded or a fork
//! - [`lineage`] PURE: a lane's epochs, and which chunks of an old epoch count
//! - [`frontier`] PURE: the gapless frontier that receipts are built from; [`mod@advance`] how it advances
//! - [`compaction`] PURE: the summary of folded ledger entries; [`folding`] which entries are folded
//! - [`merge`] PURE: which version of a row wins, and the tombstone rule
//! - [`resync`] PURE: which rows the end of a resynchronisation removes; `repair` PURE: which rows a repair removes
//! - [`table`] PURE: the tables' shape, from the columns of chunks; which changes need approval
//! - [`sql_name`] PURE: quoted names; [`naming`] PURE: which names are allowed for tables, schemas and columns
//! - `ownership` PURE: whether a table may be created, written or changed for its owner
//! - `bookkeeping` lanes, ledger, quarantine and requests in SQL, once for both stores
//! - [`layout`] PURE: table names and modes of a feed
//! - [`quarantine`] the operations of the quarantine; PURE: what may be retried, and the outcomes
//! - [`refill`] a store that lost chunks: chunks stored again; its [`identity`]; PURE: [`row_count`]s
//! - [`contents`] reads the rows of feeds' tables; [`comparison`] PURE: compares those of two stores
//! - [`stored_rows`] reads the rows of a table, to compare them with the core
//! - [`requests`] the operations of an insurer's requests; PURE: outbox rows, answer tables
//! - [`error`] errors by kind, with the remedy; [`refusal`] PURE: what an operator must change
//! - [`postgres`], [`sqlite`] the two stores
//!
//! The crate `store-testing` has the test suite of every store, and sample chunks.

pub mod advance;
pub mod arrival;
mod bookkeeping;
pub mod chunk_number;
pub mod compaction;
pub mod comparison;
pub mod contents;
pub mod entry;
pub mod error;
pub mod folding;
pub mod frontier;
pub mod identity;
pub mod layout;
pub mod ledger;
pub mod lineage;
pub mod merge;
pub mod naming;
pub mod outcome;
mod ownership;
pub mod port;
pub mod postgres;
pub mod quarantine;
mod record;
pub mod refill;
pub mod refusal;
mod repair;
pub mod requests;
pub mod resync;
pub mod row_count;
pub mod sql_name;
pub mod sqlite;
pub mod stored_rows;
pub mod table;

pub use compaction::LedgerRetention;
pub use comparison::{TableComparison, TableDifferences};
pub use contents::{Contents, LaneContents, StoredRow};
pub use error::{Error, ErrorKind, Result};
pub use layout::{Database, FeedOptions, LaneTables, Layout, Mode, Options, Owner};
pub use port::{Approval, Arrival, LaneReport, Outcome, PendingChanges, Store, Unreadable};
pub use postgres::{PostgresContents, PostgresStore, security};
pub use quarantine::Quarantine;
pub use refill::{Identity, Refill, RowCount};
pub use refusal::Refusal;
pub use requests::Requests;
pub use sqlite::{SqliteContents, SqliteStore};
pub use stored_rows::{RowVisitor, SharedVisitor, StoredRows};
