//! Rows as consecutive MessagePack arrays without a frame: the manifest has their number and their columns.
//!
//! Reading borrows from the bytes, so a row costs no allocation beyond the reused vector.

use rmp::{Marker, decode, encode};

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

/// Packs one row and appends it to `out`.
///
/// # Errors
/// [`RowError::Malformed`] if the row is too long for the format (2^32 values or bytes).
pub fn pack(row: &[Value<'_>], out: &mut Vec<u8>) -> Result<(), RowError> {
    let start = out.len();
    pack_values(row, out).map_err(|what| {
        out.truncate(start);
        RowError::Malformed {
            row: 0,
            what: what.to_owned(),
        }
    })
}

/// Short texts are written here, because most values are short texts.
fn pack_values(row: &[Value<'_>], out: &mut Vec<u8>) -> Result<(), &'static str> {
    const TOO_LONG: &str = "it is too long for the format";
    let long = |length: usize| u32::try_from(length).map_err(|_| TOO_LONG);
    // Writing into a vector does not fail.
    let lost = |_| TOO_LONG;
    encode::write_array_len(out, long(row.len())?).map_err(lost)?;
    for value in row {
        match value {
            Value::Null => out.push(Marker::Null.to_u8()),
            Value::Bool(true) => out.push(Marker::True.to_u8()),
            Value::Bool(false) => out.push(Marker::False.to_u8()),
            Value::Int(number) => {
                encode::write_sint(out, *number).map_err(lost)?;
            }
            Value::Float(number) => encode::write_f64(out, *number).map_err(lost)?,
            Value::Text(text) => {
                match u8::try_from(text.len()) {
                    Ok(length @ 0..32) => out.push(Marker::FixStr(length).to_u8()),
                    Ok(length) => out.extend_from_slice(&[Marker::Str8.to_u8(), length]),
                    Err(_) => {
                        encode::write_str_len(out, long(text.len())?).map_err(lost)?;
                    }
                }
                out.extend_from_slice(text.as_bytes());
            }
            Value::Bytes(bytes) => {
                encode::write_bin_len(out, long(bytes.len())?).map_err(lost)?;
                out.extend_from_slice(bytes);
            }
        }
    }
    Ok(())
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
        self.append_next(row)
    }

    /// Appends the values of the next row to `values`. Returns `false` after the last row.
    ///
    /// # Errors
    /// [`RowError`] when the bytes are not such a row, or rows are missing or surplus. `values` may have some of its
    /// values then.
    pub fn append_next(&mut self, values: &mut Vec<Value<'a>>) -> Result<bool, RowError> {
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
            values.push(value(&mut rest).map_err(malformed)?);
        }
        self.rest = rest;
        self.read += 1;
        Ok(true)
    }
}

/// Reads one value from `rest`, borrowing its text and bytes.
fn value<'a>(rest: &mut &'a [u8]) -> Result<Value<'a>, &'static str> {
    const TRUNCATED: &str = "the bytes end early";
    const NOT_UTF8: &str = "text that is not UTF-8";
    let marker = Marker::from_u8(*rest.first().ok_or(TRUNCATED)?);
    // Most values are short texts.
    if let Marker::FixStr(length) = marker {
        let text = rest
            .get(1..)
            .and_then(|tail| tail.split_at_checked(usize::from(length)));
        let (text, tail) = text.ok_or(TRUNCATED)?;
        *rest = tail;
        return std::str::from_utf8(text).map(Value::Text).map_err(|_| NOT_UTF8);
    }
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
            Value::Text(std::str::from_utf8(take(rest, len).ok_or(TRUNCATED)?).map_err(|_| NOT_UTF8)?)
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
    use serde::{Serialize, Serializer};

    use super::*;

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

    /// Chunks of earlier versions must stay readable, and a row must have one form.
    #[test]
    fn rows_are_packed_as_a_general_serializer_does() {
        let texts: Vec<String> = [0, 1, 31, 32, 255, 256, 65_535, 65_536]
            .map(|length| "x".repeat(length))
            .to_vec();
        let ints = [
            0,
            1,
            127,
            128,
            255,
            256,
            65_535,
            65_536,
            4_294_967_295,
            4_294_967_296,
            i64::MAX,
        ]
        .into_iter()
        .flat_map(|number| [number, -number, -number - 1]);
        let mut row: Vec<Value<'_>> = ints.map(Value::Int).collect();
        row.extend(texts.iter().map(|text| Value::Text(text)));
        row.extend(texts.iter().map(|text| Value::Bytes(text.as_bytes())));
        row.extend([Value::Null, Value::Bool(true), Value::Bool(false)]);
        row.extend([0.0, -0.0, 0.1, f64::INFINITY].map(Value::Float));
        for width in [0, 1, 15, 16, row.len()] {
            let (mut bytes, mut expected) = (Vec::new(), Vec::new());
            pack(&row[..width], &mut bytes).unwrap();
            row[..width]
                .serialize(&mut rmp_serde::Serializer::new(&mut expected))
                .unwrap();
            assert_eq!(bytes, expected, "{width}");
            let mut read = Vec::new();
            assert!(RowReader::new(&bytes, width, 1).next_into(&mut read).unwrap());
            assert_eq!(read, row[..width]);
        }
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
