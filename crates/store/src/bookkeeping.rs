//! The bookkeeping of both stores, written once over a small SQL interface: lanes, ledger, quarantine, requests.
//!
//! **Statements are written in PostgreSQL's form.** A database's [`Session`] runs them: SQLite's rewrites the names of
//! tables and parameters ([`SqlSession::PREFIX`]) and supplies its own clock for `clock_timestamp()`. What the two
//! spell differently otherwise is a method of [`SqlSession`]. Loading rows, creating and changing tables, and column
//! types stay with each database.
//!
//! **SQLite never waits.** Its session completes each statement at once, on the thread that holds the file, so a
//! future over it is ready when it is polled the first time.
//!
//! - [`sql`] values, rows and the interface; [`feed_tables`] what a database does with the tables of feeds
//! - [`lanes`] lanes, [`lane_operations`] reports, refusals and approvals; [`ledger`] ledger entries; [`compaction`] folds the oldest of them
//! - [`opening`] a new epoch; [`removal`] a resynchronisation; [`refill`] chunks stored again; [`row_counts`] row counts
//! - [`quarantine`] the quarantine and its retries
//! - [`stored_rows`] where a lane's newest rows are, and the reports of reconciliations
//! - [`requests`] the insurer's requests and their replies

pub(crate) mod compaction;
pub(crate) mod feed_tables;
pub(crate) mod lane_operations;
pub(crate) mod lanes;
pub(crate) mod ledger;
pub(crate) mod opening;
pub(crate) mod quarantine;
pub(crate) mod refill;
pub(crate) mod removal;
pub(crate) mod requests;
pub(crate) mod row_counts;
pub(crate) mod sql;
pub(crate) mod stored_rows;

pub(crate) use sql::{Begin, Field, LaneLock, Row, SqlSession, Value, values};

use schemas::digest::Digest;
use schemas::name::{FeedName, Lane, RecipientName};
use serde::de::DeserializeOwned;

use crate::chunk_number::ChunkNumber;
use crate::error::{Error, Result};
use crate::record::broken;

/// Returns the error of a bookkeeping table whose content cannot be read.
fn unreadable<S: SqlSession>(table: &str) -> Error {
    broken(&format!("{}{table}", S::PREFIX))
}

/// Reads a JSON text of a bookkeeping table.
fn json<S: SqlSession, T: DeserializeOwned>(table: &str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|_| unreadable::<S>(table))
}

/// Reads a digest of a bookkeeping table.
fn digest<S: SqlSession>(table: &str, text: &str) -> Result<Digest> {
    Digest::from_hex(text).map_err(|_| unreadable::<S>(table))
}

/// Reads a lane from the columns `recipient` and `feed`.
fn lane_of<S: SqlSession>(table: &str, row: &dyn Row) -> Result<Lane> {
    let names = RecipientName::new(row.text(0)?)
        .ok()
        .zip(FeedName::new(row.text(1)?).ok());
    names
        .map(|(recipient, feed)| Lane { recipient, feed })
        .ok_or_else(|| unreadable::<S>(table))
}

/// Reads a chunk number from the columns `epoch` and `number` at these places.
fn chunk_number(row: &dyn Row, epoch: usize, number: usize) -> Result<ChunkNumber> {
    Ok(ChunkNumber {
        epoch: u32::try_from(row.unsigned(epoch)?).unwrap_or(0),
        number: row.unsigned(number)?,
    })
}
