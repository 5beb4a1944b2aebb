//! Rows out of a system of record, behind its fence, under a permit of the gate.
//!
//! - [`feed`] what is read: a named, keyed, ordered query
//! - [`question`] what is asked: a query with arguments
//! - [`port`] the verbs, as three traits, and what a quantum brings
//! - [`fence`] PURE: below which cursor value no row can still appear
//! - [`identity`] PURE: whether a source is the one that was read before; `backwards` whether it holds less;
//!   `instant` positions as times
//! - [`keyset`] PURE: the SQL of a quantum; `nulls` rows that it would never find
//! - [`shape`] PURE: which relations a feed's SQL reads; `placeholder` what stands around an argument in a question's
//! - [`declared`] PURE: type names to column types
//! - `cursor_form` PURE: how a cursor's values are written, and what follows from it
//! - `key_proof` PURE: whether a key tells rows apart; `upkeep` which check is due
//! - [`evidence`] what a reader cannot prove of its feed; [`missing_index`] PURE: what would serve it
//! - [`count`] what the drivers count by themselves; `meter` how long a reader used its source
//! - [`error`] what can go wrong, by kind, with the remedy
//! - [`postgres`], [`sqlite`] the two systems of record

pub mod backwards;
mod columns;
pub mod count;
mod cursor_form;
pub mod declared;
pub mod error;
pub mod evidence;
pub mod feed;
pub mod fence;
pub mod identity;
mod instant;
mod key_proof;
pub mod keyset;
mod meter;
pub mod missing_index;
mod nulls;
mod placeholder;
pub mod port;
pub mod postgres;
pub mod question;
mod select_list;
pub mod shape;
pub mod sqlite;
mod unplaced;
mod upkeep;

pub use error::{Error, ErrorKind, Result};
pub use evidence::Evidence;
pub use feed::{CursorSetBy, FeedDefinition};
pub use fence::{Fence, HighWater, TimeFence};
pub use missing_index::MissingIndex;
pub use port::{End, FeedReader, FenceReading, Holder, Quantum, QuestionReader, RowSink, Source, Standing};
pub use postgres::{PostgresConfig, PostgresSource};
pub use question::{Argument, ArgumentKind, Question, StoredAs};
pub use sqlite::{SqliteConfig, SqliteSource};
