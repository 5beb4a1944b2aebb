//! Reads rows from a system of record, within the feed's fence and under a permit of the gate.
//!
//! - [`feed`] the definition of a feed: a named, keyed, ordered query
//! - [`request_query`] a query with arguments, for data requests
//! - [`port`] the three traits of a source, and the result of a quantum
//! - [`fence`] PURE: the cursor value below which no row can still appear
//! - [`identity`] PURE: whether a source is the one that was read before
//! - [`position_check`] PURE: whether a position is above everything in the source; `instant` converts positions and times
//! - [`keyset`] PURE: the SQL of a quantum; `nulls` finds rows that a keyset query cannot return
//! - [`shape`] PURE: which relations a feed's SQL reads; `placeholder` finds what each argument is compared with
//! - [`declared`] PURE: converts type names to column types
//! - `cursor_format` PURE: the format of a cursor's values, with its resolution and its conditions
//! - `key_proof` PURE: whether a key is unique; `check_schedule` which check is due
//! - [`evidence`] what a reader cannot prove of its feed; [`missing_index`] PURE: indexes that the source lacks
//! - [`count`] the drivers' own counts; `meter` how long a reader used its source
//! - [`error`] errors by kind, each with its remedy
//! - [`postgres`], [`sqlite`] the two supported databases

mod check_schedule;
mod columns;
pub mod count;
mod cursor_format;
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
pub mod position_check;
pub mod postgres;
pub mod request_query;
mod select_list;
pub mod shape;
pub mod sqlite;
mod unordered_rows;

pub use error::{Error, ErrorKind, Result};
pub use evidence::Evidence;
pub use feed::{CursorSetBy, FeedDefinition};
pub use fence::{Fence, FenceHolder, HighWaterMark, TimeFence};
pub use missing_index::MissingIndex;
pub use port::{End, FeedReader, FenceReading, LanePosition, Quantum, RequestQueryReader, RowSink, Source};
pub use postgres::{PostgresConfig, PostgresSource};
pub use request_query::{Argument, ArgumentKind, RequestQuery, StoredAs};
pub use sqlite::{SqliteConfig, SqliteSource};
