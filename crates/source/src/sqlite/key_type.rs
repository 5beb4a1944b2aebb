//! PURE: the type by which the values of a key's column differ.
//!
//! The store compares keys by the type that is sent ([`schemas::key`]). A declared type may equate values that SQLite holds as
//! different keys: `1.0` and `1.00` in a text column, `1` and `'1'` in a column without a type. Then the column is sent as the type
//! that SQLite compares: as text, or without a type.

use schemas::column::{Column, ColumnType};

/// The affinity of a column: how SQLite converts a value that is stored in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Affinity {
    /// To a text.
    Text,
    /// To a number if the text is one.
    Number,
    /// Not at all, or unknown.
    None,
}

/// Returns the affinity of a declared type, by SQLite's own rules. An expression has no declared type.
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

/// Sets the type of each key column to the one by which SQLite compares its values. `declared` are the types in the tables, in
/// column order.
pub(super) fn set_comparison_types(key: &[String], declared: &[Option<String>], columns: &mut [Column]) {
    for (column, declared) in columns.iter_mut().zip(declared) {
        if key.contains(&column.name)
            && let Some(kind) = compared(&column.kind, affinity(declared.as_deref()))
        {
            column.kind = kind;
        }
    }
}

/// Returns the type by which values are compared, or `None` if it is the column's own.
fn compared(kind: &ColumnType, affinity: Affinity) -> Option<ColumnType> {
    use ColumnType as T;
    let is_text = matches!(kind, T::Text { .. } | T::Json);
    let has_canonical_form = matches!(kind, T::Decimal { .. } | T::Interval | T::Jsonb);
    match affinity {
        Affinity::Text if has_canonical_form => Some(T::Text { max: None }),
        // A number has one value in any spelling. A text in such a column is never a number.
        Affinity::Number if matches!(kind, T::Interval | T::Jsonb) => Some(T::Text { max: None }),
        Affinity::None if has_canonical_form || is_text => Some(T::Any),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_type_is_that_by_which_sqlite_compares() {
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
            set_comparison_types(&["id".to_owned()], &declared, &mut columns);
            assert_eq!(columns[0].kind, wanted, "{kind:?} {declared:?}");
            assert_eq!(
                columns[1].kind, kind,
                "a column outside of the key keeps its type"
            );
        }
    }
}
