//! PURE: a value in COPY's binary format.
//!
//! The server reads it with less work than a text. Only what the server's input function makes of the value's text in a
//! session of this store is encoded: one type of column, and the usual spelling of each value. Everything else is sent as
//! text (see [`cell`](super::cell)).

mod numeric;
mod time;

use schemas::column::ColumnType;
use schemas::value::Value;
use tokio_postgres::types::Type;

/// The binary format of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BinaryFormat {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric,
    Text,
    Json,
    Jsonb,
    /// Of a column of bytes at the source.
    Bytes,
    Date,
    Time,
    Timestamp,
    TimestampTz,
    Uuid,
}

impl BinaryFormat {
    /// Returns the format of values of `kind` for a column with this type; `None` if they are sent as text.
    pub(super) fn of(kind: &ColumnType, oid: u32) -> Option<Self> {
        let is_bytes = *kind == ColumnType::Bytes;
        let format = match Type::from_oid(oid)? {
            Type::BOOL => Self::Bool,
            Type::INT2 => Self::Int2,
            Type::INT4 => Self::Int4,
            Type::INT8 => Self::Int8,
            Type::FLOAT4 => Self::Float4,
            Type::FLOAT8 => Self::Float8,
            Type::NUMERIC => Self::Numeric,
            Type::TEXT | Type::VARCHAR | Type::BPCHAR => Self::Text,
            Type::JSON => Self::Json,
            Type::JSONB => Self::Jsonb,
            Type::BYTEA => Self::Bytes,
            Type::DATE => Self::Date,
            Type::TIME => Self::Time,
            Type::TIMESTAMP => Self::Timestamp,
            Type::TIMESTAMPTZ => Self::TimestampTz,
            Type::UUID => Self::Uuid,
            _ => return None,
        };
        // Bytes are text with a prefix in any other column, and a text is no bytes.
        (is_bytes == (format == Self::Bytes)).then_some(format)
    }
}

/// Appends a value with its length. Returns `None` if it must be sent as text; `out` is incomplete then.
pub(super) fn write(format: BinaryFormat, value: Value<'_>, out: &mut Vec<u8>) -> Option<()> {
    use BinaryFormat as F;
    match (format, value) {
        (_, Value::Null) => out.extend_from_slice(&(-1_i32).to_be_bytes()),
        (F::Bool, Value::Bool(value)) => field(&[u8::from(value)], out)?,
        (F::Int2, Value::Int(value)) => field(&i16::try_from(value).ok()?.to_be_bytes(), out)?,
        (F::Int4, Value::Int(value)) => field(&i32::try_from(value).ok()?.to_be_bytes(), out)?,
        (F::Int8, Value::Int(value)) => field(&value.to_be_bytes(), out)?,
        (F::Float4, Value::Float(value)) => field(&single(value)?.to_be_bytes(), out)?,
        (F::Float8, Value::Float(value)) => field(&value.to_be_bytes(), out)?,
        (F::Numeric, Value::Text(text)) => numeric::write(text, out)?,
        (F::Text | F::Json, Value::Text(text)) => field(text.as_bytes(), out)?,
        (F::Jsonb, Value::Text(text)) => {
            // The version of the format is a part of the value.
            length(text.len() + 1, out)?;
            out.push(1);
            out.extend_from_slice(text.as_bytes());
        }
        (F::Bytes, Value::Bytes(bytes)) => field(bytes, out)?,
        (F::Bytes, Value::Text(text)) => field(text.as_bytes(), out)?,
        (F::Date, Value::Text(text)) => field(&time::date(text.as_bytes())?.to_be_bytes(), out)?,
        (F::Time, Value::Text(text)) => field(&time::time(text.as_bytes())?.to_be_bytes(), out)?,
        (F::Timestamp, Value::Text(text)) => field(&time::timestamp(text.as_bytes())?.to_be_bytes(), out)?,
        (F::TimestampTz, Value::Text(text)) => {
            let local = text.as_bytes().strip_suffix(b"+00")?;
            field(&time::timestamp(local)?.to_be_bytes(), out)?;
        }
        (F::Uuid, Value::Text(text)) => field(&uuid(text.as_bytes())?, out)?,
        _ => return None,
    }
    Some(())
}

/// Appends bytes with their length.
pub(super) fn field(bytes: &[u8], out: &mut Vec<u8>) -> Option<()> {
    length(bytes.len(), out)?;
    out.extend_from_slice(bytes);
    Some(())
}

fn length(bytes: usize, out: &mut Vec<u8>) -> Option<()> {
    out.extend_from_slice(&i32::try_from(bytes).ok()?.to_be_bytes());
    Some(())
}

/// Returns a float that is exactly one of single precision.
fn single(value: f64) -> Option<f32> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "compared with the value afterwards"
    )]
    let single = value as f32;
    (f64::from(single).to_bits() == value.to_bits()).then_some(single)
}

fn uuid(text: &[u8]) -> Option<[u8; 16]> {
    if text.len() != 36 {
        return None;
    }
    let mut bytes = [0; 16];
    let mut digits = text.iter().enumerate().filter_map(|(at, byte)| match at {
        8 | 13 | 18 | 23 => (*byte != b'-').then_some(None),
        _ => Some(char::from(*byte).to_digit(16)),
    });
    for byte in &mut bytes {
        let pair = digits.next()?? * 16 + digits.next()??;
        *byte = u8::try_from(pair).ok()?;
    }
    digits.next().is_none().then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(format: BinaryFormat, value: Value<'_>) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        write(format, value, &mut out).map(|()| out)
    }

    #[test]
    fn binary_cell_has_its_length_first() {
        use BinaryFormat as F;
        assert_eq!(binary(F::Int2, Value::Int(-2)).unwrap(), [0, 0, 0, 2, 255, 254]);
        assert_eq!(
            binary(F::Text, Value::Text("ab")).unwrap(),
            [0, 0, 0, 2, b'a', b'b']
        );
        assert_eq!(binary(F::Jsonb, Value::Text("1")).unwrap(), [0, 0, 0, 2, 1, b'1']);
        assert_eq!(binary(F::Int8, Value::Null).unwrap(), [255; 4]);
        let id = binary(F::Uuid, Value::Text("00112233-4455-6677-8899-aabbccddeeff")).unwrap();
        assert_eq!(id[4..8], [0, 0x11, 0x22, 0x33]);
        assert_eq!(id[18..], [0xee, 0xff]);
    }

    /// What the server would refuse or convert is its decision, made of the text.
    #[test]
    fn binary_cell_of_an_unusual_value_is_sent_as_text() {
        use BinaryFormat as F;
        for (format, value) in [
            (F::Int2, Value::Int(32_768)),
            (F::Int4, Value::Int(i64::MAX)),
            (F::Int8, Value::Text("7")),
            (F::Bool, Value::Int(1)),
            (F::Float4, Value::Float(0.1)),
            (F::Float8, Value::Int(1)),
            (F::Text, Value::Int(7)),
            (F::Text, Value::Bool(true)),
            (F::Uuid, Value::Text("00112233445566778899aabbccddeeff")),
            (F::Uuid, Value::Text("00112233-4455-6677-8899-aabbccddeef-")),
            (F::Uuid, Value::Text("{0112233-4455-6677-8899-aabbccddeeff")),
            (F::TimestampTz, Value::Text("2026-01-01 00:00:00+08")),
            (F::TimestampTz, Value::Text("2026-01-01 00:00:00")),
            (F::Timestamp, Value::Text("2026-01-01 00:00:00+00")),
            (F::Date, Value::Text("infinity")),
        ] {
            assert_eq!(binary(format, value), None, "{format:?} {value:?}");
        }
    }

    #[test]
    fn binary_cell_needs_a_known_type_of_column() {
        let of = |kind, oid| BinaryFormat::of(&kind, oid);
        let text = ColumnType::Text { max: None };
        assert_eq!(of(text.clone(), Type::VARCHAR.oid()), Some(BinaryFormat::Text));
        assert_eq!(of(text.clone(), Type::BYTEA.oid()), None);
        assert_eq!(of(text.clone(), Type::INTERVAL.oid()), None);
        // The type of a domain or an extension.
        assert_eq!(of(text, 100_000), None);
        assert_eq!(of(ColumnType::Bytes, Type::TEXT.oid()), None);
        assert_eq!(
            of(ColumnType::Bytes, Type::BYTEA.oid()),
            Some(BinaryFormat::Bytes)
        );
    }
}
