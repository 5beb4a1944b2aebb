//! Values off the wire without copies.

use std::error::Error as StdError;

use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};

use schemas::value::Value;

/// How a column of the select list comes off the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Bytes,
    /// Text, also of types that were cast to it.
    Text,
}

impl Wire {
    /// How a type comes, and whether it must be cast to text for that.
    pub(super) fn of(kind: &Type) -> (Self, bool) {
        match *kind {
            Type::BOOL => (Self::Bool, false),
            Type::INT2 => (Self::Int2, false),
            Type::INT4 => (Self::Int4, false),
            Type::INT8 => (Self::Int8, false),
            Type::FLOAT4 => (Self::Float4, false),
            Type::FLOAT8 => (Self::Float8, false),
            Type::BYTEA => (Self::Bytes, false),
            Type::TEXT | Type::VARCHAR | Type::JSON => (Self::Text, false),
            // The text form of char(n) would lose its blanks, which its binary form keeps.
            Type::BPCHAR => (Self::Text, false),
            _ => (Self::Text, true),
        }
    }
}

/// How a column of the feed is asked for: as it is, or as the text that the type itself prints.
pub(super) fn asked(kind: &Type, name: &str) -> String {
    match *kind {
        // The text of money follows the server's locale, which the store need not share.
        Type::MONEY => format!("{name}::pg_catalog.numeric::pg_catalog.text"),
        Type::MONEY_ARRAY => format!("{name}::pg_catalog.numeric[]::pg_catalog.text"),
        // The cast to text adds a mask that the address itself does not print.
        Type::INET => format!("pg_catalog.textin(pg_catalog.inet_out({name}))"),
        // The cast to text keeps an encoding declared that the text no longer has.
        Type::XML => format!("pg_catalog.textin(pg_catalog.xml_out({name}))"),
        _ if Wire::of(kind).1 => format!("{name}::pg_catalog.text"),
        _ => name.to_owned(),
    }
}

/// The same while the session is in another time zone than UTC: a time with zone is still given in UTC.
pub(super) fn asked_in_zone(kind: &Type, name: &str) -> String {
    if *kind != Type::TIMESTAMPTZ {
        return asked(kind, name);
    }
    format!(
        "CASE WHEN pg_catalog.isfinite({name}) THEN pg_catalog.replace(({name} AT TIME ZONE 'UTC')::text || '+00', ' BC+00', \
         '+00 BC') ELSE {name}::text END"
    )
}

/// The bytes of a value as they came.
pub(super) struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Raw(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// The bytes of a column; `None` is null.
pub(super) fn raw(row: &Row, index: usize) -> Option<&[u8]> {
    row.try_get::<_, Option<Raw<'_>>>(index)
        .ok()
        .flatten()
        .map(|raw| raw.0)
}

/// The value of a column; `None` when the bytes are not what the type promises.
pub(super) fn value(row: &Row, index: usize, wire: Wire) -> Option<Value<'_>> {
    let Some(bytes) = raw(row, index) else {
        return Some(Value::Null);
    };
    Some(match wire {
        Wire::Bool => Value::Bool(*bytes.first()? != 0),
        Wire::Int2 => Value::Int(i64::from(i16::from_be_bytes(bytes.try_into().ok()?))),
        Wire::Int4 => Value::Int(i64::from(i32::from_be_bytes(bytes.try_into().ok()?))),
        Wire::Int8 => Value::Int(i64::from_be_bytes(bytes.try_into().ok()?)),
        Wire::Float4 => Value::Float(f64::from(f32::from_be_bytes(bytes.try_into().ok()?))),
        Wire::Float8 => Value::Float(f64::from_be_bytes(bytes.try_into().ok()?)),
        Wire::Bytes => Value::Bytes(bytes),
        Wire::Text => Value::Text(std::str::from_utf8(bytes).ok()?),
    })
}
