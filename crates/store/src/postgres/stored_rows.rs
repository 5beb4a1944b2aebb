//! Reads the rows of a lane's table, as texts; keeps reports of reconciliations.

use std::str::FromStr;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use jiff::Timestamp;
use schemas::column::ColumnType;
use schemas::name::Lane;
use schemas::value::Value;
use tokio_postgres::SimpleQueryMessage;

use super::session::Session;
use super::table_lock::make_unless;
use super::{PostgresStore, failure};
use crate::bookkeeping::{removal, stored_rows};
use crate::chunk_number::ChunkNumber;
use crate::error::Result;
use crate::layout::Database;
use crate::sql_name::quoted;
use crate::stored_rows::{SharedVisitor, StoredRows, TableRead, with};
use crate::table::{EPOCH, NUMBER};

/// The table added by an upgrade.
const TABLES_SQL: &str = "
CREATE TABLE IF NOT EXISTS slacktide.reconciliations (
    recipient text NOT NULL, feed text NOT NULL, kept_at timestamptz NOT NULL, report text NOT NULL,
    PRIMARY KEY (recipient, feed, kept_at));
";

const TABLES_EXIST_SQL: &str = "SELECT to_regclass('slacktide.reconciliations') IS NOT NULL";

pub(super) async fn prepare(session: &Session) -> Result<()> {
    make_unless(session, TABLES_EXIST_SQL, TABLES_SQL).await
}

#[async_trait]
impl StoredRows for PostgresStore {
    async fn read_rows(&self, lane: &Lane, visitor: SharedVisitor) -> Result<()> {
        let session = self.pool.take().await?;
        let done = async {
            let read = stored_rows::table(&*session, &self.options, Database::Postgres, lane).await?;
            with(&visitor, |visitor| visitor.begin(&read.schema));
            let pass = |chunk_number, _: Option<&str>, row: &[Value<'_>]| {
                with(&visitor, |visitor| visitor.row(chunk_number, row));
            };
            scan(&session, &read, "NULL", pass).await
        };
        let done = done.await;
        self.pool.release(session, &done).await;
        done
    }

    async fn keep_report(&self, lane: &Lane, report: &str) -> Result<()> {
        let session = self.pool.take().await?;
        let done = stored_rows::keep_report(&*session, lane, report).await;
        self.pool.release(session, &done).await;
        done
    }

    async fn settle(&self, lane: &Lane, as_of: ChunkNumber) -> Result<()> {
        let session = self.pool.take().await?;
        let done = removal::settle(&*session, lane, as_of).await;
        self.pool.release(session, &done).await;
        done
    }

    async fn reports_kept(&self, lane: &Lane, limit: u32) -> Result<Vec<(Timestamp, String)>> {
        let session = self.pool.take().await?;
        let done = stored_rows::reports_kept(&*session, lane, limit).await;
        self.pool.release(session, &done).await;
        done
    }
}

/// One statement reads everything: one snapshot. The simple protocol sends each value as its type prints it; a cast to text would add a
/// netmask to an address, and remove blanks of a `char`.
///
/// `row_id` is an expression that identifies a row.
pub(super) async fn scan(
    session: &Session,
    read: &TableRead,
    row_id: &str,
    mut take: impl FnMut(ChunkNumber, Option<&str>, &[Value<'_>]) + Send,
) -> Result<()> {
    let Some(table) = &read.table else {
        return Ok(());
    };
    let fail = |error: tokio_postgres::Error| failure::of(&error);
    let names: String = read
        .names
        .iter()
        .map(|name| format!(", {}", quoted(name)))
        .collect();
    let sql = format!("SELECT {EPOCH}, {NUMBER}, {row_id}{names} FROM {table}");
    let rows = session.client.simple_query_raw(&sql).await.map_err(fail)?;
    futures_util::pin_mut!(rows);
    let kinds: Vec<&ColumnType> = read.kinds().collect();
    while let Some(message) = rows.next().await {
        let SimpleQueryMessage::Row(row) = message.map_err(fail)? else {
            continue;
        };
        let chunk_number = ChunkNumber {
            epoch: number(row.get(0)),
            number: number(row.get(1)),
        };
        let bytes: Vec<Option<Vec<u8>>> = kinds
            .iter()
            .enumerate()
            .map(|(place, kind)| decoded(kind, row.get(place + 3)))
            .collect();
        let values: Vec<Value<'_>> = kinds
            .iter()
            .zip(&bytes)
            .enumerate()
            .map(|(place, (kind, bytes))| match (bytes, row.get(place + 3)) {
                (_, None) => Value::Null,
                (Some(bytes), _) => Value::Bytes(bytes),
                (None, Some(text)) => read_text(kind, text),
            })
            .collect();
        take(chunk_number, row.get(2), &values);
    }
    Ok(())
}

/// Reads a number of a chunk; 0 for none.
fn number<T: FromStr + Default>(text: Option<&str>) -> T {
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// Returns the value of a column that holds bytes.
fn decoded(kind: &ColumnType, text: Option<&str>) -> Option<Vec<u8>> {
    text.filter(|_| *kind == ColumnType::Bytes).and_then(from_hex)
}

/// Returns the value of a text, as the feed sends it.
fn read_text<'a>(kind: &ColumnType, text: &'a str) -> Value<'a> {
    use ColumnType as T;
    let known = match kind {
        T::Bool => Some(Value::Bool(text == "t")),
        T::Int2 | T::Int4 | T::Int8 => text.parse().ok().map(Value::Int),
        _ => None,
    };
    known.unwrap_or(Value::Text(text))
}

/// Reads the form `\x…` of bytes.
fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x")?.as_bytes();
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    digits
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_bytes_are_read_from_hex() {
        assert_eq!(from_hex("\\x00ff7A"), Some(vec![0, 255, 122]));
        assert_eq!(from_hex("\\x"), Some(Vec::new()));
        for bad in ["00", "\\x0", "\\xzz"] {
            assert_eq!(from_hex(bad), None, "{bad}");
        }
    }
}
