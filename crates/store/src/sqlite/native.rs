//! Chooses the declared type that holds every value of a feed's column.

use schemas::column::ColumnType;

/// Returns the declared type. A type that is text in the schema contains TEXT and never INT: otherwise SQLite would
/// give it a numeric affinity and convert exact decimals to floats.
pub(super) fn declared(kind: &ColumnType) -> String {
    let word = match kind {
        ColumnType::Bool => "BOOLEAN",
        ColumnType::Int2 | ColumnType::Int4 | ColumnType::Int8 => "INTEGER",
        ColumnType::Float4 | ColumnType::Float8 => "REAL",
        ColumnType::Decimal {
            precision: Some(precision),
            scale,
        } => {
            return format!("DECIMAL_TEXT({precision},{})", scale.unwrap_or(0));
        }
        ColumnType::Decimal { .. } => "DECIMAL_TEXT",
        ColumnType::Text { max: Some(max) } => return format!("TEXT({max})"),
        ColumnType::Text { .. } | ColumnType::Other { .. } => "TEXT",
        ColumnType::Bytes => "BLOB",
        ColumnType::Date => "DATE_TEXT",
        ColumnType::Time | ColumnType::TimeTz => "TIME_TEXT",
        ColumnType::Timestamp => "TIMESTAMP_TEXT",
        ColumnType::TimestampTz => "TIMESTAMPTZ_TEXT",
        ColumnType::Interval => "DURATION_TEXT",
        ColumnType::Uuid => "UUID_TEXT",
        ColumnType::Json | ColumnType::Jsonb => "JSON_TEXT",
        ColumnType::Any => "",
    };
    word.to_owned()
}
