//! The bookkeeping's statements on a PostgreSQL connection. Each is prepared once for a connection.

use std::error::Error as StdError;
use std::pin::pin;

use bytes::BytesMut;
use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, WrongType, to_sql_checked};

use super::failure;
use super::session::{IMMEDIATE, Session};
use super::table_lock::locked;
use crate::bookkeeping::{Begin, Field, LaneLock, Row, SqlSession, Value};
use crate::error::Result;

/// PostgreSQL's epoch, 2000-01-01, in microseconds after the Unix epoch.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

type ConversionError = Box<dyn StdError + Sync + Send>;

impl ToSql for Value<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> std::result::Result<IsNull, ConversionError> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Flag(flag) => flag.to_sql_checked(kind, out),
            Self::Int(number) if *kind == Type::INT4 => small(*number).to_sql(kind, out),
            Self::Int(number) => number.to_sql_checked(kind, out),
            Self::Text(text) => text.to_sql_checked(kind, out),
            Self::Bytes(bytes) => bytes.to_sql_checked(kind, out),
            Self::Time(at) if *kind == Type::TIMESTAMPTZ => {
                (at.as_microsecond() - EPOCH_MICROS).to_sql(&Type::INT8, out)
            }
            Self::Ints(numbers) if *kind == Type::INT4_ARRAY => numbers
                .iter()
                .map(|number| small(*number))
                .collect::<Vec<_>>()
                .to_sql(kind, out),
            Self::Ints(numbers) => numbers.to_sql_checked(kind, out),
            Self::Time(_) => Err(Box::new(WrongType::new::<i64>(kind.clone()))),
        }
    }

    /// Conversions check the type.
    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// Converts an epoch, which the database keeps in four bytes.
fn small(number: i64) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

impl<'a> FromSql<'a> for Field<'a> {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> std::result::Result<Self, ConversionError> {
        Ok(match *kind {
            Type::BOOL => Self::Flag(bool::from_sql(kind, raw)?),
            Type::INT4 => Self::Int(i64::from(i32::from_sql(kind, raw)?)),
            Type::INT8 => Self::Int(i64::from_sql(kind, raw)?),
            Type::BYTEA => Self::Bytes(<&[u8]>::from_sql(kind, raw)?),
            Type::TIMESTAMPTZ => {
                let micros = i64::from_sql(&Type::INT8, raw)?.saturating_add(EPOCH_MICROS);
                Self::Time(Timestamp::from_microsecond(micros)?)
            }
            _ => Self::Text(<&str>::from_sql(kind, raw)?),
        })
    }

    fn from_sql_null(_: &Type) -> std::result::Result<Self, ConversionError> {
        Ok(Self::Null)
    }

    fn accepts(kind: &Type) -> bool {
        matches!(
            *kind,
            Type::BOOL | Type::INT4 | Type::INT8 | Type::BYTEA | Type::TIMESTAMPTZ
        ) || <&str as FromSql>::accepts(kind)
    }
}

impl Row for tokio_postgres::Row {
    fn field(&self, at: usize) -> Result<Field<'_>> {
        self.try_get(at).map_err(|error| failure::of(&error))
    }
}

impl SqlSession for Session {
    const PREFIX: &'static str = "slacktide.";
    const NO_BYTES: &'static str = "''";

    fn row_lock(lock: LaneLock) -> &'static str {
        match lock {
            // It does not conflict with the update of columns outside of the key.
            LaneLock::Shared => "FOR KEY SHARE",
            LaneLock::Alone => "FOR UPDATE",
            LaneLock::Frontier => "FOR NO KEY UPDATE",
            LaneLock::Free => "",
        }
    }

    fn any(column: &str, parameter: &str) -> String {
        format!("{column} = ANY({parameter})")
    }

    fn records(parameter: &str, columns: &[(&str, &str)]) -> String {
        let columns: Vec<String> = columns
            .iter()
            .map(|(name, kind)| format!("{name} {kind}"))
            .collect();
        format!(
            "jsonb_to_recordset(CAST(CAST({parameter} AS text) AS jsonb)) AS u ({})",
            columns.join(", ")
        )
    }

    fn sha256(column: &str) -> String {
        format!("encode(sha256({column}), 'hex')")
    }

    async fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<u64> {
        let fail = |error: tokio_postgres::Error| failure::of(&error);
        let statement = self.prepared(sql).await.map_err(fail)?;
        self.client.execute_raw(&statement, values).await.map_err(fail)
    }

    async fn query<T, F>(&self, sql: &str, values: &[Value<'_>], read: F) -> Result<Vec<T>>
    where
        T: Send,
        F: Fn(&dyn Row) -> Result<T> + Send,
    {
        let fail = |error: tokio_postgres::Error| failure::of(&error);
        let statement = self.prepared(sql).await.map_err(fail)?;
        let rows = self.client.query_raw(&statement, values).await.map_err(fail)?;
        let (mut rows, mut found) = (pin!(rows), Vec::new());
        while let Some(row) = rows.try_next().await.map_err(fail)? {
            found.push(read(&row)?);
        }
        Ok(found)
    }

    async fn begin(&self, what: Begin) -> Result<()> {
        match what {
            Begin::Bookkeeping => Session::begin(self, "").await,
            Begin::Rows => Session::begin(self, IMMEDIATE).await,
            Begin::Tables => Session::begin(self, &locked()).await,
        }
    }

    async fn commit(&self) -> Result<()> {
        Session::commit(self).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postgres_values_keep_their_content() -> std::result::Result<(), ConversionError> {
        let at: Timestamp = "2026-01-31T10:00:00.123456Z".parse()?;
        for (value, kind, wanted) in [
            (Value::Int(7), Type::INT4, Field::Int(7)),
            (Value::Int(i64::MAX), Type::INT4, Field::Int(i64::from(i32::MAX))),
            (Value::Int(i64::MAX), Type::INT8, Field::Int(i64::MAX)),
            (Value::Flag(true), Type::BOOL, Field::Flag(true)),
            (Value::Text("a"), Type::TEXT, Field::Text("a")),
            (Value::Bytes(&[0, 255]), Type::BYTEA, Field::Bytes(&[0, 255])),
            (Value::Time(at), Type::TIMESTAMPTZ, Field::Time(at)),
            (
                Value::Time(Timestamp::UNIX_EPOCH),
                Type::TIMESTAMPTZ,
                Field::Time(Timestamp::UNIX_EPOCH),
            ),
        ] {
            let mut out = BytesMut::new();
            assert!(matches!(value.to_sql_checked(&kind, &mut out)?, IsNull::No));
            assert_eq!(Field::from_sql(&kind, &out)?, wanted);
        }
        Ok(())
    }

    #[test]
    fn postgres_value_of_another_type_is_refused() {
        let at = Timestamp::UNIX_EPOCH;
        for (value, kind) in [
            (Value::Time(at), Type::TEXT),
            (Value::Int(1), Type::TEXT),
            (Value::Text("1"), Type::INT8),
            (Value::Flag(true), Type::INT4),
        ] {
            let mut out = BytesMut::new();
            assert!(
                value.to_sql_checked(&kind, &mut out).is_err(),
                "{value:?} as {kind}"
            );
        }
    }
}
