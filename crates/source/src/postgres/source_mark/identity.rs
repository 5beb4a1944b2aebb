//! What a connection keeps of the database's identity, for all feeds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use schemas::cursor::Cursor;

/// What was read on a connection, for all feeds.
#[derive(Debug, Default)]
pub(in crate::postgres) struct Identity {
    pub(super) server: Option<ServerIdentity>,
    pub(super) log: Option<Log>,
    pub(super) tables: Tables,
}

#[derive(Debug, Clone)]
pub(super) struct ServerIdentity {
    pub(super) system: Option<String>,
    pub(super) database: String,
}

#[derive(Debug)]
pub(super) enum Log {
    At(Instant, (u32, Cursor)),
    /// The server does not report it.
    Unavailable,
}

#[derive(Debug, Default)]
pub(super) struct Tables {
    /// Quoted names of all feeds' tables.
    pub(super) names: BTreeSet<String>,
    /// When they were read, and the result.
    pub(super) marks: Option<(Instant, TableMarks)>,
}

/// Fingerprints of the name and of the table, by name.
pub(super) type TableMarks = BTreeMap<String, (String, String)>;
