//! Transactions of the quarantine.

use schemas::digest::Digest;
use schemas::name::Lane;
use tokio_postgres::types::ToSql;

use super::super::records::{self, LaneLock, int, small};
use super::super::rows::{Refused, Target, stage};
use super::super::session::{IMMEDIATE, Session};
use super::super::{failure, ownership, steps};
use super::queries;
use crate::error::Result;
use crate::layout::{LaneTables, Role};
use crate::ledger::{ChunkLinks, EntryState, Judgement, needed, plan};
use crate::merge::ChunkNumber;
use crate::port::Arrival;
use crate::quarantine::decide::{Below, ReleasedEntry, blocked_outcome, message_outcome, recount};
use crate::quarantine::{Decision, Ending, Entry, NO_PLACE, RetryOutcome, chunk_of_row, restored_decision};
use crate::record::{LaneRecord, broken};
use crate::table::shape::{Fit, fit};

fn pg<T>(result: std::result::Result<T, tokio_postgres::Error>) -> Result<T> {
    result.map_err(|error| failure::of(&error))
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn digest_of(text: &str) -> Result<Digest> {
    Digest::from_hex(text).map_err(|_| broken("slacktide.ledger"))
}

pub(super) async fn judge(session: &Session, arrival: &Arrival) -> Result<Judgement> {
    let lane = arrival.chunk.manifest.lane();
    let links = [ChunkLinks::of(arrival)];
    let record = records::lane(session, &lane, LaneLock::Free)
        .await?
        .unwrap_or_default();
    let entries = records::entries(session, &lane, &needed(&links)).await?;
    let mut judgements = plan(&record.state, &entries, &links).judgements;
    judgements.pop().ok_or_else(|| broken("slacktide.ledger"))
}

/// A row that may be retried.
pub(super) struct RowRetry {
    pub(super) entry: Entry,
    /// A chunk of this row alone.
    pub(super) arrival: Arrival,
}

/// The outcome of one try.
pub(super) enum TryOutcome {
    /// It is stored, unless a newer version is stored. Contains the number of additional rows, if the server reports
    /// it.
    Stored(Option<i64>),
    /// It was refused. Contains the cause, and whether another row may make room for it.
    Refused(Refused),
    /// It was not tried.
    Not(RetryOutcome),
}

pub(super) async fn retry_rows(
    session: &mut Session,
    tables: &LaneTables,
    ids: &[String],
    by: &Decision,
) -> Result<Vec<RetryOutcome>> {
    let lane = &tables.lane;
    stage_for(session, tables, ids).await?;
    session.begin(IMMEDIATE).await?;
    let Some(record) = records::lane(session, lane, LaneLock::Alone).await? else {
        session.commit().await?;
        return Ok(vec![RetryOutcome::Unknown; ids.len()]);
    };
    let mut outcome = Vec::with_capacity(ids.len());
    for id in ids {
        outcome.push(match tried(session, lane, id, &record, by).await? {
            Err(answer) => answer,
            Ok(tried) => retry_row(session, tables, &record, &tried, by).await?,
        });
    }
    save_recount(session, lane, &record).await?;
    session.commit().await?;
    Ok(outcome)
}

/// Creates the rows' staging tables outside of a transaction, whose rollback would drop them.
pub(super) async fn stage_for(session: &mut Session, tables: &LaneTables, ids: &[String]) -> Result<()> {
    let (lane, layout) = (&tables.lane, &tables.layout);
    let shape = records::lane(session, lane, LaneLock::Free)
        .await?
        .and_then(|record| record.shape);
    for id in ids {
        let content = queries::content(session, lane, id).await?;
        if let (Some(manifest), Some(shape), true) = (
            content.and_then(|content| content.manifest),
            &shape,
            layout.mode.keeps_current(),
        ) {
            let (schema, chunk_number) = (&manifest.schema, ChunkNumber::from_manifest(&manifest));
            if fit(Some(shape), schema, chunk_number, tables, chunk_number) == Fit::Fits {
                let mapping = shape.mapping(schema, chunk_number, layout);
                stage(session, layout, lane, shape, &mapping).await?;
            }
        }
    }
    Ok(())
}

/// Returns a row that may be retried, or its outcome.
pub(super) async fn tried(
    session: &Session,
    lane: &Lane,
    id: &str,
    record: &LaneRecord,
    by: &Decision,
) -> Result<std::result::Result<RowRetry, RetryOutcome>> {
    let Some(entry) = queries::one(session, lane, id).await? else {
        return Ok(Err(RetryOutcome::Unknown));
    };
    let ending = entry.ended.as_ref().map(|ended| ended.ending);
    if let Some(answer) = blocked_outcome(entry.kind, ending, &record.state, entry.chunk_number) {
        if answer == RetryOutcome::LeftBehind {
            end(session, lane, id, Ending::LeftBehind, by).await?;
        }
        return Ok(Err(answer));
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

async fn retry_row(
    session: &Session,
    tables: &LaneTables,
    record: &LaneRecord,
    tried: &RowRetry,
    by: &Decision,
) -> Result<RetryOutcome> {
    match try_row(session, tables, record, tried).await? {
        TryOutcome::Not(outcome) => Ok(outcome),
        TryOutcome::Refused(row) => {
            record_reason(session, &tables.lane, &tried.entry.id, &row.reason).await?;
            Ok(RetryOutcome::Stays { reason: row.reason })
        }
        TryOutcome::Stored(net) => {
            release(session, &tables.lane, tried, net, by).await?;
            Ok(RetryOutcome::Released { rows: 1, refused: 0 })
        }
    }
}

/// Returns the target of a row, or why it is not tried.
pub(super) async fn target<'a>(
    session: &Session,
    tables: &'a LaneTables,
    record: &LaneRecord,
    tried: &'a RowRetry,
) -> Result<std::result::Result<Target<'a>, RetryOutcome>> {
    let (columns, chunk_number) = (
        &tried.arrival.chunk.manifest.schema,
        ChunkNumber::of(&tried.arrival),
    );
    let shape = record
        .shape
        .as_ref()
        .filter(|shape| fit(Some(shape), columns, chunk_number, tables, chunk_number) == Fit::Fits);
    let Some(shape) = shape else {
        return Ok(Err(RetryOutcome::Never {
            reason: NO_PLACE.to_owned(),
        }));
    };
    let is_held = ownership::lock_tables(session, tables, &[Role::Current, Role::History]).await?;
    if !is_held || steps::is_form_missing(session, tables, shape).await? {
        return Ok(Err(RetryOutcome::Waits {
            reason: "its table is taken over or changed with the next chunk: repeat then".to_owned(),
        }));
    }
    let mapping = shape.mapping(columns, chunk_number, &tables.layout);
    let target = Target::new(session, tables, shape, columns, mapping).await?;
    Ok(Ok(target.row_at(tried.entry.ordinal.unwrap_or(0))))
}

/// Stores one row under its chunk's number.
pub(super) async fn try_row(
    session: &Session,
    tables: &LaneTables,
    record: &LaneRecord,
    tried: &RowRetry,
) -> Result<TryOutcome> {
    let target = match target(session, tables, record, tried).await? {
        Ok(target) => target,
        Err(outcome) => return Ok(TryOutcome::Not(outcome)),
    };
    let (refused, _) = target.store(session, &[(0, &tried.arrival)], false).await?;
    let refused = refused.into_iter().next();
    Ok(refused.map_or_else(|| TryOutcome::Stored(target.net()), TryOutcome::Refused))
}

/// Ends the entry of a stored row and adds it to its chunk's counts.
pub(super) async fn release(
    session: &Session,
    lane: &Lane,
    tried: &RowRetry,
    net: Option<i64>,
    by: &Decision,
) -> Result<()> {
    let chunk_number = ChunkNumber::of(&tried.arrival);
    end(session, lane, &tried.entry.id, Ending::Released, by).await?;
    pg(session
        .client
        .execute(
            "UPDATE slacktide.ledger SET rows_quarantined = greatest(rows_quarantined - 1, 0), rows_net = rows_net + $5 \
             WHERE recipient = $1 AND feed = $2 AND epoch = $3 AND number = $4",
            &[
                &lane.recipient.as_str(),
                &lane.feed.as_str(),
                &small(chunk_number.epoch),
                &int(chunk_number.number),
                &net,
            ],
        )
        .await)
    .map(|_| ())
}

pub(super) async fn finish(
    session: &Session,
    arrival: &Arrival,
    id: &str,
    by: &Decision,
) -> Result<RetryOutcome> {
    let lane = arrival.chunk.manifest.lane();
    session.begin(IMMEDIATE).await?;
    let record = records::lane(session, &lane, LaneLock::Alone)
        .await?
        .unwrap_or_default();
    let outcome = match queries::one(session, &lane, id).await? {
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

async fn released_entry(
    session: &Session,
    lane: &Lane,
    chunk_number: ChunkNumber,
) -> Result<Option<ReleasedEntry>> {
    let found = pg(session
        .client
        .query_opt(
            "SELECT digest, state, rows, rows_quarantined FROM slacktide.ledger \
             WHERE recipient = $1 AND feed = $2 AND epoch = $3 AND number = $4",
            &[
                &lane.recipient.as_str(),
                &lane.feed.as_str(),
                &small(chunk_number.epoch),
                &int(chunk_number.number),
            ],
        )
        .await)?;
    let Some(row) = found else { return Ok(None) };
    let digest: String = pg(row.try_get(0))?;
    Ok(Some(ReleasedEntry {
        digest: digest_of(&digest)?,
        state: EntryState::of_word(pg(row.try_get(1))?),
        rows: unsigned(pg(row.try_get(2))?),
        refused: unsigned(pg(row.try_get(3))?),
    }))
}

pub(super) async fn record_reason(session: &Session, lane: &Lane, id: &str, reason: &str) -> Result<()> {
    pg(session
        .client
        .execute(
            "UPDATE slacktide.quarantine SET reason = $4 WHERE recipient = $1 AND feed = $2 AND id = $3 AND ended IS NULL",
            &[&lane.recipient.as_str(), &lane.feed.as_str(), &id, &reason],
        )
        .await)
    .map(|_| ())
}

pub(super) async fn discard(
    session: &Session,
    lane: &Lane,
    ids: &[String],
    by: &Decision,
) -> Result<Vec<RetryOutcome>> {
    session.begin(IMMEDIATE).await?;
    let record = records::lane(session, lane, LaneLock::Alone)
        .await?
        .unwrap_or_default();
    let mut outcome = Vec::with_capacity(ids.len());
    for id in ids {
        outcome.push(match queries::one(session, lane, id).await? {
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
    Ok(outcome)
}

/// Ends an entry: its bytes are dropped, their digest is kept.
async fn end(session: &Session, lane: &Lane, id: &str, ending: Ending, by: &Decision) -> Result<()> {
    let params: [&(dyn ToSql + Sync); 6] = [
        &lane.recipient.as_str(),
        &lane.feed.as_str(),
        &id,
        &ending.word(),
        &by.actor,
        &by.reason,
    ];
    pg(session
        .client
        .execute(
            "UPDATE slacktide.quarantine SET ended = $4, ended_digest = encode(sha256(bytes), 'hex'), bytes = '', retry_at = NULL, \
             ended_by = $5, ended_reason = $6, ended_at = clock_timestamp() \
             WHERE recipient = $1 AND feed = $2 AND id = $3 AND ended IS NULL",
            &params,
        )
        .await)
    .map(|_| ())
}

/// Ends the entries of rows whose chunks are stored again.
pub(in crate::postgres) async fn end_rows(
    session: &Session,
    lane: &Lane,
    chunk_numbers: &[ChunkNumber],
) -> Result<()> {
    if chunk_numbers.is_empty() {
        return Ok(());
    }
    let epochs: Vec<i32> = chunk_numbers
        .iter()
        .map(|chunk_number| small(chunk_number.epoch))
        .collect();
    let numbers: Vec<i64> = chunk_numbers
        .iter()
        .map(|chunk_number| int(chunk_number.number))
        .collect();
    let by = restored_decision();
    let params: [&(dyn ToSql + Sync); 7] = [
        &lane.recipient.as_str(),
        &lane.feed.as_str(),
        &epochs,
        &numbers,
        &Ending::Released.word(),
        &by.actor,
        &by.reason,
    ];
    pg(session
        .client
        .execute(
            "UPDATE slacktide.quarantine q SET ended = $5, ended_digest = encode(sha256(bytes), 'hex'), bytes = '', \
             retry_at = NULL, ended_by = $6, ended_reason = $7, ended_at = clock_timestamp() \
             FROM unnest($3::int[], $4::bigint[]) AS p (epoch, number) \
             WHERE q.recipient = $1 AND q.feed = $2 AND (q.epoch, q.number) = (p.epoch, p.number) \
             AND q.ordinal IS NOT NULL AND q.kind IS DISTINCT FROM 'reject' AND q.ended IS NULL",
            &params,
        )
        .await)
    .map(|_| ())
}

/// Recounts the chunks below the frontier; the lane's row must be locked exclusively.
pub(in crate::postgres) async fn save_recount(
    session: &Session,
    lane: &Lane,
    record: &LaneRecord,
) -> Result<()> {
    let at = record.frontier.chunk_number();
    if at.number == 0 {
        return Ok(());
    }
    let frontier = recount(&record.frontier, &record.state, &below(session, lane, at).await?);
    let text = LaneRecord {
        frontier,
        ..record.clone()
    }
    .texts()?
    .frontier;
    pg(session
        .client
        .execute(
            "UPDATE slacktide.lanes SET frontier = $3 WHERE recipient = $1 AND feed = $2",
            &[&lane.recipient.as_str(), &lane.feed.as_str(), &text],
        )
        .await)
    .map(|_| ())
}

async fn below(session: &Session, lane: &Lane, at: ChunkNumber) -> Result<Below> {
    let (epoch, number) = (small(at.epoch), int(at.number));
    let params: [&(dyn ToSql + Sync); 4] = [&lane.recipient.as_str(), &lane.feed.as_str(), &epoch, &number];
    let query = async |sql: &str| pg(session.client.query(sql, &params).await);
    let mut below = Below::default();
    let same = "recipient = $1 AND feed = $2 AND epoch = $3 AND number";
    for row in query(&format!(
        "SELECT digest, state FROM slacktide.ledger WHERE {same} = $4"
    ))
    .await?
    {
        let (digest, state): (String, String) = (pg(row.try_get(0))?, pg(row.try_get(1))?);
        below.head = Some((
            digest_of(&digest)?,
            EntryState::of_word(&state) == EntryState::Stored,
        ));
    }
    let stored = format!("slacktide.ledger WHERE {same} <= $4 AND state = 'stored'");
    for row in query(&format!("SELECT coalesce(sum(rows), 0)::bigint FROM {stored}")).await? {
        below.rows = unsigned(pg(row.try_get(0))?);
    }
    for row in query(&format!(
        "SELECT cursor_after FROM {stored} ORDER BY number DESC LIMIT 1"
    ))
    .await?
    {
        let cursor: Option<String> = pg(row.try_get(0))?;
        below.cursor = cursor
            .map(|text| serde_json::from_str(&text).map_err(|_| broken("slacktide.ledger")))
            .transpose()?;
    }
    let marked = "SELECT l.epoch, l.number, EXISTS (SELECT FROM slacktide.quarantine q WHERE q.recipient = $1 \
         AND q.feed = $2 AND q.epoch = l.epoch AND q.number = l.number AND q.ended IS NULL \
         AND q.kind IS DISTINCT FROM 'reject') FROM slacktide.ledger l WHERE l.recipient = $1 AND l.feed = $2 \
         AND (l.epoch, l.number) <= ($3, $4) AND (l.state = 'quarantined' OR l.rows_quarantined > 0) ORDER BY 1, 2";
    for row in query(marked).await? {
        let (epoch, number): (i32, i64) = (pg(row.try_get(0))?, pg(row.try_get(1))?);
        let chunk_number = ChunkNumber {
            epoch: u32::try_from(epoch).unwrap_or(0),
            number: unsigned(number),
        };
        below.marked.push((chunk_number, pg(row.try_get(2))?));
    }
    Ok(below)
}
