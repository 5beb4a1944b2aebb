//! Operations on lanes, each in its own transactions.

use schemas::name::Lane;

use super::lanes::{BATCH_ENTRIES, list, make, read, save_columns, save_frontier, save_state};
use super::{Begin, LaneLock, SqlSession, ledger, values};
use crate::advance::advance;
use crate::chunk_number::ChunkNumber;
use crate::error::Result;
use crate::merge::last_passed;
use crate::port::{Approval, LaneReport};
use crate::record::text;
use crate::refusal::Refusal;
use crate::table::batch_plan::{Refused, refusal};
use crate::table::schema_change::PendingChange;

/// Records why nothing of a lane is stored until an operator acts, in its own transaction.
pub(crate) async fn refuse<S: SqlSession>(
    session: &S,
    lane: &Lane,
    chunk_number: ChunkNumber,
    why: Refusal,
) -> Result<()> {
    session.begin(Begin::Bookkeeping).await?;
    make(session, lane).await?;
    let mut record = read(session, lane, LaneLock::Alone).await?.unwrap_or_default();
    if let Some(refused) = refusal(record.refused.as_ref(), Some(Refused { chunk_number, why }), None) {
        record.refused = refused;
        save_columns(session, lane, &record).await?;
    }
    session.commit().await
}

/// Advances every lane's frontier, one transaction for each lane.
pub(crate) async fn reports<S: SqlSession>(session: &S) -> Result<Vec<LaneReport>> {
    let mut reports = Vec::new();
    for lane in list(session).await? {
        session.begin(Begin::Bookkeeping).await?;
        reports.extend(report(session, &lane).await?);
        session.commit().await?;
    }
    Ok(reports)
}

async fn report<S: SqlSession>(session: &S, lane: &Lane) -> Result<Option<LaneReport>> {
    let Some(mut record) = read(session, lane, LaneLock::Free).await? else {
        return Ok(None);
    };
    let mut is_held = false;
    loop {
        let entries = ledger::after(session, lane, record.frontier.chunk_number(), BATCH_ENTRIES).await?;
        let step = advance(&record.frontier, &record.state, &entries);
        let moved = step.frontier != record.frontier;
        if moved && !is_held {
            // A retry of the quarantine changes entries and recounts below the frontier under an exclusive lock. So
            // data read before the lock is read again.
            let Some(now) = read(session, lane, LaneLock::Frontier).await? else {
                return Ok(None);
            };
            (record, is_held) = (now, true);
            continue;
        }
        record.frontier = step.frontier;
        if let Some(reason) = step.broken {
            // Exclusive from here on: waits for transactions that store.
            let Some(now) = read(session, lane, LaneLock::Alone).await? else {
                return Ok(None);
            };
            if now.state == record.state && now.state.stopped.is_none() {
                record.state.stopped = Some(reason);
                save_state(session, lane, &record).await?;
            } else {
                record.state = now.state;
            }
            break;
        }
        if !moved {
            break;
        }
    }
    if is_held {
        save_frontier(session, lane, &record).await?;
        let last = last_passed(&record.frontier);
        let sql = "DELETE FROM slacktide.tombstones WHERE recipient = $1 AND feed = $2 AND (epoch, number) <= ($3, $4)";
        let values = values![
            lane.recipient.as_str(),
            lane.feed.as_str(),
            last.epoch,
            last.number
        ];
        session.execute(sql, &values).await?;
    }
    let pending = ledger::count_pending(session, lane, record.frontier.chunk_number()).await?;
    Ok(Some(record.report(lane, pending)))
}

/// Returns every lane with a pending change.
pub(crate) async fn pending_changes<S: SqlSession>(session: &S) -> Result<Vec<(Lane, PendingChange)>> {
    let mut waiting = Vec::new();
    for lane in list(session).await? {
        let record = read(session, &lane, LaneLock::Free).await?;
        if let Some(pending) = record.and_then(|record| record.pending_change) {
            waiting.push((lane, pending));
        }
    }
    Ok(waiting)
}

/// Applies an operator's approval, in its own transaction.
pub(crate) async fn accept<S: SqlSession>(
    session: &S,
    lane: &Lane,
    approval: &Approval,
) -> Result<Option<PendingChange>> {
    session.begin(Begin::Bookkeeping).await?;
    let mut record = read(session, lane, LaneLock::Alone).await?.unwrap_or_default();
    let accepted = record.accept();
    if let Some(pending) = &accepted {
        let sql = "INSERT INTO slacktide.changes (recipient, feed, accepted_at, epoch, number, changes, actor, reason) \
             VALUES ($1, $2, clock_timestamp(), $3, $4, $5, $6, $7)";
        let changes = text(&pending.changes)?;
        let values = values![
            lane.recipient.as_str(),
            lane.feed.as_str(),
            pending.chunk_number.epoch,
            pending.chunk_number.number,
            &changes,
            &approval.actor,
            &approval.reason
        ];
        session.execute(sql, &values).await?;
        save_columns(session, lane, &record).await?;
    }
    session.commit().await?;
    Ok(accepted)
}
