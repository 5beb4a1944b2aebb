//! The quarantine and its retries. Every operation that ends an entry locks the lane's row exclusively: no chunk is
//! stored meanwhile, and the second of two concurrent retries finds the entry ended.
//!
//! - [`queries`] reads entries
//! - [`retry`] the operations of an operator; [`waiting`] rows that are retried without one
//! - [`recount`] recounts the frontier after entries have ended

pub(crate) mod queries;
pub(crate) mod recount;
pub(crate) mod retry;
pub(crate) mod waiting;

pub(crate) use recount::save_recount;

use schemas::name::Lane;
use serde::Serialize;

use super::{SqlSession, values};
use crate::arrival::Arrival;
use crate::chunk_number::ChunkNumber;
use crate::error::Result;
use crate::quarantine::{
    Decision, Ending, Entry, RetryOutcome, describe_reject, kept_manifest, reject_id, restored_decision,
};
use crate::record::text;

/// A row that may be retried.
pub(crate) struct RowRetry {
    pub(crate) entry: Entry,
    /// A chunk of this row alone.
    pub(crate) arrival: Arrival,
}

/// Why the table refused a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RefusedRow {
    /// The reason, without a value.
    pub(crate) reason: String,
    /// Whether another row may make room for it.
    pub(crate) is_retryable: bool,
}

/// The outcome of one try.
#[derive(Debug)]
pub(crate) enum TryOutcome {
    /// It is stored, unless a newer version is stored. Contains the number of additional rows, if the database reports
    /// it.
    Stored(Option<i64>),
    /// It was refused.
    Refused(RefusedRow),
    /// It was not tried.
    Not(RetryOutcome),
}

/// Keeps the manifest of a chunk with refused rows, because it names their columns.
pub(crate) async fn keep_manifest<S: SqlSession>(session: &S, lane: &Lane, arrival: &Arrival) -> Result<()> {
    let (chunk_number, manifest) = (ChunkNumber::of(arrival), text(&kept_manifest(arrival))?);
    let sql = "INSERT INTO slacktide.quarantine_manifests VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
    let values = values![
        lane.recipient.as_str(),
        lane.feed.as_str(),
        chunk_number.epoch,
        chunk_number.number,
        &manifest
    ];
    session.execute(sql, &values).await.map(|_| ())
}

/// Keeps the rejects of a stored chunk.
pub(crate) async fn keep_rejects<S: SqlSession>(session: &S, lane: &Lane, arrival: &Arrival) -> Result<()> {
    let sql = "INSERT INTO slacktide.quarantine (recipient, feed, id, epoch, number, ordinal, sequence, reason, bytes, \
         exchanged_at, quarantined_at, kind) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, clock_timestamp(), 'reject') \
         ON CONFLICT DO NOTHING";
    let chunk_number = ChunkNumber::of(arrival);
    for (ordinal, reject) in (0_u64..).zip(&arrival.chunk.manifest.content.rejects) {
        let (id, reason) = (reject_id(arrival.chunk.digest, ordinal), describe_reject(reject));
        let bytes = text(reject)?.into_bytes();
        let values = values![
            lane.recipient.as_str(),
            lane.feed.as_str(),
            &id,
            chunk_number.epoch,
            chunk_number.number,
            ordinal,
            arrival.sequence,
            &reason,
            bytes.as_slice(),
            arrival.exchanged_at
        ];
        session.execute(sql, &values).await?;
    }
    Ok(())
}

/// Returns the assignments that end an entry: its bytes are dropped, their digest is kept.
fn ended<S: SqlSession>(ending: &str, actor: &str, reason: &str) -> String {
    format!(
        "ended = {ending}, ended_digest = {}, bytes = {}, retry_at = NULL, ended_by = {actor}, ended_reason = {reason}, \
         ended_at = clock_timestamp()",
        S::sha256("bytes"),
        S::NO_BYTES
    )
}

/// Ends an entry.
async fn end<S: SqlSession>(session: &S, lane: &Lane, id: &str, ending: Ending, by: &Decision) -> Result<()> {
    let sql = format!(
        "UPDATE slacktide.quarantine SET {} WHERE recipient = $1 AND feed = $2 AND id = $3 AND ended IS NULL",
        ended::<S>("$4", "$5", "$6")
    );
    let values = values![
        lane.recipient.as_str(),
        lane.feed.as_str(),
        id,
        ending.word(),
        &by.actor,
        &by.reason
    ];
    session.execute(&sql, &values).await.map(|_| ())
}

/// A chunk number as a part of a statement's parameter.
#[derive(Serialize)]
pub(crate) struct ChunkNumberRecord {
    epoch: u32,
    number: i64,
}

/// The columns of [`ChunkNumberRecord`].
pub(crate) const CHUNK_NUMBER_COLUMNS: &[(&str, &str)] = &[("epoch", "integer"), ("number", "bigint")];

/// Returns chunk numbers as the parameter of [`SqlSession::records`].
pub(crate) fn chunk_number_records(chunk_numbers: &[ChunkNumber]) -> Result<String> {
    let record = |at: &ChunkNumber| ChunkNumberRecord {
        epoch: at.epoch,
        number: i64::try_from(at.number).unwrap_or(i64::MAX),
    };
    text(&chunk_numbers.iter().map(record).collect::<Vec<_>>())
}

/// Ends the entries of rows whose chunks are stored again.
pub(crate) async fn end_rows<S: SqlSession>(
    session: &S,
    lane: &Lane,
    chunk_numbers: &[ChunkNumber],
) -> Result<()> {
    if chunk_numbers.is_empty() {
        return Ok(());
    }
    let by = restored_decision();
    let sql = format!(
        "UPDATE slacktide.quarantine SET {} WHERE recipient = $1 AND feed = $2 AND (epoch, number) IN (SELECT u.epoch, u.number FROM {}) \
         AND ordinal IS NOT NULL AND kind IS DISTINCT FROM 'reject' AND ended IS NULL",
        ended::<S>("$4", "$5", "$6"),
        S::records("$3", CHUNK_NUMBER_COLUMNS)
    );
    let chunk_numbers = chunk_number_records(chunk_numbers)?;
    let values = values![
        lane.recipient.as_str(),
        lane.feed.as_str(),
        &chunk_numbers,
        Ending::Released.word(),
        &by.actor,
        &by.reason
    ];
    session.execute(&sql, &values).await.map(|_| ())
}

/// Records why an entry stays.
pub(crate) async fn record_reason<S: SqlSession>(
    session: &S,
    lane: &Lane,
    id: &str,
    reason: &str,
) -> Result<()> {
    let sql = "UPDATE slacktide.quarantine SET reason = $4 WHERE recipient = $1 AND feed = $2 AND id = $3 AND ended IS NULL";
    let values = values![lane.recipient.as_str(), lane.feed.as_str(), id, reason];
    session.execute(sql, &values).await.map(|_| ())
}
