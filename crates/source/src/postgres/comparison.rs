//! Checks whether a query's date and time arguments are compared in the type of the columns.
//!
//! `timestamp >= timestamptz` is evaluated in the session's time zone: in UTC, a core that writes Shanghai time returns rows that
//! are eight hours off. The server reports the type with which an argument is compared, if it may choose the argument's type. If
//! that differs from the declared type, or a cast hides it, the kind must name the core's zone, and its SQL is evaluated in that
//! zone. A date that would be compared with a time is refused.

use gate::permit::Permit;
use tokio_postgres::types::{Kind, Type};

use super::catalogue::Relation;
use super::session::SessionGuard;
use crate::error::{Error, ErrorKind, Result, refused};
use crate::placeholder::{self, Place};
use crate::request_query::{Argument, ArgumentKind, RequestQuery};

/// Words that make a comparison depend on the session's zone or clock.
const ZONED_WORDS: [&str; 9] = [
    "now",
    "current_timestamp",
    "current_date",
    "localtimestamp",
    "timestamptz",
    "clock_timestamp",
    "statement_timestamp",
    "transaction_timestamp",
    "to_timestamp",
];

/// Casts to a date or time type.
const TIME_TYPES: [&str; 4] = ["date", "timestamp", "timestamptz", "timetz"];

/// How an argument is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    /// With its own type, independent of the session's zone.
    Exact,
    /// Correct only in the zone of the core's times.
    InZone,
    /// A date with a time.
    DayWithTime,
    /// A time with a date.
    TimeWithDay,
}

/// Checks every date and time argument.
pub(super) async fn check(
    locked: &mut SessionGuard<'_>,
    permit: &Permit,
    query: &RequestQuery,
    sql: &str,
    declared: &[Type],
    relations: &[Relation],
) -> Result<()> {
    let is_time = |one: &Argument| matches!(one.kind, ArgumentKind::Date | ArgumentKind::Timestamp);
    if !query.arguments.iter().any(is_time) {
        return Ok(());
    }
    let inferred = inferred(locked, permit, query, sql, declared).await?;
    let mut columns = None;
    for (at, argument) in query.arguments.iter().enumerate().filter(|(_, one)| is_time(one)) {
        let places = placeholder::places(sql, at + 1);
        let with = inferred.as_ref().and_then(|types| types.get(at));
        let comparison = compare(argument.kind, with, &places, has_time_cast(sql));
        let what = match comparison {
            Comparison::Exact => continue,
            Comparison::DayWithTime => {
                return Err(refused(
                    format!(
                        "argument {} is a day, and the sql compares it with a column of times: the last day would end at its \
                         first instant",
                        argument.name
                    ),
                    format!(
                        "compare the column's day (column::date), or write ${number}::date for the day's first instant",
                        number = at + 1
                    ),
                ));
            }
            Comparison::TimeWithDay => {
                return Err(refused(
                    format!(
                        "argument {} is a time, and the sql compares it with a column of days",
                        argument.name
                    ),
                    "declare the argument as date",
                ));
            }
            Comparison::InZone => format!(
                "argument {} is compared in a time zone, and the kind does not name the zone of the core's times",
                argument.name
            ),
        };
        if query.zone.is_some() {
            continue;
        }
        if columns.is_none() {
            columns = Some(column_types(locked, permit, relations).await?);
        }
        let (with_zone, without_zone) = columns.unwrap_or((true, true));
        let can_meet = match argument.kind {
            ArgumentKind::Date => with_zone || placeholder::has_word(sql, &ZONED_WORDS),
            _ => without_zone,
        };
        if can_meet {
            let own = locked.connection()?.zone.clone();
            return Err(refused(
                what,
                format!(
                    "add zone = \"…\" to the kind, the zone of the core's times without zone (the database's own is {own}); or \
                     compare the column as an instant: column AT TIME ZONE '…' >= ${}",
                    at + 1
                ),
            ));
        }
    }
    Ok(())
}

/// Returns the types that the server infers for the arguments, or `None` where it cannot.
async fn inferred(
    locked: &mut SessionGuard<'_>,
    permit: &Permit,
    query: &RequestQuery,
    sql: &str,
    declared: &[Type],
) -> Result<Option<Vec<Type>>> {
    // Type 0 lets the server choose.
    let open = Type::new(String::new(), 0, Kind::Pseudo, String::new());
    let types: Vec<Type> = query
        .arguments
        .iter()
        .zip(declared)
        .map(|(one, declared)| match one.kind {
            ArgumentKind::Date | ArgumentKind::Timestamp => open.clone(),
            _ => declared.clone(),
        })
        .collect();
    match locked.prepare(permit, sql, &types, None).await {
        Ok(prepared) => Ok(Some(prepared.params().to_vec())),
        Err(error) if matches!(error.kind, ErrorKind::Refused | ErrorKind::Database) => Ok(None),
        Err(error) => Err(error),
    }
}

fn has_time_cast(sql: &str) -> bool {
    let lower = sql.to_lowercase();
    lower.contains("with time zone")
        || TIME_TYPES.iter().any(|name| lower.contains(&format!("::{name}")))
        || (lower.contains("cast") && placeholder::has_word(sql, &TIME_TYPES))
}

/// PURE: evaluates an argument's comparisons.
fn compare(kind: ArgumentKind, with: Option<&Type>, places: &[Place], has_time_cast: bool) -> Comparison {
    if places.iter().all(|place| place.is_null_test) {
        return Comparison::Exact;
    }
    let is_bare = places.iter().all(|place| place.is_null_test || place.is_bare());
    let is_cast = places.iter().any(|place| place.is_cast);
    match (kind, with) {
        (ArgumentKind::Date, Some(with)) if *with == Type::DATE && is_bare && !has_time_cast => {
            Comparison::Exact
        }
        (ArgumentKind::Date, Some(with)) if is_instant(with) && !is_cast => Comparison::DayWithTime,
        (ArgumentKind::Timestamp, Some(with)) if *with == Type::TIMESTAMPTZ && is_bare && !has_time_cast => {
            Comparison::Exact
        }
        (ArgumentKind::Timestamp, Some(with)) if *with == Type::DATE && !is_cast => Comparison::TimeWithDay,
        _ => Comparison::InZone,
    }
}

fn is_instant(kind: &Type) -> bool {
    *kind == Type::TIMESTAMP || *kind == Type::TIMESTAMPTZ
}

/// Returns whether the relations have columns of times with a zone, and of dates or times without one. Both if unknown.
async fn column_types(
    locked: &mut SessionGuard<'_>,
    permit: &Permit,
    relations: &[Relation],
) -> Result<(bool, bool)> {
    if relations.is_empty() {
        return Ok((true, true));
    }
    let oids: Vec<u32> = relations.iter().map(|one| one.oid).collect();
    let rows = locked
        .query(permit, COLUMN_TYPES, &[(&oids, Type::OID_ARRAY)])
        .await?;
    let row = rows.first();
    let flag = |at: usize| {
        row.and_then(|row| row.try_get::<_, bool>(at).ok())
            .unwrap_or(true)
    };
    Ok((flag(0), flag(1)))
}

const COLUMN_TYPES: &str = "SELECT \
    coalesce(bool_or(b.typname IN ('timestamptz', 'timetz')), false), \
    coalesce(bool_or(b.typname IN ('timestamp', 'date', 'time')), false) \
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
    JOIN pg_catalog.pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END \
    WHERE a.attrelid = ANY($1) AND a.attnum > 0 AND NOT a.attisdropped";

/// Refuses a column whose text would be written in the kind's zone instead of UTC.
pub(super) fn output(name: &str, kind: &Type) -> Result<()> {
    let is_nested = [
        Type::TIMESTAMPTZ_ARRAY,
        Type::TSTZ_RANGE,
        Type::TSTZ_RANGE_ARRAY,
        Type::TSTZMULTI_RANGE,
    ]
    .contains(kind);
    if is_nested {
        return Err(Error::new(
            ErrorKind::Refused,
            format!("column {name} holds several times with zone, which a kind with a zone cannot give"),
            "give its parts as columns of their own, or leave it out",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comparison_of(kind: ArgumentKind, with: Option<&Type>, condition: &str) -> Comparison {
        let sql = format!("SELECT id FROM t WHERE {condition}");
        compare(kind, with, &placeholder::places(&sql, 1), has_time_cast(&sql))
    }

    #[test]
    fn argument_is_exact_only_against_its_own_type() {
        use ArgumentKind::{Date, Timestamp};
        use Comparison::{DayWithTime, Exact, InZone, TimeWithDay};
        for (kind, with, condition, wanted) in [
            (Date, Some(Type::DATE), "d BETWEEN $1 AND $1", Exact),
            (Date, None, "$1 IS NULL", Exact),
            (Date, Some(Type::TIMESTAMP), "at >= $1", DayWithTime),
            (Date, Some(Type::TIMESTAMPTZ), "at >= $1", DayWithTime),
            (Date, Some(Type::DATE), "at < $1::date + 1", InZone),
            (Date, Some(Type::DATE), "at::date <= $1", InZone),
            (Date, None, "at < $1 + 1", InZone),
            (Timestamp, Some(Type::TIMESTAMPTZ), "at >= $1", Exact),
            (
                Timestamp,
                Some(Type::TIMESTAMPTZ),
                "at AT TIME ZONE 'UTC' >= $1",
                Exact,
            ),
            (Timestamp, Some(Type::TIMESTAMP), "at >= $1", InZone),
            (
                Timestamp,
                Some(Type::TIMESTAMPTZ),
                "at >= $1::timestamptz",
                InZone,
            ),
            (
                Timestamp,
                Some(Type::TIMESTAMPTZ),
                "at >= date_trunc('day', $1)",
                InZone,
            ),
            (Timestamp, Some(Type::DATE), "d >= $1", TimeWithDay),
        ] {
            assert_eq!(
                comparison_of(kind, with.as_ref(), condition),
                wanted,
                "{kind:?} {condition}"
            );
        }
    }
}
