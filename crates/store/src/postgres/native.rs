//! Chooses the type of a column that holds every value of a feed's column.
//!
//! Lengths and precisions are left open: a `numeric(p,s)` would round values of a looser source type. A source type
//! without a name in the schema becomes the type of the same name if it certainly means the same here, otherwise
//! text, which holds what the source printed.

use schemas::column::ColumnType;

use super::session::Session;

/// Returns the type to create.
pub(super) async fn type_of(session: &Session, kind: &ColumnType) -> String {
    let word = match kind {
        ColumnType::Bool => "boolean",
        ColumnType::Int2 => "smallint",
        ColumnType::Int4 => "integer",
        ColumnType::Int8 => "bigint",
        ColumnType::Float4 => "real",
        ColumnType::Float8 => "double precision",
        ColumnType::Decimal { .. } => "numeric",
        ColumnType::Text { .. } | ColumnType::Any => TEXT,
        ColumnType::Bytes => "bytea",
        ColumnType::Date => "date",
        ColumnType::Time => "time",
        ColumnType::TimeTz => "timetz",
        ColumnType::Timestamp => "timestamp",
        ColumnType::TimestampTz => "timestamptz",
        ColumnType::Interval => "interval",
        ColumnType::Uuid => "uuid",
        ColumnType::Json => "json",
        ColumnType::Jsonb => "jsonb",
        ColumnType::Other { native } => return named(session, native).await,
    };
    word.to_owned()
}

const TEXT: &str = "text";

/// Finds a type by name: the type, its element type, and the kind of the element type. A name that does not parse is
/// an error and means that there is no such type.
const FIND: &str = "SELECT t.oid::regtype::text, e.oid::regtype::text, e.typtype::text, t.typcategory = 'A' \
     FROM pg_catalog.pg_type t JOIN pg_catalog.pg_type e \
     ON e.oid = CASE WHEN t.typcategory = 'A' AND t.typelem <> 0 THEN t.typelem ELSE t.oid END \
     WHERE t.oid = to_regtype($1)";

async fn named(session: &Session, native: &str) -> String {
    let row = session.client.query_opt(FIND, &[&native]).await.ok().flatten();
    let found = row.and_then(|row| {
        let element: String = row.try_get(1).ok()?;
        let sort: String = row.try_get(2).ok()?;
        Some((
            row.try_get::<_, String>(0).ok()?,
            element,
            sort,
            row.try_get(3).ok()?,
        ))
    });
    let Some((name, element, sort, array)) = found else {
        return TEXT.to_owned();
    };
    // A server may be built without the type and still know its name.
    if element == "xml" && session.client.simple_query("SELECT '<a/>'::xml").await.is_err() {
        return TEXT.to_owned();
    }
    chosen(&name, &element, &sort, array)
}

/// PURE: returns the type to create if there is one of this name. `sort` is the catalogue's `typtype`: base,
/// composite, domain, enum, multirange, pseudo, range.
fn chosen(name: &str, element: &str, sort: &str, array: bool) -> String {
    // A composite may be the row type of any table with this name.
    if !matches!(sort, "b" | "d" | "e" | "m" | "r") || is_bound_here(element) {
        return TEXT.to_owned();
    }
    // Without a length these would have length one.
    let open = match element {
        "bit" => "bit varying",
        "character" => "bpchar",
        _ => return name.to_owned(),
    };
    format!("{open}{}", if array { "[]" } else { "" })
}

/// Returns whether values refer to objects of their own database, or cannot be written.
fn is_bound_here(element: &str) -> bool {
    element.starts_with("reg")
        || matches!(
            element,
            "aclitem"
                | "pg_node_tree"
                | "pg_ndistinct"
                | "pg_dependencies"
                | "pg_mcv_list"
                | "pg_brin_bloom_summary"
                | "pg_brin_minmax_multi_summary"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn native_type_of_same_meaning_is_used() {
        assert_eq!(chosen("integer[]", "integer", "b", true), "integer[]");
        assert_eq!(chosen("mood", "mood", "e", false), "mood");
        assert_eq!(
            chosen("int4multirange", "int4multirange", "m", false),
            "int4multirange"
        );
    }

    /// `bit` alone is `bit(1)`, and `character` is `character(1)`.
    #[test]
    fn native_type_without_length_is_unbounded() {
        assert_eq!(chosen("bit", "bit", "b", false), "bit varying");
        assert_eq!(chosen("bit[]", "bit", "b", true), "bit varying[]");
        assert_eq!(chosen("character[]", "character", "b", true), "bpchar[]");
    }

    #[test]
    fn native_type_of_other_meaning_becomes_text() {
        assert_eq!(chosen("claim", "claim", "c", false), "text");
        assert_eq!(chosen("claim[]", "claim", "c", true), "text");
        assert_eq!(chosen("record", "record", "p", false), "text");
        assert_eq!(chosen("regclass", "regclass", "b", false), "text");
        assert_eq!(chosen("aclitem[]", "aclitem", "b", true), "text");
    }
}
