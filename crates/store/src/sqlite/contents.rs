//! Reads the rows of feeds' tables in one read-only transaction.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use schemas::column::ColumnType;

use super::sql::{Session, now};
use super::{BUSY_TIMEOUT, failure};
use crate::bookkeeping::{LaneLock, lanes};
use crate::chunk_number::ChunkNumber;
use crate::contents::{Contents, LaneContents, RowVisitor, StoredRow, comparable};
use crate::error::Result;
use crate::table::KEY;

/// The rows of a store in a SQLite file. Rows are read on the caller's thread.
pub struct SqliteContents {
    connection: Connection,
    path: PathBuf,
}

impl SqliteContents {
    /// Opens the file for reading only, and begins a transaction.
    ///
    /// # Errors
    /// If there is no such file, or it is not a database.
    pub fn open(path: &Path) -> Result<Self> {
        let fail = |error: rusqlite::Error| failure::at(path, &error);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(fail)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(fail)?;
        connection.execute_batch("BEGIN").map_err(fail)?;
        Ok(Self {
            connection,
            path: path.to_owned(),
        })
    }

    fn has_key_column(&self, table: &str) -> rusqlite::Result<bool> {
        // The name is quoted, and a pragma takes a value.
        let sql = format!("SELECT * FROM {table} LIMIT 0");
        let statement = self.connection.prepare(&sql)?;
        let mut names = statement.column_names();
        Ok(names.any(|name| name == KEY))
    }

    fn read_rows(&self, lane: &LaneContents, visit: &mut RowVisitor<'_>) -> Result<()> {
        let fail = |error: rusqlite::Error| failure::at(&self.path, &error);
        let has_key_column = self.has_key_column(&lane.table).map_err(fail)?;
        let sql = lane.select(has_key_column, str::to_owned);
        let mut statement = self.connection.prepare(&sql).map_err(fail)?;
        let (mut rows, mut key) = (statement.query([]).map_err(fail)?, Vec::new());
        while let Some(row) = rows.next().map_err(fail)? {
            let chunk_number = ChunkNumber {
                epoch: row.get(0).map_err(fail)?,
                number: row
                    .get::<_, i64>(1)
                    .map(|number| u64::try_from(number).unwrap_or(0))
                    .map_err(fail)?,
            };
            let identity = match row.get_ref(2).map_err(fail)? {
                ValueRef::Blob(stored) => (Some(stored), None),
                ValueRef::Integer(ordinal) => (None, Some(ordinal)),
                _ => (None, None),
            };
            let mut values = Vec::with_capacity(lane.columns.len());
            for (index, column) in lane.columns.iter().enumerate() {
                let value = row.get_ref(index + 3).map_err(fail)?;
                values.push(text(&column.kind, value).map(|text| comparable(&column.kind, text)));
            }
            lane.pack_row_key(chunk_number, identity, &values, &mut key)?;
            visit(&StoredRow {
                key: &key,
                chunk_number,
                values: &values,
            });
        }
        Ok(())
    }
}

#[async_trait]
impl Contents for SqliteContents {
    async fn lanes(&mut self) -> Result<Vec<LaneContents>> {
        let session = Session::of(&self.connection);
        let mut all = Vec::new();
        for lane in now(lanes::list(&session))? {
            let record = now(lanes::read(&session, &lane, LaneLock::Free))?;
            all.extend(record.and_then(|record| LaneContents::of(lane, &record)));
        }
        Ok(all)
    }

    async fn rows(&mut self, lane: &LaneContents, visit: &mut RowVisitor<'_>) -> Result<()> {
        self.read_rows(lane, visit)
    }
}

/// PURE: returns a value in the text form of the wire.
fn text<'a>(kind: &ColumnType, value: ValueRef<'a>) -> Option<Cow<'a, str>> {
    Some(match value {
        ValueRef::Null => return None,
        ValueRef::Integer(flag) if *kind == ColumnType::Bool => Cow::Borrowed(match flag {
            0 => "false",
            1 => "true",
            other => return Some(Cow::Owned(other.to_string())),
        }),
        ValueRef::Integer(number) => Cow::Owned(number.to_string()),
        ValueRef::Real(number) => Cow::Owned(number.to_string()),
        ValueRef::Text(text) if *kind != ColumnType::Bytes => String::from_utf8_lossy(text),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            let mut hex = String::with_capacity(bytes.len() * 2 + 2);
            hex.push_str("\\x");
            for byte in bytes {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                hex.push(char::from(DIGITS[usize::from(byte >> 4)]));
                hex.push(char::from(DIGITS[usize::from(byte & 15)]));
            }
            Cow::Owned(hex)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_values_have_the_text_of_the_wire() {
        let of = |kind, value| text(&kind, value).map(Cow::into_owned);
        assert_eq!(
            of(ColumnType::Bool, ValueRef::Integer(1)).as_deref(),
            Some("true")
        );
        assert_eq!(of(ColumnType::Int8, ValueRef::Integer(1)).as_deref(), Some("1"));
        assert_eq!(
            of(ColumnType::Bytes, ValueRef::Blob(&[0, 255])).as_deref(),
            Some("\\x00ff")
        );
        assert_eq!(
            of(ColumnType::Bytes, ValueRef::Text(b"a")).as_deref(),
            Some("\\x61")
        );
        assert_eq!(of(ColumnType::Int8, ValueRef::Null), None);
    }
}
