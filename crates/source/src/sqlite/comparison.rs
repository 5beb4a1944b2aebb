//! Checks whether a query's date and time arguments have the format of the columns that they are compared with.
//!
//! SQLite has no time type: `2026-01-31T00:00:00Z` and `2026-01-31 08:00:00` are texts, and a comparison would silently give wrong
//! rows. The newest rows of each compared column are sampled. A column of another format refuses the query, and the error names
//! the format to declare.

use rusqlite::{Connection, params};
use schemas::column::ColumnType;

use super::failure;
use crate::declared;
use crate::error::{Error, Result, refused};
use crate::keyset::quote;
use crate::placeholder::{self, Place};
use crate::request_query::{Argument, ArgumentKind, RequestQuery, StoredAs};
use crate::shape::Shape;

/// Functions that parse a time of any format.
const READS_TIMES: [&str; 7] = [
    "date",
    "time",
    "datetime",
    "julianday",
    "unixepoch",
    "strftime",
    "timediff",
];

/// Rows of a column that are sampled, newest first.
const SAMPLED: u32 = 1_000;

/// Checks each date and time argument against the columns that it is compared with. Returns whether every column had a row;
/// otherwise the next query checks again.
pub(super) fn check(connection: &Connection, query: &RequestQuery, sql: &str) -> Result<bool> {
    let mut is_seen = true;
    for (number, argument) in (1..).zip(&query.arguments) {
        let Some(wanted) = wanted(argument) else { continue };
        for place in placeholder::places(sql, number) {
            if place.is_null_test || reads_times(&place) {
                continue;
            }
            is_seen &= compared(connection, sql, argument, &place, &wanted)?;
        }
    }
    Ok(is_seen)
}

/// Refuses a time that is finer than the format in which it is bound, if no other is declared.
pub(super) fn is_exact(query: &RequestQuery, sql: &str) -> Result<()> {
    for (number, argument) in (1..).zip(&query.arguments) {
        let is_fine =
            matches!(&argument.value, Some(schemas::cursor::Scalar::Text(text)) if text.contains('.'));
        let is_bare = || {
            placeholder::places(sql, number)
                .iter()
                .any(|place| !reads_times(place))
        };
        if argument.kind == ArgumentKind::Timestamp && is_fine && is_bare() {
            return Err(refused(
                format!(
                    "argument {} has a fraction of a second, which the column does not hold",
                    argument.name
                ),
                "ask with whole seconds, or declare the column's format for the argument: format = \"%Y-%m-%dT%H:%M:%S.%3fZ\"",
            ));
        }
    }
    Ok(())
}

fn reads_times(place: &Place) -> bool {
    place
        .function
        .as_deref()
        .is_some_and(|function| READS_TIMES.contains(&function))
}

/// Returns the format that the columns compared with this argument must have.
fn wanted(argument: &Argument) -> Option<StoredAs> {
    let two = "[0-9][0-9]";
    match (&argument.stored_as, argument.kind) {
        (Some(declared), _) => Some(declared.clone()),
        (None, ArgumentKind::Date) => Some(StoredAs::Text(format!("{two}{two}-{two}-{two}"))),
        (None, ArgumentKind::Timestamp) => Some(StoredAs::Text(format!(
            "{two}{two}-{two}-{two}T{two}:{two}:{two}Z"
        ))),
        (None, _) => None,
    }
}

fn compared(
    connection: &Connection,
    sql: &str,
    argument: &Argument,
    place: &Place,
    wanted: &StoredAs,
) -> Result<bool> {
    let Some(name) = place
        .column
        .as_ref()
        .and_then(|name| name.last())
        .filter(|_| place.is_bare())
    else {
        // Every function that returns a day writes it in one way.
        return if argument.kind == ArgumentKind::Timestamp && argument.stored_as.is_none() {
            Err(unknown_format(argument))
        } else {
            Ok(true)
        };
    };
    let (mut is_found, mut is_seen) = (false, true);
    for relation in Shape::parse(sql).relations {
        let Some(table) = relation.last() else { continue };
        let Some(declared) = declared_type(connection, table, name)? else {
            continue;
        };
        is_found = true;
        let kind = declared::sqlite(
            Some(&declared)
                .filter(|text| !text.is_empty())
                .map(String::as_str),
        );
        let is_time = matches!(kind, ColumnType::Timestamp | ColumnType::TimestampTz);
        if is_time && argument.kind == ArgumentKind::Date && argument.stored_as.is_none() {
            return Err(cut_day(argument, name));
        }
        match sample(connection, &relation, name, wanted, &kind)? {
            Sample::Fits => {}
            Sample::Empty => is_seen = false,
            Sample::Differs if argument.kind == ArgumentKind::Date => return Err(cut_day(argument, name)),
            Sample::Differs if argument.stored_as.is_none() => return Err(unknown_format(argument)),
            Sample::Differs => {
                return Err(refused(
                    format!(
                        "column {name} holds values in another format than argument {} declares",
                        argument.name
                    ),
                    "declare the format that the column has, or make the column's values alike",
                ));
            }
        }
    }
    if !is_found && argument.kind == ArgumentKind::Timestamp && argument.stored_as.is_none() {
        return Err(unknown_format(argument));
    }
    Ok(is_seen)
}

fn unknown_format(argument: &Argument) -> Error {
    refused(
        format!(
            "argument {} is a time, and the column that it is compared with writes times in another format, or in none that \
             is known",
            argument.name
        ),
        "declare the column's format for the argument, as in format = \"%Y-%m-%d %H:%M:%S\" with zone = \"Asia/Shanghai\" in the \
         kind, or format = \"unix_seconds\"; or convert both sides in the sql, as in unixepoch(at) >= unixepoch($1)",
    )
}

fn cut_day(argument: &Argument, column: &str) -> Error {
    refused(
        format!(
            "argument {} is a day, and column {column} does not hold days as yyyy-mm-dd: a day would be cut at its first instant",
            argument.name
        ),
        format!(
            "compare date({column}) with it, or declare the column's format for the argument, as in format = \"%Y%m%d\""
        ),
    )
}

/// Returns the declared type of a table's column, or `None` if there is no such column.
fn declared_type(connection: &Connection, table: &str, column: &str) -> Result<Option<String>> {
    use rusqlite::OptionalExtension as _;
    let sql = "SELECT type FROM pragma_table_info(?1) WHERE name = ?2 COLLATE NOCASE";
    let found = connection.query_row(sql, params![table, column], |row| row.get::<_, Option<String>>(0));
    let found = found.optional().map_err(|error| failure::classify(&error))?;
    Ok(found.map(Option::unwrap_or_default))
}

/// The result of sampling a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sample {
    Fits,
    Empty,
    Differs,
}

fn sample(
    connection: &Connection,
    relation: &[String],
    column: &str,
    wanted: &StoredAs,
    kind: &ColumnType,
) -> Result<Sample> {
    let (relation, column) = (
        relation
            .iter()
            .map(|part| quote(part))
            .collect::<Vec<_>>()
            .join("."),
        quote(column),
    );
    let newest = |order: &str| {
        format!("SELECT {column} AS v FROM {relation} WHERE {column} IS NOT NULL {order} LIMIT {SAMPLED}")
    };
    // Only a numeric column compares its integers with a text of digits as numbers.
    let is_number = matches!(kind, ColumnType::Int8 | ColumnType::Decimal { .. });
    let fits = match wanted {
        StoredAs::Text(_) if is_number => "typeof(v) IN ('text', 'integer') AND CAST(v AS TEXT) GLOB ?1",
        StoredAs::Text(_) => "typeof(v) = 'text' AND v GLOB ?1",
        StoredAs::Integer(..) => "typeof(v) = 'integer' AND (v = 0 OR abs(v) BETWEEN ?1 AND ?2 - 1)",
    };
    let count = |order: &str| {
        let sql = format!(
            "SELECT count(*), coalesce(sum({fits}), 0) FROM ({})",
            newest(order)
        );
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
        match wanted {
            StoredAs::Text(glob) => connection.query_row(&sql, params![glob], read),
            StoredAs::Integer(from, below) => connection.query_row(&sql, params![from, below], read),
        }
    };
    // A view and a table without rowid have no newest rows.
    let counted = count("ORDER BY rowid DESC").or_else(|_| count(""));
    let (all, fitting) = counted.map_err(|error| failure::classify(&error))?;
    Ok(match all {
        0 => Sample::Empty,
        all if all == fitting => Sample::Fits,
        _ => Sample::Differs,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const CORE: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, local TEXT, iso TEXT, unix INTEGER, millis INTEGER, day TEXT, \
        digits INTEGER, mixed TEXT, moment DATETIME, none TEXT); \
        INSERT INTO t VALUES (1, '2026-01-31 08:00:00', '2026-01-31T00:00:00Z', 1769817600, 1769817600000, '2026-01-31', \
        20260131, '2026-01-31', NULL, NULL), (2, '2026-02-01 08:00:00', '2026-02-01T00:00:00Z', 1769904000, 1769904000000, \
        '2026-02-01', 20260201, '2026-02-01 08:00:00', NULL, NULL);";

    fn asked(sql: &str, kind: ArgumentKind, stored_as: Option<StoredAs>) -> Result<bool> {
        let core = Connection::open_in_memory().unwrap();
        core.execute_batch(CORE).unwrap();
        let query = RequestQuery {
            name: "t.asked".into(),
            sql: sql.into(),
            arguments: vec![Argument {
                name: "from".into(),
                kind,
                value: None,
                stored_as,
            }],
            order: vec![],
            money: vec![],
            types: BTreeMap::new(),
            zone: None,
        };
        check(&core, &query, sql)
    }

    #[test]
    fn sqlite_argument_in_the_format_of_its_column_is_compared() {
        use ArgumentKind::{Date, Timestamp};
        for (condition, kind) in [
            ("day >= $1", Date),
            ("day BETWEEN $1 AND $1", Date),
            ("date(local) >= $1", Date),
            ("iso >= $1", Timestamp),
            ("unixepoch(local) >= unixepoch($1, '+8 hours')", Timestamp),
            ("$1 IS NULL", Timestamp),
        ] {
            let sql = format!("SELECT id FROM t WHERE {condition}");
            assert!(asked(&sql, kind, None).unwrap(), "{condition}");
        }
        let local = StoredAs::Text(
            "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9] [0-9][0-9]:[0-9][0-9]:[0-9][0-9]".into(),
        );
        let seconds = StoredAs::Integer(10_000_000, 100_000_000_000);
        assert!(
            asked(
                "SELECT id FROM t WHERE local < $1",
                ArgumentKind::Text,
                Some(local)
            )
            .unwrap()
        );
        assert!(
            asked(
                "SELECT id FROM t WHERE unix < $1",
                ArgumentKind::Integer,
                Some(seconds)
            )
            .unwrap()
        );
        let digits = StoredAs::Text("[0-9]".repeat(8));
        assert!(
            asked(
                "SELECT id FROM t WHERE digits < $1",
                ArgumentKind::Text,
                Some(digits)
            )
            .unwrap()
        );
        // Nothing is known of a column without values, so it is checked again.
        assert!(!asked("SELECT id FROM t WHERE none < $1", Date, None).unwrap());
    }

    #[test]
    fn sqlite_argument_in_another_format_than_its_column_is_refused() {
        use ArgumentKind::{Date, Integer, Timestamp};
        let seconds = || Some(StoredAs::Integer(10_000_000, 100_000_000_000));
        for (condition, kind, stored_as, wanted) in [
            ("local >= $1", Timestamp, None, "format ="),
            ("unix >= $1", Timestamp, None, "format ="),
            ("datetime(local) >= $1", Timestamp, None, "format ="),
            ("local BETWEEN '2026' AND $1", Date, None, "date(local)"),
            ("mixed <= $1", Date, None, "date(mixed)"),
            ("moment <= $1", Date, None, "date(moment)"),
            ("digits <= $1", Date, None, "format ="),
            ("millis >= $1", Integer, seconds(), "another format"),
            ("iso >= $1", Integer, seconds(), "another format"),
        ] {
            let sql = format!("SELECT id FROM t WHERE {condition}");
            let error = asked(&sql, kind, stored_as).expect_err(condition).to_string();
            assert!(error.contains(wanted), "{condition}: {error}");
        }
    }
}
