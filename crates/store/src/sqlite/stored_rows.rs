//! Reads the rows of a lane's table; keeps reports of reconciliations.

use std::path::Path;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row};
use schemas::column::ColumnType;
use schemas::name::Lane;
use schemas::value::Value;

use super::sql::{Session, now};
use super::{BUSY_TIMEOUT, SqliteStore, failure};
use crate::bookkeeping::{removal, stored_rows};
use crate::chunk_number::ChunkNumber;
use crate::error::Result;
use crate::layout::{Database, Options};
use crate::sql_name::quoted;
use crate::stored_rows::{SharedVisitor, StoredRows, TableRead, with};
use crate::table::{EPOCH, NUMBER};

/// The table added by an upgrade.
const TABLES_SQL: &str = "
CREATE TABLE IF NOT EXISTS slacktide_reconciliations (
    recipient TEXT NOT NULL, feed TEXT NOT NULL, kept_at TEXT NOT NULL, report TEXT NOT NULL,
    PRIMARY KEY (recipient, feed, kept_at));
";

pub(super) fn prepare(tx: &Connection) -> Result<()> {
    tx.execute_batch(TABLES_SQL).map_err(|error| failure::of(&error))
}

/// Reads on a separate connection, so that storing does not wait.
fn read(path: &Path, options: &Options, lane: &Lane, visitor: &SharedVisitor) -> Result<()> {
    let fail = |error: rusqlite::Error| failure::at(path, &error);
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(fail)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(fail)?;
    let read = {
        let session = Session::of(&connection);
        now(stored_rows::table(&session, options, Database::Sqlite, lane))?
    };
    with(visitor, |visitor| visitor.begin(&read.schema));
    let pass = |chunk_number, row: &[Value<'_>], _: &Row<'_>| {
        with(visitor, |visitor| visitor.row(chunk_number, row));
        Ok(())
    };
    scan(&connection, &read, pass).map_err(fail)
}

/// One statement reads everything: one snapshot.
pub(super) fn scan(
    connection: &Connection,
    read: &TableRead,
    mut take: impl FnMut(ChunkNumber, &[Value<'_>], &Row<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let Some(table) = &read.table else {
        return Ok(());
    };
    let names: String = read
        .names
        .iter()
        .map(|name| format!(", {}", quoted(name)))
        .collect();
    let mut statement = connection.prepare(&format!("SELECT {EPOCH}, {NUMBER}{names} FROM {table}"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let chunk_number = ChunkNumber {
            epoch: row.get::<_, Option<u32>>(0)?.unwrap_or(0),
            number: u64::try_from(row.get::<_, Option<i64>>(1)?.unwrap_or(0)).unwrap_or(0),
        };
        let values: Vec<Value<'_>> = read
            .kinds()
            .enumerate()
            .map(|(place, kind)| Ok(value(kind, row.get_ref(place + 2)?)))
            .collect::<rusqlite::Result<_>>()?;
        take(chunk_number, &values, row)?;
    }
    Ok(())
}

/// Returns a value as the feed sends it. A text that is not UTF-8 was not written by a chunk: it is read as bytes and differs.
fn value<'a>(kind: &ColumnType, stored: ValueRef<'a>) -> Value<'a> {
    match stored {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) if *kind == ColumnType::Bool => Value::Bool(number != 0),
        ValueRef::Integer(number) => Value::Int(number),
        ValueRef::Real(number) => Value::Float(number),
        ValueRef::Text(text) => std::str::from_utf8(text).map_or(Value::Bytes(text), Value::Text),
        ValueRef::Blob(bytes) => Value::Bytes(bytes),
    }
}

#[async_trait]
impl StoredRows for SqliteStore {
    async fn read_rows(&self, lane: &Lane, visitor: SharedVisitor) -> Result<()> {
        let (path, options, lane) = (self.path.clone(), self.options.clone(), lane.clone());
        Self::blocking(move || read(&path, &options, &lane, &visitor)).await
    }

    async fn keep_report(&self, lane: &Lane, report: &str) -> Result<()> {
        let (lane, report) = (lane.clone(), report.to_owned());
        self.run(move |session| now(stored_rows::keep_report(session, &lane, &report)))
            .await
    }

    async fn settle(&self, lane: &Lane, as_of: ChunkNumber) -> Result<()> {
        let lane = lane.clone();
        self.run(move |session| now(removal::settle(session, &lane, as_of)))
            .await
    }

    async fn reports_kept(&self, lane: &Lane, limit: u32) -> Result<Vec<(Timestamp, String)>> {
        let lane = lane.clone();
        self.run(move |session| now(stored_rows::reports_kept(session, &lane, limit)))
            .await
    }
}
