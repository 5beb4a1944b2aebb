//! Decodes values of the wire protocol. Only values whose text is made here are copied.

use std::error::Error as StdError;

use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};

use schemas::value::Value;

use super::binary_text::{self, BinaryType};

/// The wire representation of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Bytes,
    /// Sent in its binary format and converted to text here.
    Binary(BinaryType),
    /// Text, also for types that are cast to it.
    Text,
}

impl Wire {
    /// Returns the representation of a type, and whether it must be cast to text.
    pub(super) fn for_type(kind: &Type) -> (Self, bool) {
        match *kind {
            Type::BOOL => (Self::Bool, false),
            Type::INT2 => (Self::Int2, false),
            Type::INT4 => (Self::Int4, false),
            Type::INT8 => (Self::Int8, false),
            Type::FLOAT4 => (Self::Float4, false),
            Type::FLOAT8 => (Self::Float8, false),
            Type::BYTEA => (Self::Bytes, false),
            Type::NUMERIC => (Self::Binary(BinaryType::Numeric), false),
            Type::DATE => (Self::Binary(BinaryType::Date), false),
            Type::TIME => (Self::Binary(BinaryType::Time), false),
            Type::TIMESTAMP => (Self::Binary(BinaryType::Timestamp), false),
            Type::TIMESTAMPTZ => (Self::Binary(BinaryType::TimestampTz), false),
            Type::UUID => (Self::Binary(BinaryType::Uuid), false),
            Type::TEXT | Type::VARCHAR | Type::JSON => (Self::Text, false),
            // The text format of char(n) loses its blanks, which its binary format keeps.
            Type::BPCHAR => (Self::Text, false),
            _ => (Self::Text, true),
        }
    }
}

/// Returns the select expression of a column: the column itself, or its text.
pub(super) fn asked(kind: &Type, name: &str) -> String {
    match *kind {
        // The text of money depends on the server's locale, which the store need not share.
        Type::MONEY => format!("{name}::pg_catalog.numeric::pg_catalog.text"),
        Type::MONEY_ARRAY => format!("{name}::pg_catalog.numeric[]::pg_catalog.text"),
        // The cast to text adds a netmask that the address does not print.
        Type::INET => format!("pg_catalog.textin(pg_catalog.inet_out({name}))"),
        // The cast to text keeps an XML encoding declaration that no longer applies.
        Type::XML => format!("pg_catalog.textin(pg_catalog.xml_out({name}))"),
        _ if Wire::for_type(kind).1 => format!("{name}::pg_catalog.text"),
        _ => name.to_owned(),
    }
}

/// The bytes of a value as received.
pub(super) struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Raw(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// Returns the bytes of a column, or `None` for null.
pub(super) fn raw(row: &Row, index: usize) -> Option<&[u8]> {
    row.try_get::<_, Option<Raw<'_>>>(index)
        .ok()
        .flatten()
        .map(|raw| raw.0)
}

/// Decodes a column. A text that is made here is appended to `texts`. Returns `None` if the bytes do not fit the type.
pub(super) fn value<'a>(row: &'a Row, index: usize, wire: Wire, texts: &'a mut String) -> Option<Value<'a>> {
    match wire {
        Wire::Binary(kind) => {
            let Some(bytes) = raw(row, index) else {
                return Some(Value::Null);
            };
            let start = texts.len();
            binary_text::write(kind, bytes, texts)?;
            Some(Value::Text(texts.get(start..)?))
        }
        wire => borrowed(row, index, wire),
    }
}

/// Decodes the columns of a row into `values`. Texts that are made here are in `texts`. If the bytes of a column do not
/// fit its type, returns its index.
pub(super) fn all<'a>(
    row: &'a Row,
    wires: &[Wire],
    texts: &'a mut String,
    ends: &mut Vec<usize>,
    values: &mut Vec<Value<'a>>,
) -> Result<(), usize> {
    texts.clear();
    ends.clear();
    for (index, wire) in wires.iter().enumerate() {
        if let Wire::Binary(kind) = wire {
            let written = raw(row, index).map(|bytes| binary_text::write(*kind, bytes, texts));
            if written == Some(None) {
                return Err(index);
            }
            ends.push(texts.len());
        }
    }
    let texts: &str = texts;
    let (mut ends, mut start) = (ends.iter(), 0);
    for (index, wire) in wires.iter().enumerate() {
        let value = if let Wire::Binary(_) = wire {
            let end = ends.next().copied().unwrap_or(start);
            let text = texts.get(std::mem::replace(&mut start, end)..end);
            // No text is empty.
            text.map(|text| {
                if text.is_empty() {
                    Value::Null
                } else {
                    Value::Text(text)
                }
            })
        } else {
            borrowed(row, index, *wire)
        };
        values.push(value.ok_or(index)?);
    }
    Ok(())
}

/// Decodes a column that is not converted.
fn borrowed(row: &Row, index: usize, wire: Wire) -> Option<Value<'_>> {
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
        Wire::Binary(_) => return None,
    })
}
