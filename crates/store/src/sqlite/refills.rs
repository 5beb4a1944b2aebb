//! Identity, chunks stored again and row counts: their tables, and their operations on the file.

use std::path::Path;

use async_trait::async_trait;
use rusqlite::{Connection, OpenFlags};
use schemas::name::Lane;
use schemas::receipt::StoreId;

use super::sql::{Session, now};
use super::{BUSY_TIMEOUT, SqliteStore, failure};
use crate::bookkeeping::{refill, row_counts};
use crate::chunk_number::ChunkNumber;
use crate::error::Result;
use crate::layout::{Database, Options};
use crate::port::Approval;
use crate::refill::{Identity, Refill, RowCount};

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

fn sql<T>(result: rusqlite::Result<T>) -> Result<T> {
    result.map_err(|error| failure::of(&error))
}

/// Creates the tables and columns.
pub(super) fn prepare(tx: &Connection) -> Result<()> {
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
    Ok(())
}

/// Counts on a separate connection, so that storing does not wait.
pub(super) fn count_rows(path: &Path, options: &Options) -> Result<Vec<RowCount>> {
    let fail = |error: rusqlite::Error| failure::at(path, &error);
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(fail)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(fail)?;
    let session = Session::of(&connection);
    // No statement of SQLite is cancelled: there is no limit.
    now(row_counts::count(
        &session,
        options,
        Database::Sqlite,
        std::time::Duration::MAX,
    ))
}

#[async_trait]
impl Refill for SqliteStore {
    async fn mark_awaited(&self, lane: &Lane, from: ChunkNumber, to: ChunkNumber) -> Result<u64> {
        let tables = self.options.tables(Database::Sqlite, lane);
        self.run(move |session| now(refill::mark_awaited(session, &tables, from, to)))
            .await
    }

    async fn awaited(&self, lane: &Lane, limit: u32) -> Result<Vec<ChunkNumber>> {
        let lane = lane.clone();
        self.run(move |session| now(refill::awaited(session, &lane, limit)))
            .await
    }

    async fn mark_stored(&self, lane: &Lane, chunk_number: ChunkNumber) -> Result<()> {
        let lane = lane.clone();
        self.run(move |session| now(refill::mark_stored(session, &lane, chunk_number)))
            .await
    }

    async fn accept_row_count(&self, lane: &Lane, by: Option<&Approval>) -> Result<()> {
        let (tables, by) = (self.options.tables(Database::Sqlite, lane), by.cloned());
        self.run(move |session| now(row_counts::accept(session, &tables, by.as_ref())))
            .await
    }

    async fn replace(&self, stores: &[StoreId], by: &Approval) -> Result<Identity> {
        let (stores, by) = (stores.to_vec(), by.clone());
        self.run(move |session| now(refill::replace(session, &stores, &by)))
            .await
    }
}
