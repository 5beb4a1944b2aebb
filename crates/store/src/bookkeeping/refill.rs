//! The store's identity, and chunks stored again.

use schemas::name::Lane;
use schemas::receipt::StoreId;

use super::feed_tables::FeedTables;
use super::lanes::BATCH_ENTRIES;
use super::quarantine::{CHUNK_NUMBER_COLUMNS, chunk_number_records, save_recount};
use super::sql::{one, optional};
use super::{Begin, LaneLock, Row, SqlSession, chunk_number, json, lanes, ledger, unreadable, values};
use crate::advance::advance;
use crate::chunk_number::ChunkNumber;
use crate::error::Result;
use crate::layout::{LaneTables, Layout};
use crate::port::Approval;
use crate::quarantine::decide::counts;
use crate::record::{LaneRecord, text};
use crate::refill::Identity;
use crate::table::{EPOCH, NUMBER};

/// Creates the store's identity, if it has none.
pub(crate) async fn make_identity<S: SqlSession>(session: &S) -> Result<()> {
    // An account that may only read the table can use an existing identity.
    let known = optional(session, "SELECT 1 FROM slacktide.store", &[], |_| Ok(())).await?;
    if known.is_some() {
        return Ok(());
    }
    let id = StoreId::of(rand::random()).to_string();
    let sql = "INSERT INTO slacktide.store (id, created_at, replaces) SELECT $1, clock_timestamp(), '[]' \
         WHERE NOT EXISTS (SELECT 1 FROM slacktide.store) ON CONFLICT DO NOTHING";
    session.execute(sql, &values![&id]).await.map(|_| ())
}

/// Returns the store's identity.
pub(crate) async fn identity<S: SqlSession>(session: &S) -> Result<Identity> {
    identity_with(session, LaneLock::Free).await
}

async fn identity_with<S: SqlSession>(session: &S, lock: LaneLock) -> Result<Identity> {
    const TABLE: &str = "store";
    let sql = format!("SELECT id, replaces FROM slacktide.store {}", S::row_lock(lock));
    let read = |row: &dyn Row| {
        Ok(Identity {
            id: row.text(0)?.parse().map_err(|_| unreadable::<S>(TABLE))?,
            replaces: json::<S, _>(TABLE, &row.text(1)?)?,
        })
    };
    one(session, &sql, &[], read).await
}

/// Removes the versions of chunks from a history before the chunks are stored again.
pub(crate) async fn forget_history<S: SqlSession>(
    session: &S,
    layout: &Layout,
    chunk_numbers: &[ChunkNumber],
) -> Result<()> {
    if chunk_numbers.is_empty() || !layout.mode.keeps_history() {
        return Ok(());
    }
    let sql = format!(
        "DELETE FROM {} WHERE ({EPOCH}, {NUMBER}) IN (SELECT u.epoch, u.number FROM {})",
        layout.sql(&layout.history),
        S::records("$1", CHUNK_NUMBER_COLUMNS)
    );
    let chunk_numbers = chunk_number_records(chunk_numbers)?;
    session.execute(&sql, &values![&chunk_numbers]).await.map(|_| ())
}

/// Records what an operator declared.
pub(crate) async fn declare<S: SqlSession>(session: &S, what: &str, by: &Approval) -> Result<()> {
    let sql = "INSERT INTO slacktide.declarations VALUES (clock_timestamp(), $1, $2, $3)";
    let values = values![what, &by.actor, &by.reason];
    session.execute(sql, &values).await.map(|_| ())
}

/// Declares that this store replaces others, in its own transaction.
pub(crate) async fn replace<S: SqlSession>(
    session: &S,
    stores: &[StoreId],
    by: &Approval,
) -> Result<Identity> {
    session.begin(Begin::Bookkeeping).await?;
    let mut identity = identity_with(session, LaneLock::Alone).await?;
    for store in stores {
        if !identity.owns(store) {
            identity.replaces.push(store.clone());
            declare(session, &format!("takes the place of store {store}"), by).await?;
        }
    }
    let replaces = text(&identity.replaces)?;
    let sql = "UPDATE slacktide.store SET replaces = $1";
    session.execute(sql, &values![&replaces]).await?;
    session.commit().await?;
    Ok(identity)
}

/// Awaits the stored chunks of a range again, and creates missing tables, in its own transaction. Returns the number of
/// awaited chunks.
pub(crate) async fn mark_awaited<S: FeedTables>(
    session: &S,
    tables: &LaneTables,
    from: ChunkNumber,
    to: ChunkNumber,
) -> Result<u64> {
    let lane = &tables.lane;
    session.begin(Begin::Tables).await?;
    let Some(mut record) = lanes::read(session, lane, LaneLock::Alone).await? else {
        session.commit().await?;
        return Ok(0);
    };
    if let Some(shape) = &record.shape {
        session.make_missing(tables, shape).await?;
    }
    let sql = "UPDATE slacktide.ledger SET state = 'awaited' WHERE recipient = $1 AND feed = $2 AND state = 'stored' \
         AND (epoch, number) >= ($3, $4) AND (epoch, number) <= ($5, $6)";
    let values = values![
        lane.recipient.as_str(),
        lane.feed.as_str(),
        from.epoch,
        from.number,
        to.epoch,
        to.number
    ];
    let awaited = session.execute(sql, &values).await?;
    let is_unfolded = record.state.unfold(from);
    if is_unfolded {
        lanes::set_compaction(session, lane, &record).await?;
    }
    if awaited > 0 || is_unfolded {
        rewind_frontier(session, lane, &mut record).await?;
    }
    session.commit().await?;
    Ok(awaited)
}

/// Moves the frontier to before the first awaited chunk, in a transaction that locks the lane exclusively.
pub(crate) async fn rewind_frontier<S: SqlSession>(
    session: &S,
    lane: &Lane,
    record: &mut LaneRecord,
) -> Result<()> {
    record.frontier = record.frontier.restart(&record.state);
    loop {
        let entries = ledger::after(session, lane, record.frontier.chunk_number(), BATCH_ENTRIES).await?;
        let step = advance(&record.frontier, &record.state, &entries);
        let moved = step.frontier != record.frontier;
        record.frontier = step.frontier;
        if !moved || step.broken.is_some() {
            break;
        }
    }
    lanes::set_frontier(session, lane, &record.frontier).await?;
    // Discarded rows do not keep anything waiting.
    save_recount(session, lane, record).await
}

/// Returns up to `limit` awaited chunks of a lane, in order, without superseded ones.
pub(crate) async fn awaited<S: SqlSession>(session: &S, lane: &Lane, limit: u32) -> Result<Vec<ChunkNumber>> {
    let record = lanes::read(session, lane, LaneLock::Free)
        .await?
        .unwrap_or_default();
    let sql = "SELECT epoch, number FROM slacktide.ledger WHERE recipient = $1 AND feed = $2 AND state = 'awaited' \
         ORDER BY epoch, number";
    let values = values![lane.recipient.as_str(), lane.feed.as_str()];
    let found = session.query(sql, &values, |row| chunk_number(row, 0, 1)).await?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    Ok(found
        .into_iter()
        .filter(|at| counts(&record.state, *at))
        .take(limit)
        .collect())
}

/// Marks an awaited chunk as stored again, because it cannot be fetched.
pub(crate) async fn mark_stored<S: SqlSession>(
    session: &S,
    lane: &Lane,
    chunk_number: ChunkNumber,
) -> Result<()> {
    let sql = "UPDATE slacktide.ledger SET state = 'stored' WHERE recipient = $1 AND feed = $2 AND epoch = $3 \
         AND number = $4 AND state = 'awaited'";
    let values = values![
        lane.recipient.as_str(),
        lane.feed.as_str(),
        chunk_number.epoch,
        chunk_number.number
    ];
    session.execute(sql, &values).await.map(|_| ())
}
