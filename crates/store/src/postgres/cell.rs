//! PURE: a value in COPY's text format.

use std::io::Write as _;

use schemas::column::ColumnType;
use schemas::value::Value;

/// Appends a column's value to `out`.
pub(super) fn write(kind: &ColumnType, value: Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"\\N"),
        Value::Bool(value) => out.push(if value { b't' } else { b'f' }),
        Value::Int(value) => number(value, out),
        Value::Float(value) if value.is_infinite() => {
            out.extend_from_slice(if value > 0.0 { b"Infinity" } else { b"-Infinity" });
        }
        // Writing into a vector does not fail.
        Value::Float(value) => drop(write!(out, "{value}")),
        // Otherwise its backslashes would be read as escapes of bytes.
        Value::Text(text) if *kind == ColumnType::Bytes => hex(text.as_bytes(), out),
        Value::Text(text) => escape(text.as_bytes(), out),
        Value::Bytes(bytes) => hex(bytes, out),
    }
}

/// Appends a number.
pub(super) fn number(value: i64, out: &mut Vec<u8>) {
    drop(write!(out, "{value}"));
}

/// Appends bytes in the format of `bytea`; the backslash is COPY's escape.
pub(super) fn hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(b"\\\\x");
    out.reserve(bytes.len() * 2);
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}

fn escape(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = rest
        .iter()
        .position(|byte| matches!(byte, b'\\' | b'\n' | b'\r' | b'\t'))
    {
        let (plain, special) = rest.split_at(at);
        out.extend_from_slice(plain);
        let (first, behind) = special.split_at(1);
        out.extend_from_slice(match first {
            b"\n" => b"\\n",
            b"\r" => b"\\r",
            b"\t" => b"\\t",
            _ => b"\\\\",
        });
        rest = behind;
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cell_copy_special_characters_are_escaped() {
        let text = |value| {
            let mut out = Vec::new();
            write(&ColumnType::Any, value, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text(Value::Null), "\\N");
        assert_eq!(text(Value::Text("\\N")), "\\\\N");
        assert_eq!(text(Value::Text("a\tb\nc\rd\\.")), "a\\tb\\nc\\rd\\\\.");
        assert_eq!(text(Value::Bytes(&[0, 255])), "\\\\x00ff");
        assert_eq!(text(Value::Float(f64::NEG_INFINITY)), "-Infinity");
        assert_eq!(text(Value::Float(0.1)), "0.1");
        assert_eq!(text(Value::Text("")), "");
        let mut bytes = Vec::new();
        write(&ColumnType::Bytes, Value::Text("\\n"), &mut bytes);
        assert_eq!(bytes, b"\\\\x5c6e");
    }
}
