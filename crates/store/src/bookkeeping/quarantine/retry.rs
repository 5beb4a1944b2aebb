//! The operations of an operator: retries and discards.

use schemas::name::Lane;

use super::super::feed_tables::FeedRows;
use super::super::sql::optional;
use super::super::{Begin, LaneLock, Row, SqlSession, digest, lanes, ledger, unreadable, values};
use super::{RowRetry, TryOutcome, end, queries, record_reason, save_recount};
use crate::arrival::Arrival;
use crate::chunk_number::ChunkNumber;
use crate::error::Result;
use crate::layout::LaneTables;
use crate::ledger::{ChunkLinks, EntryState, Judgement, needed, plan};
use crate::quarantine::decide::{ReleasedEntry, blocked_outcome, message_outcome};
use crate::quarantine::{Decision, Ending, Entry, NO_PLACE, RetryOutcome, chunk_of_row};
use crate::record::LaneRecord;
use crate::table::shape::{Fit, Shape, fit};

/// Returns how the ledger would judge a chunk; changes nothing.
pub(crate) async fn judge<S: SqlSession>(session: &S, arrival: &Arrival) -> Result<Judgement> {
    let lane = arrival.chunk.manifest.lane();
    let links = [ChunkLinks::of(arrival)];
    let record = lanes::read(session, &lane, LaneLock::Free)
        .await?
        .unwrap_or_default();
    let entries = ledger::entries(session, &lane, &needed(&links)).await?;
    let mut judgements = plan(&record.state, &entries, &links).judgements;
    judgements.pop().ok_or_else(|| unreadable::<S>("ledger"))
}

/// Stores rows of one lane again in one transaction. Returns one outcome for each id.
pub(crate) async fn retry_rows<S: FeedRows>(
    session: &mut S,
    tables: &LaneTables,
    ids: &[String],
    by: &Decision,
) -> Result<Vec<RetryOutcome>> {
    let lane = &tables.lane;
    prepare(session, tables, ids).await?;
    let session = &*session;
    session.begin(Begin::Rows).await?;
    let Some(record) = lanes::read(session, lane, LaneLock::Alone).await? else {
        session.commit().await?;
        return Ok(vec![RetryOutcome::Unknown; ids.len()]);
    };
    let mut outcomes = Vec::with_capacity(ids.len());
    for id in ids {
        outcomes.push(match retryable(session, lane, id, &record, by).await? {
            Err(outcome) => outcome,
            Ok(row) => retry_row(session, tables, &record, &row, by).await?,
        });
    }
    save_recount(session, lane, &record).await?;
    session.commit().await?;
    Ok(outcomes)
}

/// Prepares the storing of entries, outside of a transaction.
pub(super) async fn prepare<S: FeedRows>(session: &mut S, tables: &LaneTables, ids: &[String]) -> Result<()> {
    let lane = &tables.lane;
    let record = lanes::read(session, lane, LaneLock::Free).await?;
    let Some(shape) = record.and_then(|record| record.shape) else {
        return Ok(());
    };
    for id in ids {
        let content = queries::content(session, lane, id).await?;
        let Some(manifest) = content.and_then(|content| content.manifest) else {
            continue;
        };
        let chunk_number = ChunkNumber::from_manifest(&manifest);
        if fit(
            Some(&shape),
            &manifest.content.schema,
            chunk_number,
            tables,
            chunk_number,
        ) == Fit::Fits
        {
            session
                .prepare_rows(tables, &shape, &manifest.content.schema, chunk_number)
                .await?;
        }
    }
    Ok(())
}

/// Returns a row that may be retried, or its outcome.
pub(super) async fn retryable<S: SqlSession>(
    session: &S,
    lane: &Lane,
    id: &str,
    record: &LaneRecord,
    by: &Decision,
) -> Result<std::result::Result<RowRetry, RetryOutcome>> {
    let Some(entry) = queries::entry_of(session, lane, id).await? else {
        return Ok(Err(RetryOutcome::Unknown));
    };
    let ending = entry.ended.as_ref().map(|ended| ended.ending);
    if let Some(outcome) = blocked_outcome(entry.kind, ending, &record.state, entry.chunk_number) {
        if outcome == RetryOutcome::LeftBehind {
            end(session, lane, id, Ending::LeftBehind, by).await?;
        }
        return Ok(Err(outcome));
    }
    let content = queries::content(session, lane, id).await?;
    Ok(match content.map(|content| (content.bytes, content.manifest)) {
        Some((bytes, Some(manifest))) => Ok(RowRetry {
            arrival: chunk_of_row(&entry, manifest, bytes),
            entry,
        }),
        _ => Err(RetryOutcome::Stays {
            reason: "the columns of its chunk were not kept with it; discard it and rewind the feed"
                .to_owned(),
        }),
    })
}

/// Returns the shape of the tables, if they have a place for the row.
pub(super) fn fitting<'a>(tables: &LaneTables, record: &'a LaneRecord, row: &RowRetry) -> Option<&'a Shape> {
    let (columns, chunk_number) = (
        &row.arrival.chunk.manifest.content.schema,
        ChunkNumber::of(&row.arrival),
    );
    record
        .shape
        .as_ref()
        .filter(|shape| fit(Some(shape), columns, chunk_number, tables, chunk_number) == Fit::Fits)
}

/// Stores one row under its chunk's number.
pub(super) async fn try_row<S: FeedRows>(
    session: &S,
    tables: &LaneTables,
    record: &LaneRecord,
    row: &RowRetry,
) -> Result<TryOutcome> {
    match fitting(tables, record, row) {
        Some(shape) => session.try_row(tables, shape, row).await,
        None => Ok(TryOutcome::Not(RetryOutcome::Never {
            reason: NO_PLACE.to_owned(),
        })),
    }
}

async fn retry_row<S: FeedRows>(
    session: &S,
    tables: &LaneTables,
    record: &LaneRecord,
    row: &RowRetry,
    by: &Decision,
) -> Result<RetryOutcome> {
    match try_row(session, tables, record, row).await? {
        TryOutcome::Not(outcome) => Ok(outcome),
        TryOutcome::Refused(refused) => {
            record_reason(session, &tables.lane, &row.entry.id, &refused.reason).await?;
            Ok(RetryOutcome::Stays {
                reason: refused.reason,
            })
        }
        TryOutcome::Stored(net) => {
            release(session, &tables.lane, row, net, by).await?;
            Ok(RetryOutcome::Released { rows: 1, refused: 0 })
        }
    }
}

/// Ends the entry of a stored row and adds it to its chunk's counts.
pub(super) async fn release<S: SqlSession>(
    session: &S,
    lane: &Lane,
    row: &RowRetry,
    net: Option<i64>,
    by: &Decision,
) -> Result<()> {
    end(session, lane, &row.entry.id, Ending::Released, by).await?;
    let chunk_number = ChunkNumber::of(&row.arrival);
    let sql = "UPDATE slacktide.ledger SET rows_quarantined = CASE WHEN rows_quarantined > 0 THEN rows_quarantined - 1 ELSE 0 END, \
         rows_net = rows_net + $5 WHERE recipient = $1 AND feed = $2 AND epoch = $3 AND number = $4";
    let values = values![
        lane.recipient.as_str(),
        lane.feed.as_str(),
        chunk_number.epoch,
        chunk_number.number,
        net
    ];
    session.execute(sql, &values).await.map(|_| ())
}

/// Ends the entry of a message whose chunk has been stored, and recounts the frontier.
pub(crate) async fn finish<S: SqlSession>(
    session: &S,
    arrival: &Arrival,
    id: &str,
    by: &Decision,
) -> Result<RetryOutcome> {
    let lane = arrival.chunk.manifest.lane();
    session.begin(Begin::Bookkeeping).await?;
    let record = lanes::read(session, &lane, LaneLock::Alone)
        .await?
        .unwrap_or_default();
    let outcome = match queries::entry_of(session, &lane, id).await? {
        None => RetryOutcome::Unknown,
        Some(Entry {
            ended: Some(ended), ..
        }) => RetryOutcome::Ended { ending: ended.ending },
        Some(_) => {
            let released_entry = released_entry(session, &lane, ChunkNumber::of(arrival)).await?;
            let is_folded = record.state.is_folded(ChunkNumber::of(arrival));
            let outcome = message_outcome(arrival.chunk.digest, released_entry, is_folded);
            match outcome {
                RetryOutcome::Released { .. } => end(session, &lane, id, Ending::Released, by).await?,
                RetryOutcome::LeftBehind => end(session, &lane, id, Ending::LeftBehind, by).await?,
                _ => {}
            }
            outcome
        }
    };
    save_recount(session, &lane, &record).await?;
    session.commit().await?;
    Ok(outcome)
}

async fn released_entry<S: SqlSession>(
    session: &S,
    lane: &Lane,
    chunk_number: ChunkNumber,
) -> Result<Option<ReleasedEntry>> {
    let sql = "SELECT digest, state, rows, rows_quarantined FROM slacktide.ledger \
         WHERE recipient = $1 AND feed = $2 AND epoch = $3 AND number = $4";
    let values = values![
        lane.recipient.as_str(),
        lane.feed.as_str(),
        chunk_number.epoch,
        chunk_number.number
    ];
    let read = |row: &dyn Row| {
        Ok(ReleasedEntry {
            digest: digest::<S>("ledger", &row.text(0)?)?,
            state: EntryState::of_word(&row.text(1)?),
            rows: row.unsigned(2)?,
            refused: row.unsigned(3)?,
        })
    };
    optional(session, sql, &values, read).await
}

/// Discards entries of one lane: their bytes are dropped, their digests and reasons are kept.
pub(crate) async fn discard<S: SqlSession>(
    session: &S,
    lane: &Lane,
    ids: &[String],
    by: &Decision,
) -> Result<Vec<RetryOutcome>> {
    session.begin(Begin::Bookkeeping).await?;
    let record = lanes::read(session, lane, LaneLock::Alone)
        .await?
        .unwrap_or_default();
    let mut outcomes = Vec::with_capacity(ids.len());
    for id in ids {
        outcomes.push(match queries::entry_of(session, lane, id).await? {
            None => RetryOutcome::Unknown,
            Some(Entry {
                ended: Some(ended), ..
            }) => RetryOutcome::Ended { ending: ended.ending },
            Some(_) => {
                end(session, lane, id, Ending::Discarded, by).await?;
                RetryOutcome::Discarded
            }
        });
    }
    save_recount(session, lane, &record).await?;
    session.commit().await?;
    Ok(outcomes)
}
