//! What stands in a table, by eyes that share nothing with the product: PostgreSQL's own text of each value, SQLite's
//! own storage classes, and rules about what must be equal that are written here.

use std::collections::BTreeMap;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::postgres;
use super::sqlite;

/// A value as it stands in a SQLite file; texts may be none.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Seen {
    Null,
    Int(i64),
    Real(f64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

/// Rows by the value of their first column, `id`.
pub(super) type Texts = BTreeMap<i64, Vec<Option<String>>>;
pub(super) type Values = BTreeMap<i64, Vec<Seen>>;

/// The settings under which texts are compared: those of the wire's grammar.
pub(super) const PLAIN: &str =
    "SET DateStyle = 'ISO, YMD'; SET TimeZone = 'UTC'; SET IntervalStyle = 'iso_8601'";
/// Other ones, under which two databases must agree as well.
pub(super) const ODD: &str =
    "SET DateStyle = 'German'; SET TimeZone = 'Asia/Kathmandu'; SET IntervalStyle = 'postgres_verbose'";

/// Rows as the server prints them; the protocol's text form is each type's own output.
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

/// The columns of a table and their types, as the server prints them.
pub(super) async fn types(client: &Client, table: &str) -> BTreeMap<String, String> {
    let sql = "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute \
               WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped";
    let rows = client.query(sql, &[&table]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Rows as they stand in a file.
pub(super) fn values(file: &Connection, sql: &str) -> Result<Values, String> {
    let read = || -> rusqlite::Result<Values> {
        let mut statement = file.prepare(sql)?;
        let width = statement.column_count();
        let rows = statement.query_map([], |row| {
            let seen = (1..width).map(|at| row.get_ref(at).map(Seen::of));
            Ok((row.get(0)?, seen.collect::<rusqlite::Result<_>>()?))
        })?;
        rows.collect()
    };
    read().map_err(|error| format!("{error}: {sql}"))
}

impl Seen {
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

/// PostgreSQL to SQLite.
pub(super) fn kept(rule: postgres::Rule, here: Option<&str>, there: &Seen) -> bool {
    use postgres::Rule as R;
    let Some(here) = here else {
        return *there == Seen::Null;
    };
    match rule {
        R::Text | R::As(_) => there.text() == Some(here),
        R::Bool => *there == Seen::Int(i64::from(here == "t")),
        R::Int => here.parse().ok().map(Seen::Int).as_ref() == Some(there),
        R::Bytes => matches!(there, Seen::Blob(bytes) if format!("\\x{}", super::chance::hex(bytes)) == here),
        R::Float => match (here, there) {
            ("NaN", there) => there.text() == Some("NaN"),
            // SQLite has one zero.
            (_, Seen::Real(number)) => here.parse() == Ok(*number),
            _ => false,
        },
    }
}

/// Floats of four bytes are printed shorter than the double that they are.
pub(super) fn widened(text: &str) -> String {
    match text.parse::<f32>() {
        Ok(number) if number.is_finite() => f64::from(number).to_string(),
        _ => text.to_owned(),
    }
}

/// SQLite to SQLite.
pub(super) fn same(rule: sqlite::Rule, here: &Seen, there: &Seen) -> bool {
    use sqlite::Rule as R;
    match (rule, here) {
        (R::Decimal, Seen::Int(_) | Seen::Real(_)) => there.text().is_some_and(|text| is_decimal(here, text)),
        #[allow(clippy::cast_precision_loss, reason = "what no double holds is rejected")]
        (R::Float, Seen::Int(number)) => *there == Seen::Real(*number as f64),
        _ => here == there,
    }
}

/// Whether a decimal is the same number, written out.
fn is_decimal(here: &Seen, text: &str) -> bool {
    match here {
        Seen::Int(number) => text == number.to_string(),
        Seen::Real(number) if number.is_infinite() => {
            text == if *number > 0.0 { "Infinity" } else { "-Infinity" }
        }
        Seen::Real(number) => {
            let plain = text
                .bytes()
                .all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'.'));
            plain && text.parse() == Ok(*number)
        }
        Seen::Text(bytes) => text.as_bytes() == bytes || (bytes == b"-0" && text == "0"),
        _ => false,
    }
}

/// SQLite to PostgreSQL; `time` is what PostgreSQL itself reads of the text.
pub(super) fn arrived(rule: sqlite::Rule, here: &Seen, there: Option<&str>, time: Option<&str>) -> bool {
    use sqlite::Rule as R;
    let Some(there) = there else {
        return *here == Seen::Null;
    };
    let hexed = |bytes: &[u8]| format!("\\x{}", super::chance::hex(bytes)) == there;
    match (rule, here) {
        (_, Seen::Null) => false,
        (R::Bool, Seen::Int(number)) => there == if *number == 1 { "t" } else { "f" },
        (R::Decimal, here) => is_decimal(here, there),
        (R::Time(_), Seen::Text(_)) => time == Some(there),
        (R::Bytes, Seen::Text(bytes)) | (R::Bytes | R::Any, Seen::Blob(bytes)) => hexed(bytes),
        (R::Float, Seen::Text(_)) => there == "NaN",
        #[allow(clippy::cast_precision_loss, reason = "what no double holds is rejected")]
        (R::Float, Seen::Int(number)) => there.parse() == Ok(*number as f64),
        (R::Float | R::Any, Seen::Real(number)) => there.parse() == Ok(*number),
        (R::Same | R::Any, Seen::Int(number)) => there == number.to_string(),
        (R::Same | R::Any, Seen::Text(bytes)) => there.as_bytes() == bytes,
        _ => false,
    }
}
