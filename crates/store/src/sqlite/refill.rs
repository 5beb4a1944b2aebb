//! Identity, chunks stored again, and row counts.

use std::path::Path;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, params};
use schemas::name::Lane;
use schemas::receipt::StoreId;

use super::records::{self, int};
use super::tables::{begin, commit};
use super::{BUSY_TIMEOUT, SqliteStore, failure, ownership, quarantine, steps};
use crate::error::Result;
use crate::frontier::advance;
use crate::layout::{Database, LaneTables, Layout, Options, Role};
use crate::merge::ChunkNumber;
use crate::ownership::FoundTable;
use crate::port::Approval;
use crate::quarantine::decide::counts;
use crate::record::{LaneRecord, broken, text};
use crate::refill::{Identity, Refill, RowCount, Rows};
use crate::table::{EPOCH, NUMBER, quoted};

/// Tables added by an upgrade.
const TABLES_SQL: &str = "
CREATE TABLE IF NOT EXISTS slacktide_store (
    singleton INTEGER NOT NULL PRIMARY KEY CHECK (singleton = 1), id TEXT NOT NULL, created_at TEXT NOT NULL, replaces TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS slacktide_declarations (
    declared_at TEXT NOT NULL, declaration TEXT NOT NULL, actor TEXT NOT NULL, reason TEXT NOT NULL);
";

/// Columns added by an upgrade.
const COLUMNS: [(&str, &str); 2] = [
    ("slacktide_ledger", "rows_net"),
    ("slacktide_tables", "base_rows"),
];

/// The number of entries read at a time.
const BATCH_ENTRIES: u32 = 2_000;

fn sql<T>(result: rusqlite::Result<T>) -> Result<T> {
    result.map_err(|error| failure::of(&error))
}

/// Creates the bookkeeping and the identity.
pub(super) fn prepare(tx: &Transaction<'_>) -> Result<()> {
    sql(tx.execute_batch(TABLES_SQL))?;
    for (table, column) in COLUMNS {
        let is_there: bool = sql(tx.query_row(
            "SELECT EXISTS (SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2)",
            [table, column],
            |row| row.get(0),
        ))?;
        if !is_there {
            sql(tx.execute_batch(&format!("ALTER TABLE {table} ADD COLUMN {column} INTEGER")))?;
        }
    }
    let id = StoreId::of(rand::random()).to_string();
    sql(tx.execute(
        "INSERT INTO slacktide_store VALUES (1, ?1, ?2, '[]') ON CONFLICT DO NOTHING",
        params![id, Timestamp::now().to_string()],
    ))
    .map(|_| ())
}

pub(super) fn identity(connection: &Connection) -> Result<Identity> {
    let read = connection.query_row("SELECT id, replaces FROM slacktide_store", [], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
    });
    let (id, replaces) = sql(read)?;
    Ok(Identity {
        id: id.parse().map_err(|_| broken("slacktide_store"))?,
        replaces: serde_json::from_str(&replaces).map_err(|_| broken("slacktide_store"))?,
    })
}

/// Removes the versions of a chunk from a history before the chunk is stored again.
pub(super) fn forget_history(tx: &Transaction<'_>, layout: &Layout, chunk_number: ChunkNumber) -> Result<()> {
    if !layout.mode.keeps_history() {
        return Ok(());
    }
    let delete = format!(
        "DELETE FROM {} WHERE {EPOCH} = ?1 AND {NUMBER} = ?2",
        quoted(&layout.history)
    );
    sql(tx.execute(&delete, params![chunk_number.epoch, int(chunk_number.number)])).map(|_| ())
}

fn note(tx: &Transaction<'_>, what: &str, by: &Approval) -> Result<()> {
    sql(tx.execute(
        "INSERT INTO slacktide_declarations VALUES (?1, ?2, ?3, ?4)",
        params![Timestamp::now().to_string(), what, by.actor, by.reason],
    ))
    .map(|_| ())
}

fn replace(connection: &mut Connection, stores: &[StoreId], by: &Approval) -> Result<Identity> {
    let tx = begin(connection)?;
    let mut identity = identity(&tx)?;
    for store in stores {
        if !identity.owns(store) {
            identity.replaces.push(store.clone());
            note(&tx, &format!("takes the place of store {store}"), by)?;
        }
    }
    sql(tx.execute(
        "UPDATE slacktide_store SET replaces = ?1",
        [text(&identity.replaces)?],
    ))?;
    commit(tx)?;
    Ok(identity)
}

fn mark_awaited(
    connection: &mut Connection,
    tables: &LaneTables,
    from: ChunkNumber,
    to: ChunkNumber,
) -> Result<u64> {
    let lane = &tables.lane;
    let tx = begin(connection)?;
    let mut record = records::lane(&tx, lane)?;
    if let Some(shape) = &record.shape {
        steps::make_missing(&tx, tables, shape)?;
    }
    let awaited = sql(tx.execute(
        "UPDATE slacktide_ledger SET state = 'awaited' WHERE recipient = ?1 AND feed = ?2 AND state = 'stored' \
         AND (epoch, number) >= (?3, ?4) AND (epoch, number) <= (?5, ?6)",
        params![
            lane.recipient.as_str(),
            lane.feed.as_str(),
            from.epoch,
            int(from.number),
            to.epoch,
            int(to.number)
        ],
    ))?;
    let is_unfolded = record.state.unfold(from);
    if awaited > 0 || is_unfolded {
        rewind_frontier(&tx, lane, &mut record)?;
        records::save(&tx, lane, &record)?;
        // Discarded rows do not keep anything waiting.
        quarantine::save_recount(&tx, lane, record)?;
    }
    commit(tx)?;
    Ok(u64::try_from(awaited).unwrap_or(0))
}

/// Moves the frontier to before the first awaited chunk.
pub(super) fn rewind_frontier(tx: &Transaction<'_>, lane: &Lane, record: &mut LaneRecord) -> Result<()> {
    record.frontier = record.frontier.restart(&record.state);
    loop {
        let entries = records::after(tx, lane, record.frontier.chunk_number(), BATCH_ENTRIES)?;
        let step = advance(&record.frontier, &record.state, &entries);
        let moved = step.frontier != record.frontier;
        record.frontier = step.frontier;
        if !moved || step.broken.is_some() {
            return Ok(());
        }
    }
}

fn awaited(connection: &mut Connection, lane: &Lane, limit: u32) -> Result<Vec<ChunkNumber>> {
    let tx = begin(connection)?;
    let awaited = awaited_in(&tx, lane, limit)?;
    commit(tx)?;
    Ok(awaited)
}

fn awaited_in(tx: &Transaction<'_>, lane: &Lane, limit: u32) -> Result<Vec<ChunkNumber>> {
    let state = records::lane(tx, lane)?.state;
    let read = || {
        tx.prepare_cached(
            "SELECT epoch, number FROM slacktide_ledger WHERE recipient = ?1 AND feed = ?2 AND state = 'awaited' \
             ORDER BY epoch, number",
        )?
        .query_map(params![lane.recipient.as_str(), lane.feed.as_str()], |row| {
            Ok((row.get::<_, u32>(0)?, row.get::<_, i64>(1)?))
        })?
        .collect::<rusqlite::Result<Vec<_>>>()
    };
    let chunk_number = |(epoch, number)| ChunkNumber {
        epoch,
        number: u64::try_from(number).unwrap_or(0),
    };
    let chunk_numbers = sql(read())?.into_iter().map(chunk_number);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    Ok(chunk_numbers
        .filter(|at| counts(&state, *at))
        .take(limit)
        .collect())
}

fn mark_stored(connection: &mut Connection, lane: &Lane, chunk_number: ChunkNumber) -> Result<()> {
    sql(connection.execute(
        "UPDATE slacktide_ledger SET state = 'stored' WHERE recipient = ?1 AND feed = ?2 AND epoch = ?3 AND number = ?4 \
         AND state = 'awaited'",
        params![lane.recipient.as_str(), lane.feed.as_str(), chunk_number.epoch, int(chunk_number.number)],
    ))
    .map(|_| ())
}

/// Returns the table whose rows are counted, with its role.
fn counted(layout: &Layout) -> (Role, &str) {
    if layout.mode.keeps_current() {
        (Role::Current, layout.table.as_str())
    } else {
        (Role::History, layout.history.as_str())
    }
}

/// Restarts the count of a table with its current rows.
fn set_base(tx: &Transaction<'_>, tables: &LaneTables, (role, table): (Role, &str)) -> Result<()> {
    let (lane, table) = (&tables.lane, quoted(table));
    sql(tx.execute(
        &format!(
            "UPDATE slacktide_tables SET base_rows = (SELECT count(*) FROM {table}) - coalesce((SELECT sum(rows_net) \
             FROM slacktide_ledger WHERE recipient = ?1 AND feed = ?2), 0) \
             WHERE recipient = ?1 AND owner = ?3 AND role = ?4"
        ),
        params![
            lane.recipient.as_str(),
            lane.feed.as_str(),
            tables.owner.key(),
            role.word()
        ],
    ))
    .map(|_| ())
}

fn accept_row_count(connection: &mut Connection, tables: &LaneTables, by: Option<&Approval>) -> Result<()> {
    let tx = begin(connection)?;
    if let Some(by) = by {
        note(
            &tx,
            &format!("takes the rows of lane {} as they are", tables.lane),
            by,
        )?;
    }
    take_rows(&tx, tables)?;
    commit(tx)
}

/// Records that rows of the lane's table were removed, in a transaction.
pub(super) fn forget_rows(tx: &Transaction<'_>, tables: &LaneTables, removed: usize) -> Result<()> {
    sql(tx.execute(
        "UPDATE slacktide_tables SET base_rows = base_rows - ?4 WHERE recipient = ?1 AND owner = ?2 AND role = ?3",
        params![
            tables.lane.recipient.as_str(),
            tables.owner.key(),
            Role::Current.word(),
            i64::try_from(removed).unwrap_or(i64::MAX)
        ],
    ))
    .map(|_| ())
}

/// Restarts the row count of a lane: it is taken from the table once no chunk is awaited. Runs in a transaction.
pub(super) fn restart_counting(tx: &Transaction<'_>, tables: &LaneTables) -> Result<()> {
    let (role, _) = counted(&tables.layout);
    sql(tx.execute(
        "UPDATE slacktide_tables SET base_rows = NULL WHERE recipient = ?1 AND owner = ?2 AND role = ?3",
        params![tables.lane.recipient.as_str(), tables.owner.key(), role.word()],
    ))
    .map(|_| ())
}

/// Accepts the current rows of the lane's table as the stored rows, in a transaction.
pub(super) fn take_rows(tx: &Transaction<'_>, tables: &LaneTables) -> Result<()> {
    set_base(tx, tables, counted(&tables.layout))
}

/// Counts on a separate connection in one snapshot, so that storing does not wait.
pub(super) fn count_rows(path: &Path, options: &Options) -> Result<Vec<RowCount>> {
    let fail = |error: rusqlite::Error| failure::at(path, &error);
    let mut connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(fail)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(fail)?;
    let (mut counts, mut begun) = (Vec::new(), Vec::new());
    let tx = sql(connection.transaction())?;
    for lane in records::lanes(&tx)? {
        let Some(layout) = records::lane(&tx, &lane)?.shape.and_then(|shape| shape.layout) else {
            continue;
        };
        let tables = options.tables(Database::Sqlite, &lane).with_layout(&layout);
        let (role, table) = counted(&layout);
        let found = ownership::find_table(&tx, &tables, role, table)?;
        let rows = match found {
            FoundTable::Created | FoundTable::Adopted => match count(&tx, &tables, (role, table))? {
                Some(rows) => rows,
                None if !awaited_in(&tx, &lane, 1)?.is_empty() => Rows::Unknown,
                None => {
                    begun.push((tables.clone(), role, table.to_owned()));
                    Rows::Unknown
                }
            },
            _ => Rows::Gone,
        };
        counts.push(RowCount {
            lane,
            table: quoted(table),
            is_shared: found == FoundTable::Adopted,
            rows,
        });
    }
    sql(tx.commit())?;
    for (tables, role, table) in begun {
        let tx = begin(&mut connection)?;
        set_base(&tx, &tables, (role, &table))?;
        commit(tx)?;
    }
    Ok(counts)
}

/// Returns `None` if rows were not counted when they were stored.
fn count(tx: &Transaction<'_>, tables: &LaneTables, (role, table): (Role, &str)) -> Result<Option<Rows>> {
    let (lane, table) = (&tables.lane, quoted(table));
    let counted = tx
        .query_row(
            &format!(
                "SELECT (SELECT count(*) FROM {table}), base_rows + coalesce((SELECT sum(rows_net) FROM slacktide_ledger \
                 WHERE recipient = ?1 AND feed = ?2), 0) FROM slacktide_tables \
                 WHERE recipient = ?1 AND owner = ?3 AND role = ?4"
            ),
            params![
                lane.recipient.as_str(),
                lane.feed.as_str(),
                tables.owner.key(),
                role.word()
            ],
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?)),
        )
        .optional();
    let unsigned = |number| u64::try_from(number).unwrap_or(0);
    Ok(match sql(counted)? {
        None => Some(Rows::Unknown),
        Some((_, None)) => None,
        Some((found, Some(stored))) => Some(Rows::Counted {
            stored: unsigned(stored),
            found: unsigned(found),
        }),
    })
}

#[async_trait]
impl Refill for SqliteStore {
    async fn mark_awaited(&self, lane: &Lane, from: ChunkNumber, to: ChunkNumber) -> Result<u64> {
        let tables = self.options.tables(Database::Sqlite, lane);
        self.run(move |connection| mark_awaited(connection, &tables, from, to))
            .await
    }

    async fn awaited(&self, lane: &Lane, limit: u32) -> Result<Vec<ChunkNumber>> {
        let lane = lane.clone();
        self.run(move |connection| awaited(connection, &lane, limit))
            .await
    }

    async fn mark_stored(&self, lane: &Lane, chunk_number: ChunkNumber) -> Result<()> {
        let lane = lane.clone();
        self.run(move |connection| mark_stored(connection, &lane, chunk_number))
            .await
    }

    async fn accept_row_count(&self, lane: &Lane, by: Option<&Approval>) -> Result<()> {
        let (tables, by) = (self.options.tables(Database::Sqlite, lane), by.cloned());
        self.run(move |connection| accept_row_count(connection, &tables, by.as_ref()))
            .await
    }

    async fn replace(&self, stores: &[StoreId], by: &Approval) -> Result<Identity> {
        let (stores, by) = (stores.to_vec(), by.clone());
        self.run(move |connection| replace(connection, &stores, &by))
            .await
    }
}
