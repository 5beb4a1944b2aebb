//! PURE: converts type names to column types, for sources without strict types.
//!
//! There are two grammars: the `types` setting uses PostgreSQL's names. SQLite's tables declare any word, which is read by the
//! parts that it contains.

use schemas::column::ColumnType;

/// Reads a type as an operator writes it: `decimal(16,2)`, `date`, `int8`, `varchar(20)`, ….
#[must_use]
pub fn parse(text: &str) -> Option<ColumnType> {
    let (name, sizes) = split(text)?;
    Some(match name.as_str() {
        "bool" | "boolean" => ColumnType::Bool,
        "int2" | "smallint" => ColumnType::Int2,
        "int4" | "int" | "integer" => ColumnType::Int4,
        "int8" | "bigint" => ColumnType::Int8,
        "float4" | "real" => ColumnType::Float4,
        "float8" | "double precision" | "double" => ColumnType::Float8,
        "decimal" | "numeric" => decimal(&sizes),
        "text" | "varchar" | "char" | "character varying" | "character" => text_of(&sizes),
        "bytea" | "bytes" | "blob" => ColumnType::Bytes,
        "date" => ColumnType::Date,
        "time" => ColumnType::Time,
        "timetz" => ColumnType::TimeTz,
        "timestamp" => ColumnType::Timestamp,
        "timestamptz" | "timestamp_tz" => ColumnType::TimestampTz,
        "interval" => ColumnType::Interval,
        "uuid" => ColumnType::Uuid,
        "json" => ColumnType::Json,
        "jsonb" => ColumnType::Jsonb,
        "any" => ColumnType::Any,
        _ => return None,
    })
}

/// Reads a type as a SQLite table declares it.
#[must_use]
pub fn sqlite(declared: Option<&str>) -> ColumnType {
    let Some((name, sizes)) = declared.and_then(split) else {
        return ColumnType::Any;
    };
    let has = |part: &str| name.contains(part);
    if has("int") && !has("interval") && !has("point") {
        ColumnType::Int8
    } else if has("dec") || has("money") || (has("num") && !has("enum")) {
        decimal(&sizes)
    } else if has("timestamp") || has("datetime") {
        if has("tz") || has("with time zone") {
            ColumnType::TimestampTz
        } else {
            ColumnType::Timestamp
        }
    } else if has("date") {
        ColumnType::Date
    } else if has("time") {
        ColumnType::Time
    } else if has("bool") {
        ColumnType::Bool
    } else if has("real") || has("floa") || has("doub") {
        ColumnType::Float8
    } else if has("uuid") {
        ColumnType::Uuid
    } else if has("json") {
        ColumnType::Json
    } else if has("duration_text") {
        ColumnType::Interval
    } else if has("char") || has("clob") || has("text") {
        text_of(&sizes)
    } else if has("blob") || has("binary") {
        ColumnType::Bytes
    } else {
        ColumnType::Any
    }
}

/// Returns the name in lower case, and the numbers in parentheses.
fn split(text: &str) -> Option<(String, Vec<u32>)> {
    let text = text.trim().to_lowercase();
    if text.is_empty() {
        return None;
    }
    let Some((name, rest)) = text.split_once('(') else {
        return Some((text, Vec::new()));
    };
    let (inner, behind) = rest.split_once(')')?;
    let sizes = inner
        .split(',')
        .map(|size| size.trim().parse().ok())
        .collect::<Option<_>>()?;
    Some((format!("{}{behind}", name.trim_end()), sizes))
}

fn decimal(sizes: &[u32]) -> ColumnType {
    let precision = sizes.first().and_then(|size| u16::try_from(*size).ok());
    let scale = sizes.get(1).and_then(|size| i16::try_from(*size).ok());
    ColumnType::Decimal {
        precision,
        scale: scale.or(precision.map(|_| 0)),
    }
}

fn text_of(sizes: &[u32]) -> ColumnType {
    ColumnType::Text {
        max: sizes.first().copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_type_misspelt_is_refused() {
        assert_eq!(
            parse("decimal(16,2)"),
            Some(ColumnType::Decimal {
                precision: Some(16),
                scale: Some(2)
            })
        );
        assert_eq!(parse(" Timestamptz "), Some(ColumnType::TimestampTz));
        assert_eq!(parse("varchar(20)"), Some(ColumnType::Text { max: Some(20) }));
        assert_eq!(parse("decimall(16,2)"), None);
        assert_eq!(parse("decimal(16"), None);
    }

    #[test]
    fn declared_sqlite_type_is_read_by_its_parts() {
        assert_eq!(sqlite(Some("UNSIGNED BIG INT")), ColumnType::Int8);
        assert_eq!(
            sqlite(Some("DECIMAL(16, 2)")),
            ColumnType::Decimal {
                precision: Some(16),
                scale: Some(2)
            }
        );
        assert_eq!(
            sqlite(Some("NVARCHAR (100)")),
            ColumnType::Text { max: Some(100) }
        );
        assert_eq!(sqlite(Some("DATETIME")), ColumnType::Timestamp);
        assert_eq!(sqlite(Some("DOUBLE PRECISION")), ColumnType::Float8);
        assert_eq!(sqlite(None), ColumnType::Any);
        assert_eq!(sqlite(Some("ENUM")), ColumnType::Any);
        assert_eq!(sqlite(Some("JSON_TEXT")), ColumnType::Json);
        assert_eq!(sqlite(Some("DURATION_TEXT")), ColumnType::Interval);
    }
}
