//! Identity, chunks stored again, and row counts.

use std::time::Duration;

use async_trait::async_trait;
use schemas::name::Lane;
use schemas::receipt::StoreId;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

use super::records::{self, LaneLock, int, small};
use super::session::Session;
use super::{PostgresStore, failure, ownership, quarantine, steps, tables};
use crate::error::Result;
use crate::frontier::advance;
use crate::layout::{Database, LaneTables, Layout, Options, Role};
use crate::merge::ChunkNumber;
use crate::ownership::FoundTable;
use crate::port::Approval;
use crate::quarantine::decide::counts;
use crate::record::{LaneRecord, broken, text};
use crate::refill::{Identity, Refill, RowCount, Rows};
use crate::table::{EPOCH, NUMBER};

/// Tables and columns added by an upgrade.
const TABLES_SQL: &str = "
CREATE TABLE IF NOT EXISTS slacktide.store (
    singleton boolean NOT NULL DEFAULT true PRIMARY KEY CHECK (singleton),
    id text NOT NULL, created_at timestamptz NOT NULL, replaces text NOT NULL);
CREATE TABLE IF NOT EXISTS slacktide.declarations (
    declared_at timestamptz NOT NULL, declaration text NOT NULL, actor text NOT NULL, reason text NOT NULL);
ALTER TABLE slacktide.ledger ADD COLUMN IF NOT EXISTS rows_net bigint;
ALTER TABLE slacktide.tables ADD COLUMN IF NOT EXISTS base_rows bigint;
";

const TABLES_EXIST_SQL: &str = "SELECT to_regclass('slacktide.store') IS NOT NULL AND to_regclass('slacktide.declarations') IS NOT NULL \
     AND EXISTS (SELECT FROM pg_catalog.pg_attribute WHERE attrelid = to_regclass('slacktide.ledger') AND attname = 'rows_net') \
     AND EXISTS (SELECT FROM pg_catalog.pg_attribute WHERE attrelid = to_regclass('slacktide.tables') AND attname = 'base_rows')";

/// The number of entries read at a time.
const BATCH_ENTRIES: i64 = 2_000;

fn pg<T>(result: std::result::Result<T, tokio_postgres::Error>) -> Result<T> {
    result.map_err(|error| failure::of(&error))
}

/// Creates the bookkeeping and the identity.
pub(super) async fn prepare(session: &Session) -> Result<()> {
    let row = pg(session.client.query_one(TABLES_EXIST_SQL, &[]).await)?;
    if !pg(row.try_get::<_, bool>(0))? {
        let lock = tables::LOCK;
        session
            .run(&format!(
                "BEGIN; SELECT pg_advisory_xact_lock({lock}); {TABLES_SQL} COMMIT"
            ))
            .await?;
    }
    let known = pg(session.client.query_opt("SELECT FROM slacktide.store", &[]).await)?;
    if known.is_some() {
        return Ok(());
    }
    let id = StoreId::of(rand::random()).to_string();
    let made = "INSERT INTO slacktide.store (id, created_at, replaces) VALUES ($1, clock_timestamp(), '[]') \
         ON CONFLICT DO NOTHING";
    pg(session.client.execute(made, &[&id]).await).map(|_| ())
}

pub(super) async fn identity(session: &Session) -> Result<Identity> {
    let sql = "SELECT id, replaces FROM slacktide.store";
    let row = pg(session.client.query_one(sql, &[]).await)?;
    let (id, replaces): (String, String) = (pg(row.try_get(0))?, pg(row.try_get(1))?);
    Ok(Identity {
        id: id.parse().map_err(|_| broken("slacktide.store"))?,
        replaces: serde_json::from_str(&replaces).map_err(|_| broken("slacktide.store"))?,
    })
}

/// Removes the versions of chunks from a history before the chunks are stored again.
pub(super) async fn forget_history(
    session: &Session,
    layout: &Layout,
    chunk_numbers: &[ChunkNumber],
) -> Result<()> {
    if chunk_numbers.is_empty() || !layout.mode.keeps_history() {
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
    let sql = format!(
        "DELETE FROM {} t USING unnest($1::int[], $2::bigint[]) AS p (epoch, number) \
         WHERE (t.{EPOCH}, t.{NUMBER}) = (p.epoch, p.number)",
        layout.sql(&layout.history)
    );
    pg(session.client.execute(&sql, &[&epochs, &numbers]).await).map(|_| ())
}

async fn note(session: &Session, what: &str, by: &Approval) -> Result<()> {
    let sql = "INSERT INTO slacktide.declarations VALUES (clock_timestamp(), $1, $2, $3)";
    pg(session.client.execute(sql, &[&what, &by.actor, &by.reason]).await).map(|_| ())
}

async fn replace(session: &Session, stores: &[StoreId], by: &Approval) -> Result<Identity> {
    session
        .begin("LOCK TABLE slacktide.store IN EXCLUSIVE MODE")
        .await?;
    let mut identity = identity(session).await?;
    for store in stores {
        if !identity.owns(store) {
            identity.replaces.push(store.clone());
            note(session, &format!("takes the place of store {store}"), by).await?;
        }
    }
    let replaces = text(&identity.replaces)?;
    let sql = "UPDATE slacktide.store SET replaces = $1";
    pg(session.client.execute(sql, &[&replaces]).await)?;
    session.commit().await?;
    Ok(identity)
}

async fn mark_awaited(
    session: &Session,
    tables: &LaneTables,
    from: ChunkNumber,
    to: ChunkNumber,
) -> Result<u64> {
    let lane = &tables.lane;
    session.begin(&tables::locked()).await?;
    let Some(mut record) = records::lane(session, lane, LaneLock::Alone).await? else {
        session.commit().await?;
        return Ok(0);
    };
    if let Some(shape) = &record.shape {
        steps::make_missing(session, tables, shape).await?;
    }
    let params: [&(dyn ToSql + Sync); 6] = [
        &lane.recipient.as_str(),
        &lane.feed.as_str(),
        &small(from.epoch),
        &int(from.number),
        &small(to.epoch),
        &int(to.number),
    ];
    let sql = "UPDATE slacktide.ledger SET state = 'awaited' WHERE recipient = $1 AND feed = $2 AND state = 'stored' \
         AND (epoch, number) >= ($3, $4) AND (epoch, number) <= ($5, $6)";
    let awaited = pg(session.client.execute(sql, &params).await)?;
    let is_unfolded = record.state.unfold(from);
    if is_unfolded {
        records::set_compaction(session, lane, &record).await?;
    }
    if awaited > 0 || is_unfolded {
        rewind_frontier(session, lane, &mut record).await?;
    }
    session.commit().await?;
    Ok(awaited)
}

/// Moves the frontier to before the first awaited chunk, in a transaction that locks the lane exclusively.
pub(super) async fn rewind_frontier(session: &Session, lane: &Lane, record: &mut LaneRecord) -> Result<()> {
    record.frontier = record.frontier.restart(&record.state);
    loop {
        let entries = records::after(session, lane, record.frontier.chunk_number(), BATCH_ENTRIES).await?;
        let step = advance(&record.frontier, &record.state, &entries);
        let moved = step.frontier != record.frontier;
        record.frontier = step.frontier;
        if !moved || step.broken.is_some() {
            break;
        }
    }
    records::set_frontier(session, lane, record).await?;
    // Discarded rows do not keep anything waiting.
    quarantine::save_recount(session, lane, record).await
}

async fn awaited(session: &Session, lane: &Lane, limit: u32) -> Result<Vec<ChunkNumber>> {
    let record = records::lane(session, lane, LaneLock::Free)
        .await?
        .unwrap_or_default();
    let sql = "SELECT epoch, number FROM slacktide.ledger WHERE recipient = $1 AND feed = $2 AND state = 'awaited' \
         ORDER BY epoch, number";
    let params: [&(dyn ToSql + Sync); 2] = [&lane.recipient.as_str(), &lane.feed.as_str()];
    let rows = pg(session.client.query(sql, &params).await)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut chunk_numbers = Vec::new();
    for row in &rows {
        let (epoch, number): (i32, i64) = (pg(row.try_get(0))?, pg(row.try_get(1))?);
        let chunk_number = ChunkNumber {
            epoch: u32::try_from(epoch).unwrap_or(0),
            number: u64::try_from(number).unwrap_or(0),
        };
        if chunk_numbers.len() < limit && counts(&record.state, chunk_number) {
            chunk_numbers.push(chunk_number);
        }
    }
    Ok(chunk_numbers)
}

async fn mark_stored(session: &Session, lane: &Lane, chunk_number: ChunkNumber) -> Result<()> {
    let sql = "UPDATE slacktide.ledger SET state = 'stored' WHERE recipient = $1 AND feed = $2 AND epoch = $3 \
         AND number = $4 AND state = 'awaited'";
    let params: [&(dyn ToSql + Sync); 4] = [
        &lane.recipient.as_str(),
        &lane.feed.as_str(),
        &small(chunk_number.epoch),
        &int(chunk_number.number),
    ];
    pg(session.client.execute(sql, &params).await).map(|_| ())
}

/// Returns the statement that sets `base_rows`. The expected row count is `base_rows` plus the rows that the ledger's
/// chunks added.
fn with_base(set: &str, table: &str, only: &str) -> String {
    format!(
        "UPDATE slacktide.tables SET {set} = (SELECT count(*) FROM {table}) - coalesce((SELECT sum(rows_net) \
         FROM slacktide.ledger WHERE recipient = $1 AND feed = $2), 0)::bigint \
         WHERE recipient = $1 AND owner = $3 AND role = $4 {only}"
    )
}

/// Returns the table whose rows are counted, with its role.
fn counted(layout: &Layout) -> (Role, &str) {
    if layout.mode.keeps_current() {
        (Role::Current, layout.table.as_str())
    } else {
        (Role::History, layout.history.as_str())
    }
}

async fn accept_row_count(session: &Session, tables: &LaneTables, by: Option<&Approval>) -> Result<()> {
    session.begin("").await?;
    // Entries must not be folded while their rows are counted.
    records::lane(session, &tables.lane, LaneLock::Frontier).await?;
    if let Some(by) = by {
        let what = format!("takes the rows of lane {} as they are", tables.lane);
        note(session, &what, by).await?;
    }
    take_rows(session, tables).await?;
    session.commit().await
}

/// Records that rows of the lane's table were removed, in a transaction.
pub(super) async fn forget_rows(session: &Session, tables: &LaneTables, removed: u64) -> Result<()> {
    let sql = "UPDATE slacktide.tables SET base_rows = base_rows - $4 WHERE recipient = $1 AND owner = $2 AND role = $3";
    let recipient = tables.lane.recipient.as_str();
    let params: [&(dyn ToSql + Sync); 4] = [
        &recipient,
        &tables.owner.key(),
        &Role::Current.word(),
        &int(removed),
    ];
    pg(session.client.execute(sql, &params).await).map(|_| ())
}

/// Restarts the row count of a lane: it is taken from the table once no chunk is awaited. Runs in a transaction.
pub(super) async fn restart_counting(session: &Session, tables: &LaneTables) -> Result<()> {
    let sql =
        "UPDATE slacktide.tables SET base_rows = NULL WHERE recipient = $1 AND owner = $2 AND role = $3";
    let recipient = tables.lane.recipient.as_str();
    let (role, _) = counted(&tables.layout);
    let params: [&(dyn ToSql + Sync); 3] = [&recipient, &tables.owner.key(), &role.word()];
    pg(session.client.execute(sql, &params).await).map(|_| ())
}

/// Accepts the current rows of the lane's table as the stored rows, in a transaction.
pub(super) async fn take_rows(session: &Session, tables: &LaneTables) -> Result<()> {
    let lane = &tables.lane;
    let (role, table) = counted(&tables.layout);
    let sql = with_base("base_rows", &tables.layout.sql(table), "");
    pg(session
        .client
        .execute(
            &sql,
            &[
                &lane.recipient.as_str(),
                &lane.feed.as_str(),
                &tables.owner.key(),
                &role.word(),
            ],
        )
        .await)
    .map(|_| ())
}

async fn count_rows(session: &Session, options: &Options, limit: Duration) -> Result<Vec<RowCount>> {
    let mut counts = Vec::new();
    for lane in records::lanes(session).await? {
        let record = records::lane(session, &lane, LaneLock::Free).await?;
        let shape = record.and_then(|record| record.shape);
        let Some(layout) = shape.and_then(|shape| shape.layout) else {
            continue;
        };
        let tables = options.tables(Database::Postgres, &lane).with_layout(&layout);
        let (role, table) = counted(&layout);
        let sql = layout.sql(table);
        let found = ownership::find_table(session, &tables, role, table).await?;
        let rows = match found {
            FoundTable::Created | FoundTable::Adopted => count(session, &tables, (role, &sql), limit).await?,
            _ => Rows::Gone,
        };
        counts.push(RowCount {
            lane,
            table: sql,
            is_shared: found == FoundTable::Adopted,
            rows,
        });
    }
    Ok(counts)
}

/// Counts in one snapshot.
async fn count(
    session: &Session,
    tables: &LaneTables,
    (role, table): (Role, &str),
    limit: Duration,
) -> Result<Rows> {
    let lane = &tables.lane;
    if super::rows::is_partitioned(session, table).await? || is_count_deferred(session, tables, role).await? {
        return Ok(Rows::Unknown);
    }
    let (owner, limit) = (tables.owner.key(), limit.as_millis());
    let params: [&(dyn ToSql + Sync); 4] = [
        &lane.recipient.as_str(),
        &lane.feed.as_str(),
        &owner,
        &role.word(),
    ];
    session
        .begin(&format!(
            "SET LOCAL statement_timeout = {limit}; SET LOCAL lock_timeout = {limit}"
        ))
        .await?;
    let sql = format!(
        "SELECT (SELECT count(*) FROM {table}), base_rows + coalesce((SELECT sum(rows_net) FROM slacktide.ledger \
         WHERE recipient = $1 AND feed = $2), 0)::bigint FROM slacktide.tables \
         WHERE recipient = $1 AND owner = $3 AND role = $4"
    );
    let counted = async {
        let Some(row) = session.client.query_opt(&sql, &params).await? else {
            return Ok(Rows::Unknown);
        };
        let (found, stored): (i64, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
        let Some(stored) = stored else {
            // Rows were not counted when they were stored, so counting begins with the current rows. Entries must not
            // be folded meanwhile.
            let held = "SELECT FROM slacktide.lanes WHERE recipient = $1 AND feed = $2 FOR NO KEY UPDATE";
            session
                .client
                .execute(held, &[&lane.recipient.as_str(), &lane.feed.as_str()])
                .await?;
            let begun = with_base("base_rows", table, "AND base_rows IS NULL");
            session.client.execute(&begun, &params).await?;
            return Ok(Rows::Unknown);
        };
        let unsigned = |number| u64::try_from(number).unwrap_or(0);
        Ok(Rows::Counted {
            stored: unsigned(stored),
            found: unsigned(found),
        })
    };
    let counted: std::result::Result<Rows, tokio_postgres::Error> = counted.await;
    match counted {
        Ok(rows) => session.commit().await.map(|()| rows),
        Err(error) => {
            session.rollback().await;
            let took_too_long = [SqlState::QUERY_CANCELED, SqlState::LOCK_NOT_AVAILABLE]
                .iter()
                .any(|state| error.code() == Some(state));
            // The table may have been dropped between the check and the count.
            let is_gone = error.code() == Some(&SqlState::UNDEFINED_TABLE);
            match (took_too_long, is_gone) {
                (true, _) => Ok(Rows::Unknown),
                (_, true) => Ok(Rows::Gone),
                _ => Err(failure::of(&error)),
            }
        }
    }
}

/// Returns whether the count of a lane must wait: it restarts, and rows of awaited chunks are not in the table yet.
async fn is_count_deferred(session: &Session, tables: &LaneTables, role: Role) -> Result<bool> {
    let sql = "SELECT FROM slacktide.tables WHERE recipient = $1 AND owner = $2 AND role = $3 AND base_rows IS NULL";
    let recipient = tables.lane.recipient.as_str();
    let params: [&(dyn ToSql + Sync); 3] = [&recipient, &tables.owner.key(), &role.word()];
    let restarts = pg(session.client.query_opt(sql, &params).await)?.is_some();
    Ok(restarts && !awaited(session, &tables.lane, 1).await?.is_empty())
}

impl PostgresStore {
    pub(super) async fn counted_rows(&self, limit: Duration) -> Result<Vec<RowCount>> {
        let session = self.pool.take().await?;
        let done = count_rows(&session, &self.options, limit).await;
        self.pool.release(session, &done).await;
        done
    }

    pub(super) async fn identified(&self) -> Result<Identity> {
        let session = self.pool.take().await?;
        let done = identity(&session).await;
        self.pool.release(session, &done).await;
        done
    }

    async fn rolled_back<T>(session: &Session, done: Result<T>) -> Result<T> {
        if done.is_err() {
            session.rollback().await;
        }
        done
    }
}

#[async_trait]
impl Refill for PostgresStore {
    async fn mark_awaited(&self, lane: &Lane, from: ChunkNumber, to: ChunkNumber) -> Result<u64> {
        let session = self.pool.take().await?;
        let tables = self.options.tables(Database::Postgres, lane);
        let done = mark_awaited(&session, &tables, from, to).await;
        let done = Self::rolled_back(&session, done).await;
        self.pool.release(session, &done).await;
        self.forget(lane);
        done
    }

    async fn awaited(&self, lane: &Lane, limit: u32) -> Result<Vec<ChunkNumber>> {
        let session = self.pool.take().await?;
        let done = awaited(&session, lane, limit).await;
        self.pool.release(session, &done).await;
        done
    }

    async fn mark_stored(&self, lane: &Lane, chunk_number: ChunkNumber) -> Result<()> {
        let session = self.pool.take().await?;
        let done = mark_stored(&session, lane, chunk_number).await;
        self.pool.release(session, &done).await;
        done
    }

    async fn accept_row_count(&self, lane: &Lane, by: Option<&Approval>) -> Result<()> {
        let session = self.pool.take().await?;
        let tables = self.options.tables(Database::Postgres, lane);
        let done = Self::rolled_back(&session, accept_row_count(&session, &tables, by).await).await;
        self.pool.release(session, &done).await;
        done
    }

    async fn replace(&self, stores: &[StoreId], by: &Approval) -> Result<Identity> {
        let session = self.pool.take().await?;
        let done = Self::rolled_back(&session, replace(&session, stores, by).await).await;
        self.pool.release(session, &done).await;
        done
    }
}
