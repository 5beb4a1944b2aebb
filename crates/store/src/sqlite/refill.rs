//! Identity, chunks that are stored again, and rows that are counted.

use std::path::Path;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, params};
use schemas::name::Lane;
use schemas::receipt::StoreId;

use super::records::{self, int};
use super::tables::{begin, commit};
use super::{BUSY, SqliteStore, claims, failure, quarantine, steps};
use crate::claims::Found;
use crate::error::Result;
use crate::frontier::advance;
use crate::layout::{Database, LaneTables, Layout, Options, Role};
use crate::merge::Place;
use crate::port::Answer;
use crate::quarantine::decide::counts;
use crate::record::{LaneRecord, broken, text};
use crate::refill::{Identity, Refill, RowCount, Rows};
use crate::table::{EPOCH, NUMBER, quoted};

/// What the bookkeeping has had since a store has an identity.
const OWN: &str = "
CREATE TABLE IF NOT EXISTS slacktide_store (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL, made_at TEXT NOT NULL, replaces TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS slacktide_declared (
    declared_at TEXT NOT NULL, what TEXT NOT NULL, actor TEXT NOT NULL, reason TEXT NOT NULL);
";

/// Columns that have joined since.
const COLUMNS: [(&str, &str); 2] = [("slacktide_ledger", "rows_net"), ("slacktide_tables", "base")];

/// Entries that the frontier takes at a time.
const STRIDE: u32 = 2_000;

fn sql<T>(result: rusqlite::Result<T>) -> Result<T> {
    result.map_err(|error| failure::of(&error))
}

/// Makes the bookkeeping, and the identity with it.
pub(super) fn prepare(tx: &Transaction<'_>) -> Result<()> {
    sql(tx.execute_batch(OWN))?;
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

/// Removes from a history what it holds of a chunk that is about to be stored again.
pub(super) fn forget_history(tx: &Transaction<'_>, layout: &Layout, place: Place) -> Result<()> {
    if !layout.mode.keeps_history() {
        return Ok(());
    }
    let delete = format!(
        "DELETE FROM {} WHERE {EPOCH} = ?1 AND {NUMBER} = ?2",
        quoted(&layout.history)
    );
    sql(tx.execute(&delete, params![place.epoch, int(place.number)])).map(|_| ())
}

fn note(tx: &Transaction<'_>, what: &str, by: &Answer) -> Result<()> {
    sql(tx.execute(
        "INSERT INTO slacktide_declared VALUES (?1, ?2, ?3, ?4)",
        params![Timestamp::now().to_string(), what, by.actor, by.reason],
    ))
    .map(|_| ())
}

fn replace(connection: &mut Connection, stores: &[StoreId], by: &Answer) -> Result<Identity> {
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

fn await_again(connection: &mut Connection, tables: &LaneTables, from: Place, to: Place) -> Result<u64> {
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
        // What was given up keeps nothing waiting.
        quarantine::save_recount(&tx, lane, record)?;
    }
    commit(tx)?;
    Ok(u64::try_from(awaited).unwrap_or(0))
}

/// Moves the frontier back to before the first awaited chunk.
pub(super) fn rewind_frontier(tx: &Transaction<'_>, lane: &Lane, record: &mut LaneRecord) -> Result<()> {
    record.frontier = record.frontier.restart(&record.state);
    loop {
        let entries = records::after(tx, lane, record.frontier.place(), STRIDE)?;
        let step = advance(&record.frontier, &record.state, &entries);
        let moved = step.frontier != record.frontier;
        record.frontier = step.frontier;
        if !moved || step.broken.is_some() {
            return Ok(());
        }
    }
}

fn awaited(connection: &mut Connection, lane: &Lane, most: u32) -> Result<Vec<Place>> {
    let tx = begin(connection)?;
    let awaited = awaited_in(&tx, lane, most)?;
    commit(tx)?;
    Ok(awaited)
}

fn awaited_in(tx: &Transaction<'_>, lane: &Lane, most: u32) -> Result<Vec<Place>> {
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
    let place = |(epoch, number)| Place {
        epoch,
        number: u64::try_from(number).unwrap_or(0),
    };
    let places = sql(read())?.into_iter().map(place);
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    Ok(places.filter(|at| counts(&state, *at)).take(most).collect())
}

fn as_before(connection: &mut Connection, lane: &Lane, place: Place) -> Result<()> {
    sql(connection.execute(
        "UPDATE slacktide_ledger SET state = 'stored' WHERE recipient = ?1 AND feed = ?2 AND epoch = ?3 AND number = ?4 \
         AND state = 'awaited'",
        params![lane.recipient.as_str(), lane.feed.as_str(), place.epoch, int(place.number)],
    ))
    .map(|_| ())
}

/// The table whose rows are counted, and what it holds.
fn counted(layout: &Layout) -> (Role, &str) {
    if layout.mode.keeps_current() {
        (Role::Current, layout.table.as_str())
    } else {
        (Role::History, layout.history.as_str())
    }
}

/// Takes the rows that a table has now as where counting begins.
fn set_base(tx: &Transaction<'_>, tables: &LaneTables, (role, table): (Role, &str)) -> Result<()> {
    let (lane, table) = (&tables.lane, quoted(table));
    sql(tx.execute(
        &format!(
            "UPDATE slacktide_tables SET base = (SELECT count(*) FROM {table}) - coalesce((SELECT sum(rows_net) \
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

fn trust_rows(connection: &mut Connection, tables: &LaneTables, by: Option<&Answer>) -> Result<()> {
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

/// Notes that so many rows of the lane's table were removed, within a transaction.
pub(super) fn forget_rows(tx: &Transaction<'_>, tables: &LaneTables, removed: usize) -> Result<()> {
    sql(tx.execute(
        "UPDATE slacktide_tables SET base = base - ?4 WHERE recipient = ?1 AND owner = ?2 AND role = ?3",
        params![
            tables.lane.recipient.as_str(),
            tables.owner.key(),
            Role::Current.word(),
            i64::try_from(removed).unwrap_or(i64::MAX)
        ],
    ))
    .map(|_| ())
}

/// Restarts the row count of a lane: it is taken from the table once no chunk is awaited. Runs within a transaction.
pub(super) fn restart_counting(tx: &Transaction<'_>, tables: &LaneTables) -> Result<()> {
    let (role, _) = counted(&tables.layout);
    sql(tx.execute(
        "UPDATE slacktide_tables SET base = NULL WHERE recipient = ?1 AND owner = ?2 AND role = ?3",
        params![tables.lane.recipient.as_str(), tables.owner.key(), role.word()],
    ))
    .map(|_| ())
}

/// Takes the rows that the lane's table has now for those that were stored, within a transaction.
pub(super) fn take_rows(tx: &Transaction<'_>, tables: &LaneTables) -> Result<()> {
    set_base(tx, tables, counted(&tables.layout))
}

/// Counts on a connection of its own, within one snapshot: who stores does not wait for it.
pub(super) fn count_rows(path: &Path, options: &Options) -> Result<Vec<RowCount>> {
    let fail = |error: rusqlite::Error| failure::at(path, &error);
    let mut connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(fail)?;
    connection.busy_timeout(BUSY).map_err(fail)?;
    let (mut counts, mut begun) = (Vec::new(), Vec::new());
    let tx = sql(connection.transaction())?;
    for lane in records::lanes(&tx)? {
        let Some(layout) = records::lane(&tx, &lane)?.shape.and_then(|shape| shape.layout) else {
            continue;
        };
        let tables = options.tables(Database::Sqlite, &lane).with_layout(&layout);
        let (role, table) = counted(&layout);
        let found = claims::look(&tx, &tables, role, table)?;
        let rows = match found {
            Found::Made | Found::Adopted => match count(&tx, &tables, (role, table))? {
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
            is_shared: found == Found::Adopted,
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

/// `None` where rows were not counted when they were stored.
fn count(tx: &Transaction<'_>, tables: &LaneTables, (role, table): (Role, &str)) -> Result<Option<Rows>> {
    let (lane, table) = (&tables.lane, quoted(table));
    let counted = tx
        .query_row(
            &format!(
                "SELECT (SELECT count(*) FROM {table}), base + coalesce((SELECT sum(rows_net) FROM slacktide_ledger \
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
    async fn await_again(&self, lane: &Lane, from: Place, to: Place) -> Result<u64> {
        let tables = self.options.tables(Database::Sqlite, lane);
        self.run(move |connection| await_again(connection, &tables, from, to))
            .await
    }

    async fn awaited(&self, lane: &Lane, most: u32) -> Result<Vec<Place>> {
        let lane = lane.clone();
        self.run(move |connection| awaited(connection, &lane, most)).await
    }

    async fn as_before(&self, lane: &Lane, place: Place) -> Result<()> {
        let lane = lane.clone();
        self.run(move |connection| as_before(connection, &lane, place))
            .await
    }

    async fn trust_rows(&self, lane: &Lane, by: Option<&Answer>) -> Result<()> {
        let (tables, by) = (self.options.tables(Database::Sqlite, lane), by.cloned());
        self.run(move |connection| trust_rows(connection, &tables, by.as_ref()))
            .await
    }

    async fn replace(&self, stores: &[StoreId], by: &Answer) -> Result<Identity> {
        let (stores, by) = (stores.to_vec(), by.clone());
        self.run(move |connection| replace(connection, &stores, &by))
            .await
    }
}
