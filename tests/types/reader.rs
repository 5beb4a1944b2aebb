//! Reads tables independently of the product: PostgreSQL's own text of each value, SQLite's storage classes, and rules of this
//! module for equality.

use std::collections::BTreeMap;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::postgres;
use super::sqlite;

/// A value in a SQLite file; its text may be invalid UTF-8.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum StoredValue {
    Null,
    Int(i64),
    Real(f64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

/// Rows by the value of their first column, `id`.
pub(super) type Texts = BTreeMap<i64, Vec<Option<String>>>;
pub(super) type Values = BTreeMap<i64, Vec<StoredValue>>;

/// The settings for comparing texts: those of the wire format.
pub(super) const PLAIN: &str =
    "SET DateStyle = 'ISO, YMD'; SET TimeZone = 'UTC'; SET IntervalStyle = 'iso_8601'";
/// Other settings, under which two databases must be equal as well.
pub(super) const ODD: &str =
    "SET DateStyle = 'German'; SET TimeZone = 'Asia/Kathmandu'; SET IntervalStyle = 'postgres_verbose'";

/// Returns rows as the server prints them; the protocol's text form is each type's own output.
pub(super) async fn texts(client: &Client, settings: &str, sql: &str) -> Result<Texts, String> {
    let failed = |error: tokio_postgres::Error| {
        format!(
            "{}: {sql}",
            error.as_db_error().map_or(error.to_string(), ToString::to_string)
        )
    };
    client.batch_execute(settings).await.map_err(failed)?;
    let answers = client.simple_query(sql).await.map_err(failed)?;
    let rows = answers.iter().filter_map(|answer| match answer {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let read = |row: &tokio_postgres::SimpleQueryRow| -> (i64, Vec<Option<String>>) {
        let id = row.get(0).unwrap().parse().unwrap();
        (
            id,
            (1..row.len())
                .map(|at| row.get(at).map(ToOwned::to_owned))
                .collect(),
        )
    };
    Ok(rows.map(read).collect())
}

/// Returns the columns of a table and their types, as the server prints them.
pub(super) async fn types(client: &Client, table: &str) -> BTreeMap<String, String> {
    let sql = "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute \
               WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped";
    let rows = client.query(sql, &[&table]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Returns the rows of a SQLite file.
pub(super) fn values(file: &Connection, sql: &str) -> Result<Values, String> {
    let read = || -> rusqlite::Result<Values> {
        let mut statement = file.prepare(sql)?;
        let width = statement.column_count();
        let rows = statement.query_map([], |row| {
            let seen = (1..width).map(|at| row.get_ref(at).map(StoredValue::of));
            Ok((row.get(0)?, seen.collect::<rusqlite::Result<_>>()?))
        })?;
        rows.collect()
    };
    read().map_err(|error| format!("{error}: {sql}"))
}

impl StoredValue {
    fn of(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Int(number),
            ValueRef::Real(number) => Self::Real(number),
            ValueRef::Text(bytes) => Self::Text(bytes.to_vec()),
            ValueRef::Blob(bytes) => Self::Blob(bytes.to_vec()),
        }
    }

    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }
}

pub(super) fn is_kept(rule: postgres::Rule, in_core: Option<&str>, in_store: &StoredValue) -> bool {
    use postgres::Rule as R;
    let Some(in_core) = in_core else {
        return *in_store == StoredValue::Null;
    };
    match rule {
        R::Text | R::As(_) => in_store.text() == Some(in_core),
        R::Bool => *in_store == StoredValue::Int(i64::from(in_core == "t")),
        R::Int => in_core.parse().ok().map(StoredValue::Int).as_ref() == Some(in_store),
        R::Bytes => {
            matches!(in_store, StoredValue::Blob(bytes) if format!("\\x{}", super::rng::hex(bytes)) == in_core)
        }
        R::Float => match (in_core, in_store) {
            ("NaN", in_store) => in_store.text() == Some("NaN"),
            // SQLite has only one zero.
            (_, StoredValue::Real(number)) => in_core.parse() == Ok(*number),
            _ => false,
        },
    }
}

/// Returns the double that a four-byte float is; its own text is shorter.
pub(super) fn widened(text: &str) -> String {
    match text.parse::<f32>() {
        Ok(number) if number.is_finite() => f64::from(number).to_string(),
        _ => text.to_owned(),
    }
}

pub(super) fn is_same(rule: sqlite::Rule, in_core: &StoredValue, in_store: &StoredValue) -> bool {
    use sqlite::Rule as R;
    match (rule, in_core) {
        (R::Decimal, StoredValue::Int(_) | StoredValue::Real(_)) => {
            in_store.text().is_some_and(|text| is_decimal(in_core, text))
        }
        #[allow(clippy::cast_precision_loss, reason = "what no double holds is rejected")]
        (R::Float, StoredValue::Int(number)) => *in_store == StoredValue::Real(*number as f64),
        _ => in_core == in_store,
    }
}

/// Returns whether a decimal is the same number, written out.
fn is_decimal(in_core: &StoredValue, text: &str) -> bool {
    match in_core {
        StoredValue::Int(number) => text == number.to_string(),
        StoredValue::Real(number) if number.is_infinite() => {
            text == if *number > 0.0 { "Infinity" } else { "-Infinity" }
        }
        StoredValue::Real(number) => {
            let plain = text
                .bytes()
                .all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'.'));
            plain && text.parse() == Ok(*number)
        }
        StoredValue::Text(bytes) => text.as_bytes() == bytes || (bytes == b"-0" && text == "0"),
        _ => false,
    }
}

/// Compares SQLite to PostgreSQL; `time` is what PostgreSQL itself reads from the text.
pub(super) fn has_arrived(
    rule: sqlite::Rule,
    in_core: &StoredValue,
    in_store: Option<&str>,
    time: Option<&str>,
) -> bool {
    use sqlite::Rule as R;
    let Some(in_store) = in_store else {
        return *in_core == StoredValue::Null;
    };
    let hexed = |bytes: &[u8]| format!("\\x{}", super::rng::hex(bytes)) == in_store;
    match (rule, in_core) {
        (_, StoredValue::Null) => false,
        (R::Bool, StoredValue::Int(number)) => in_store == if *number == 1 { "t" } else { "f" },
        (R::Decimal, in_core) => is_decimal(in_core, in_store),
        (R::Time(_), StoredValue::Text(_)) => time == Some(in_store),
        (R::Bytes, StoredValue::Text(bytes)) | (R::Bytes | R::Any, StoredValue::Blob(bytes)) => hexed(bytes),
        (R::Float, StoredValue::Text(_)) => in_store == "NaN",
        #[allow(clippy::cast_precision_loss, reason = "what no double holds is rejected")]
        (R::Float, StoredValue::Int(number)) => in_store.parse() == Ok(*number as f64),
        (R::Float | R::Any, StoredValue::Real(number)) => in_store.parse() == Ok(*number),
        (R::Same | R::Any, StoredValue::Int(number)) => in_store == number.to_string(),
        (R::Same | R::Any, StoredValue::Text(bytes)) => in_store.as_bytes() == bytes,
        _ => false,
    }
}
