//! PURE: the type by which the values of a key's column differ.
//!
//! What two rows of a key are at the store is decided by the type that travels ([`schemas::key`]). A declared type may say that
//! several values are one which SQLite holds as different keys: `1.0` and `1.00` in a column of texts, `1` and `'1'` in a column
//! without a type. Then the column travels as what SQLite compares: as text, or without a type.

use schemas::column::{Column, ColumnType};

/// What SQLite does with a value that is put into a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Affinity {
    /// It becomes a text.
    Text,
    /// It becomes a number where it is written as one.
    Number,
    /// It stays what it is; or nothing is known of it.
    None,
}

/// Of a declared type, by SQLite's own rules; none is declared of an expression.
fn affinity(declared: Option<&str>) -> Affinity {
    let declared = declared.unwrap_or_default().trim().to_ascii_uppercase();
    let has = |words: &[&str]| words.iter().any(|word| declared.contains(word));
    if declared.is_empty() || declared == "ANY" {
        return Affinity::None;
    }
    match () {
        () if has(&["INT"]) => Affinity::Number,
        () if has(&["CHAR", "CLOB", "TEXT"]) => Affinity::Text,
        () if has(&["BLOB"]) => Affinity::None,
        () => Affinity::Number,
    }
}

/// Gives each column of the key the type by which SQLite compares its values. `declared` are the types as the tables
/// declare them, in the order of the columns.
pub(super) fn keep_apart(key: &[String], declared: &[Option<String>], columns: &mut [Column]) {
    for (column, declared) in columns.iter_mut().zip(declared) {
        if key.contains(&column.name)
            && let Some(kind) = compared(&column.kind, affinity(declared.as_deref()))
        {
            column.kind = kind;
        }
    }
}

/// The type by which values are compared; none where it is the column's own.
fn compared(kind: &ColumnType, affinity: Affinity) -> Option<ColumnType> {
    use ColumnType as T;
    let is_text = matches!(kind, T::Text { .. } | T::Json);
    let is_respelt = matches!(kind, T::Decimal { .. } | T::Interval | T::Jsonb);
    match affinity {
        Affinity::Text if is_respelt => Some(T::Text { max: None }),
        // A number is one whatever its spelling; a text in such a column is never written as one.
        Affinity::Number if matches!(kind, T::Interval | T::Jsonb) => Some(T::Text { max: None }),
        Affinity::None if is_respelt || is_text => Some(T::Any),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_travels_as_what_sqlite_compares() {
        use ColumnType as T;
        let decimal = || T::Decimal {
            precision: Some(10),
            scale: Some(2),
        };
        let text = || T::Text { max: None };
        for (kind, declared, wanted) in [
            (decimal(), Some("DECIMAL(10,2)"), decimal()),
            (decimal(), Some("DECIMAL_TEXT(10,2)"), text()),
            (decimal(), Some("VARCHAR(20)"), text()),
            (decimal(), Some("INTEGER"), decimal()),
            (decimal(), Some("blob"), T::Any),
            (decimal(), None, T::Any),
            (text(), Some("NVARCHAR(9)"), text()),
            (text(), Some("STRING"), text()),
            (text(), Some(""), T::Any),
            (text(), Some("ANY"), T::Any),
            (T::Json, Some("JSON_TEXT"), T::Json),
            (T::Json, None, T::Any),
            (T::Interval, Some("DURATION_TEXT"), text()),
            (T::Jsonb, Some("JSON"), text()),
            (T::Uuid, Some("UUID_TEXT"), T::Uuid),
            (T::Bytes, Some("BLOB"), T::Bytes),
            (T::Int8, None, T::Int8),
            (T::Float8, Some("REAL"), T::Float8),
            (T::Any, None, T::Any),
        ] {
            let column = |name: &str| Column {
                name: name.to_owned(),
                kind: kind.clone(),
                nullable: false,
            };
            let mut columns = [column("id"), column("other")];
            let declared = [declared.map(str::to_owned), declared.map(str::to_owned)];
            keep_apart(&["id".to_owned()], &declared, &mut columns);
            assert_eq!(columns[0].kind, wanted, "{kind:?} {declared:?}");
            assert_eq!(
                columns[1].kind, kind,
                "a column outside of the key keeps its type"
            );
        }
    }
}
