//! Rows as consecutive MessagePack arrays without a frame: the manifest has their number and their columns.
//!
//! Reading borrows from the bytes, so a row costs no allocation beyond the reused vector.

use rmp::{Marker, decode};
use serde::{Serialize, Serializer};

use crate::value::Value;

/// Rows that cannot be packed or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// The bytes are not rows. The error does not contain them, because they may be personal data.
    #[error("row {row} of the body cannot be read: {what}")]
    Malformed {
        /// Counted from 0.
        row: u64,
        /// The cause, without any value.
        what: String,
    },
    /// The number of values differs from the number of columns.
    #[error("row {row} has {given} values, but the manifest names {expected} columns")]
    Width {
        /// Counted from 0.
        row: u64,
        /// Values in the row.
        given: usize,
        /// Columns in the manifest.
        expected: usize,
    },
    /// Bytes after the last row, or missing rows.
    #[error("the manifest counts {expected} rows, the body holds {given}")]
    Count {
        /// Rows found.
        given: u64,
        /// Rows in the manifest.
        expected: u64,
    },
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Text(value) => serializer.serialize_str(value),
            Self::Bytes(value) => serializer.serialize_bytes(value),
        }
    }
}

/// Packs one row and appends it to `out`.
///
/// # Errors
/// [`RowError::Malformed`] if the row is too long for the format (2^32 values or bytes).
pub fn pack(row: &[Value<'_>], out: &mut Vec<u8>) -> Result<(), RowError> {
    let start = out.len();
    row.serialize(&mut rmp_serde::Serializer::new(&mut *out))
        .map_err(|error| {
            out.truncate(start);
            RowError::Malformed {
                row: 0,
                what: error.to_string(),
            }
        })
}

/// Reads rows from a body, in order.
pub struct RowReader<'a> {
    rest: &'a [u8],
    width: usize,
    read: u64,
    expected: u64,
}

impl<'a> RowReader<'a> {
    /// Creates a reader of `plain` bytes with `expected` rows of `width` values each.
    #[must_use]
    pub fn new(plain: &'a [u8], width: usize, expected: u64) -> Self {
        Self {
            rest: plain,
            width,
            read: 0,
            expected,
        }
    }

    /// Returns the unread bytes: the offset of the next row is the body's length minus this.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Reads the next row into `row` and replaces its values. Returns `false` after the last row.
    ///
    /// # Errors
    /// [`RowError`] when the bytes are not such a row, or rows are missing or surplus.
    pub fn next_into(&mut self, row: &mut Vec<Value<'a>>) -> Result<bool, RowError> {
        row.clear();
        if self.read == self.expected {
            return if self.rest.is_empty() {
                Ok(false)
            } else {
                Err(RowError::Count {
                    given: self.read + 1,
                    expected: self.expected,
                })
            };
        }
        if self.rest.is_empty() {
            return Err(RowError::Count {
                given: self.read,
                expected: self.expected,
            });
        }
        let malformed = |what: &str| RowError::Malformed {
            row: self.read,
            what: what.to_owned(),
        };
        let mut rest = self.rest;
        let given = decode::read_array_len(&mut rest).map_err(|_| malformed("not an array of values"))?;
        let given = usize::try_from(given).unwrap_or(usize::MAX);
        if given != self.width {
            return Err(RowError::Width {
                row: self.read,
                given,
                expected: self.width,
            });
        }
        for _ in 0..given {
            row.push(value(&mut rest).map_err(malformed)?);
        }
        self.rest = rest;
        self.read += 1;
        Ok(true)
    }
}

/// Reads one value from `rest`, borrowing its text and bytes.
fn value<'a>(rest: &mut &'a [u8]) -> Result<Value<'a>, &'static str> {
    const TRUNCATED: &str = "the bytes end early";
    let marker = Marker::from_u8(*rest.first().ok_or(TRUNCATED)?);
    let len = |given: Result<u32, _>| {
        given
            .map(|len| len as usize)
            .map_err(|_: decode::ValueReadError<_>| TRUNCATED)
    };
    Ok(match marker {
        Marker::Null => decode::read_nil(rest)
            .map(|()| Value::Null)
            .map_err(|_| TRUNCATED)?,
        Marker::True | Marker::False => Value::Bool(decode::read_bool(rest).map_err(|_| TRUNCATED)?),
        Marker::F32 => Value::Float(f64::from(decode::read_f32(rest).map_err(|_| TRUNCATED)?)),
        Marker::F64 => Value::Float(decode::read_f64(rest).map_err(|_| TRUNCATED)?),
        Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => {
            let len = len(decode::read_str_len(rest))?;
            Value::Text(
                std::str::from_utf8(take(rest, len).ok_or(TRUNCATED)?)
                    .map_err(|_| "text that is not UTF-8")?,
            )
        }
        Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => {
            let len = len(decode::read_bin_len(rest))?;
            Value::Bytes(take(rest, len).ok_or(TRUNCATED)?)
        }
        _ => Value::Int(decode::read_int(rest).map_err(|_| "a value of a shape that rows do not have")?),
    })
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: [Value<'_>; 7] = [
        Value::Null,
        Value::Bool(true),
        Value::Int(i64::MIN),
        Value::Float(0.1),
        Value::Text(""),
        Value::Text("张三"),
        Value::Bytes(&[0, 255]),
    ];

    #[test]
    fn rows_round_trip() {
        let mut bytes = Vec::new();
        pack(&ROW, &mut bytes).unwrap();
        pack(&ROW, &mut bytes).unwrap();
        let mut reader = RowReader::new(&bytes, 7, 2);
        let mut row = Vec::new();
        for _ in 0..2 {
            assert!(reader.next_into(&mut row).unwrap());
            assert_eq!(row, ROW);
        }
        assert!(!reader.next_into(&mut row).unwrap());
    }

    #[test]
    fn rows_wrong_count_width_and_truncation_are_errors() {
        let mut bytes = Vec::new();
        pack(&ROW, &mut bytes).unwrap();
        let read = |bytes: &[u8], width, rows| {
            let mut reader = RowReader::new(bytes, width, rows);
            let mut row = Vec::new();
            loop {
                match reader.next_into(&mut row) {
                    Ok(true) => {}
                    Ok(false) => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
        };
        assert_eq!(read(&bytes, 7, 1), Ok(()));
        assert!(matches!(
            read(&bytes, 7, 2),
            Err(RowError::Count {
                given: 1,
                expected: 2
            })
        ));
        assert!(matches!(read(&bytes, 7, 0), Err(RowError::Count { .. })));
        assert!(matches!(
            read(&bytes, 6, 1),
            Err(RowError::Width {
                given: 7,
                expected: 6,
                ..
            })
        ));
        assert!(matches!(
            read(&bytes[..bytes.len() - 1], 7, 1),
            Err(RowError::Malformed { .. })
        ));
        assert!(matches!(
            read(&[0x81, 0x01, 0x02], 1, 1),
            Err(RowError::Malformed { .. })
        ));
    }

    #[test]
    fn rows_array_of_four_billion_values_allocates_nothing() {
        assert!(
            RowReader::new(&[0xdd, 0xff, 0xff, 0xff, 0xff, 0xc0], 3, 1)
                .next_into(&mut Vec::new())
                .is_err()
        );
    }
}
