//! Reads the rows of a lane's table, as texts; keeps reports of reconciliations.

use async_trait::async_trait;
use futures_util::StreamExt as _;
use jiff::Timestamp;
use schemas::column::ColumnType;
use schemas::name::Lane;
use schemas::value::Value;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::session::Session;
use super::table_lock::make_unless;
use super::{PostgresStore, failure};
use crate::bookkeeping::stored_rows;
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
            visit(&session, &read, &visitor).await
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

    async fn reports_kept(&self, lane: &Lane, limit: u32) -> Result<Vec<(Timestamp, String)>> {
        let session = self.pool.take().await?;
        let done = stored_rows::reports_kept(&*session, lane, limit).await;
        self.pool.release(session, &done).await;
        done
    }
}

/// One statement reads everything: one snapshot.
async fn visit(session: &Session, read: &TableRead, visitor: &SharedVisitor) -> Result<()> {
    let Some(table) = &read.table else {
        return Ok(());
    };
    let fail = |error: tokio_postgres::Error| failure::of(&error);
    let texts: String = read
        .names
        .iter()
        .map(|name| format!(", {}::pg_catalog.text", quoted(name)))
        .collect();
    let sql = format!("SELECT {EPOCH}, {NUMBER}{texts} FROM {table}");
    let no_values: [&(dyn ToSql + Sync); 0] = [];
    let rows = session.client.query_raw(&sql, no_values).await.map_err(fail)?;
    futures_util::pin_mut!(rows);
    let kinds: Vec<&ColumnType> = read.kinds().collect();
    while let Some(row) = rows.next().await {
        let row = row.map_err(fail)?;
        let epoch: i32 = row.try_get(0).map_err(fail)?;
        let number: i64 = row.try_get(1).map_err(fail)?;
        let chunk_number = ChunkNumber {
            epoch: u32::try_from(epoch).unwrap_or(0),
            number: u64::try_from(number).unwrap_or(0),
        };
        let bytes = decoded(&row, &kinds).map_err(fail)?;
        let values = values(&row, &kinds, &bytes).map_err(fail)?;
        with(visitor, |visitor| visitor.row(chunk_number, &values));
    }
    Ok(())
}

type Decoded = Vec<Option<Vec<u8>>>;

/// Returns the values of columns that hold bytes.
fn decoded(row: &Row, kinds: &[&ColumnType]) -> std::result::Result<Decoded, tokio_postgres::Error> {
    let bytes = |(place, kind): (usize, &&ColumnType)| {
        if **kind != ColumnType::Bytes {
            return Ok(None);
        }
        let text: Option<&str> = row.try_get(place + 2)?;
        Ok(text.and_then(from_hex))
    };
    kinds.iter().enumerate().map(bytes).collect()
}

fn values<'a>(
    row: &'a Row,
    kinds: &[&ColumnType],
    bytes: &'a Decoded,
) -> std::result::Result<Vec<Value<'a>>, tokio_postgres::Error> {
    let value = |((place, kind), bytes): ((usize, &&ColumnType), &'a Option<Vec<u8>>)| {
        let text: Option<&str> = row.try_get(place + 2)?;
        Ok(match (text, bytes) {
            (None, _) => Value::Null,
            (_, Some(bytes)) => Value::Bytes(bytes),
            (Some(text), None) => read_text(kind, text),
        })
    };
    kinds.iter().enumerate().zip(bytes).map(value).collect()
}

/// Returns the value of a text, as the feed sends it.
fn read_text<'a>(kind: &ColumnType, text: &'a str) -> Value<'a> {
    use ColumnType as T;
    let known = match kind {
        T::Bool => Some(Value::Bool(text == "true")),
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
