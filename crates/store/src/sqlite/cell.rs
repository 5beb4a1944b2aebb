//! PURE: binds values.

use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, Value as Owned, ValueRef};
use schemas::column::ColumnType;
use schemas::value::Value;

/// Returns whether the column's values are texts.
pub(super) fn is_text(kind: &ColumnType) -> bool {
    !matches!(
        kind,
        ColumnType::Bool
            | ColumnType::Int2
            | ColumnType::Int4
            | ColumnType::Int8
            | ColumnType::Float4
            | ColumnType::Float8
            | ColumnType::Bytes
            | ColumnType::Any
    )
}

/// A value, and whether its column holds texts: there a float is its shortest exact text, because SQLite's own
/// conversion keeps 15 digits.
pub(super) struct Cell<'a>(pub(super) Option<&'a Value<'a>>, pub(super) bool);

impl ToSql for Cell<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match *self.0.unwrap_or(&Value::Null) {
            Value::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Value::Bool(value) => ToSqlOutput::Borrowed(ValueRef::Integer(i64::from(value))),
            Value::Int(value) => ToSqlOutput::Borrowed(ValueRef::Integer(value)),
            // SQLite would store NULL, which means something else.
            Value::Float(value) if value.is_nan() => ToSqlOutput::Borrowed(ValueRef::Text(b"NaN")),
            Value::Float(value) if self.1 => ToSqlOutput::Owned(Owned::Text(value.to_string())),
            Value::Float(value) => ToSqlOutput::Borrowed(ValueRef::Real(value)),
            Value::Text(value) => ToSqlOutput::Borrowed(ValueRef::Text(value.as_bytes())),
            Value::Bytes(value) => ToSqlOutput::Borrowed(ValueRef::Blob(value)),
        })
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn cell_nan_does_not_become_null() -> rusqlite::Result<()> {
        let db = Connection::open_in_memory()?;
        db.execute_batch("CREATE TABLE t (v REAL)")?;
        for value in [f64::NAN, f64::INFINITY, 0.1] {
            db.execute(
                "INSERT INTO t VALUES (?1)",
                [Cell(Some(&Value::Float(value)), false)],
            )?;
        }
        let mut kept = db.prepare("SELECT typeof(v), v = 9e999 FROM t")?;
        let kept = kept.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?)))?;
        let kept = kept.collect::<rusqlite::Result<Vec<_>>>()?;
        // A text is greater than any number.
        let wanted = [("text", false), ("real", true), ("real", false)];
        assert_eq!(
            kept,
            wanted.map(|(kind, is_infinite)| (kind.to_owned(), is_infinite))
        );
        Ok(())
    }
}
