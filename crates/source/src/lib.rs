//! Rows out of a system of record, behind its fence, under a permit of the gate.
//!
//! - [`feed`] what is read: a named, keyed, ordered query
//! - [`port`] the verbs, as two traits, and what a quantum brings
//! - [`fence`] PURE: below which cursor value no row can still appear
//! - [`keyset`] PURE: the SQL of a quantum
//! - [`error`] what can go wrong, by kind, with the remedy
//! - [`postgres`], [`sqlite`] the two systems of record

pub mod error;
pub mod feed;
pub mod fence;
pub mod keyset;
pub mod port;
pub mod postgres;
pub mod sqlite;

pub use error::{Error, ErrorKind, Result};
pub use feed::{CursorSetBy, FeedDefinition};
pub use port::{End, FeedReader, FenceReading, Holder, Quantum, RowSink, Source};
