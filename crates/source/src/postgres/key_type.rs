//! Types of a key's columns. A key is refused if PostgreSQL takes several spellings as one value and no canonical format is known
//! ([`schemas::key`]): a change of the spelling would be another row at the store.

use gate::permit::Permit;
use tokio_postgres::Column;
use tokio_postgres::types::Type;

use super::catalogue::unexpected_result;
use super::session::SessionGuard;
use crate::error::{Error, Result, refused};
use crate::feed::FeedDefinition;

/// Types with one text for each value.
const EXACT: [&str; 25] = [
    "boolean",
    "smallint",
    "integer",
    "bigint",
    "oid",
    "xid8",
    "text",
    "character varying",
    "name",
    "\"char\"",
    "bytea",
    "uuid",
    "date",
    "time without time zone",
    "time with time zone",
    "timestamp without time zone",
    "timestamp with time zone",
    "inet",
    "cidr",
    "macaddr",
    "macaddr8",
    "bit",
    "bit varying",
    "pg_lsn",
    "txid_snapshot",
];

/// Types with a canonical format also as elements of an array.
const FORMED: [&str; 5] = ["numeric", "real", "double precision", "interval", "jsonb"];

/// A component of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    name: String,
    /// `pg_type.typtype`: base, composite, domain, enum, multirange, range.
    sort: String,
    /// Whether it is the element of the key's own array.
    is_element: bool,
}

/// All components of the types of `$1`, each with the type that it belongs to.
const PARTS: &str = "WITH RECURSIVE part(root, oid, depth, is_element) AS ( \
     SELECT k, k, 0, false FROM unnest($1::oid[]) AS k \
     UNION SELECT p.root, n.oid, least(p.depth + 1, 2), n.is_array AND p.depth = 0 FROM part p CROSS JOIN LATERAL ( \
       SELECT t.typelem AS oid, true AS is_array FROM pg_catalog.pg_type t \
         WHERE t.oid = p.oid AND t.typcategory = 'A' AND t.typelem <> 0 \
       UNION ALL SELECT t.typbasetype, false FROM pg_catalog.pg_type t WHERE t.oid = p.oid AND t.typtype = 'd' \
       UNION ALL SELECT r.rngsubtype, false FROM pg_catalog.pg_range r \
         WHERE p.oid = r.rngtypid OR p.oid = (to_jsonb(r) ->> 'rngmultitypid')::oid \
       UNION ALL SELECT a.atttypid, false FROM pg_catalog.pg_type t JOIN pg_catalog.pg_attribute a \
         ON a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped WHERE t.oid = p.oid AND t.typtype = 'c') n) \
     SELECT DISTINCT p.root, t.oid::regtype::text, t.typtype::text, p.is_element \
     FROM part p JOIN pg_catalog.pg_type t ON t.oid = p.oid WHERE p.depth > 0 ORDER BY 2";

/// Checks the types of the key's columns.
///
/// # Errors
/// `Refused` if a change of the spelling looks like a change of the key.
pub(super) async fn check_key_types(
    locked: &mut SessionGuard<'_>,
    permit: &Permit,
    feed: &FeedDefinition,
    columns: &[Column],
) -> Result<()> {
    let key = || {
        columns
            .iter()
            .filter(|one| feed.key.iter().any(|name| name == one.name()))
    };
    for one in key() {
        // `char(n)` prints all its blanks. Without a length, or from a UNION, it compares without them.
        if *one.type_() == Type::BPCHAR && one.type_modifier() < 0 {
            let remedy = format!("write {}::text in the sql", one.name());
            return Err(refuse_spellings(
                one.name(),
                "character without a length",
                &remedy,
            ));
        }
    }
    let types: Vec<u32> = key().map(|one| one.type_().oid()).collect();
    let rows = locked.query(permit, PARTS, &[(&types, Type::OID_ARRAY)]).await?;
    for row in &rows {
        let read = || -> std::result::Result<(u32, Part), tokio_postgres::Error> {
            Ok((
                row.try_get(0)?,
                Part {
                    name: row.try_get(1)?,
                    sort: row.try_get(2)?,
                    is_element: row.try_get(3)?,
                },
            ))
        };
        let (root, part) = read().map_err(|error| unexpected_result(&error))?;
        if let Some(one) = key().find(|one| one.type_().oid() == root && !has_known_format(&part)) {
            let what = format!("made of {}", part.name);
            return Err(refuse_spellings(
                one.name(),
                &what,
                "give the feed a key of other columns",
            ));
        }
    }
    Ok(())
}

/// PURE: whether a component has one spelling for each of its values, or a canonical format.
fn has_known_format(part: &Part) -> bool {
    match part.sort.as_str() {
        // Their components are checked separately.
        "r" | "m" | "c" | "d" | "e" => true,
        "b" => {
            let name = part.name.as_str();
            let last = name.rsplit('.').next().unwrap_or(name);
            EXACT.contains(&name)
                || name.ends_with("[]")
                || (part.is_element && (FORMED.contains(&name) || last == "citext"))
        }
        _ => false,
    }
}

fn refuse_spellings(column: &str, what: &str, remedy: &str) -> Error {
    refused(
        format!(
            "key column {column} is {what}: two spellings of a value are one key here, and would be two rows at the store"
        ),
        remedy,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_format_is_known_by_type_and_place() {
        let part = |name: &str, sort: &str, is_element| Part {
            name: name.to_owned(),
            sort: sort.to_owned(),
            is_element,
        };
        for (name, sort, element, inside) in [
            ("integer", "b", true, true),
            ("text", "b", true, true),
            ("public.mood", "e", true, true),
            ("numeric", "b", true, false),
            ("jsonb", "b", true, false),
            ("citext", "b", true, false),
            ("int4range", "r", true, true),
            ("public.amount", "d", true, true),
            ("character", "b", false, false),
            ("public.odd", "b", false, false),
        ] {
            assert_eq!(
                has_known_format(&part(name, sort, true)),
                element,
                "{name}, an element"
            );
            assert_eq!(
                has_known_format(&part(name, sort, false)),
                inside,
                "{name}, within"
            );
        }
    }
}
