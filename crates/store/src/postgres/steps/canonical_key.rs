//! The column of the canonical key: what a table lacks, and how it is added.
//!
//! A table needs the column if the types of its key columns may equate two keys or hold one key in two spellings;
//! then also a unique index, by which the older spelling is found. Tables of earlier versions and adopted tables get
//! both. A partitioned table cannot have such an index: there the key columns find the older version, which is
//! correct if their types equate every spelling of a key.

use schemas::column::{Column, ColumnType};
use schemas::key::{has_canonical_form, is_exact};

use super::super::failure;
use super::super::session::Session;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{LaneTables, Role};
use crate::sql_name::quoted;
use crate::table::shape::Shape;
use crate::table::{EPOCH, KEY};

/// A column of the key.
#[derive(Debug, Clone)]
struct KeyColumn {
    name: String,
    /// The feed's type.
    kind: ColumnType,
    /// The type of the table's column, as the server names it.
    column_type: String,
    /// Whether it has a length or a precision.
    is_bounded: bool,
    /// Whether its collation compares texts byte by byte.
    is_deterministic: bool,
}

/// The existing table.
#[derive(Debug, Clone)]
struct ExistingTable {
    columns: Vec<KeyColumn>,
    is_partitioned: bool,
    has_column: bool,
    has_index: bool,
    /// Whether the store created the table.
    is_made: bool,
    /// Whether it has the columns of a chunk number.
    has_version_columns: bool,
}

/// What the table needs.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Need {
    Nothing,
    /// Add the missing parts. Existing rows must have one spelling each, or their own type must compare them.
    Add {
        column: bool,
        index: bool,
        by_type: bool,
    },
    /// The column of this name holds one key in several spellings, and nothing can keep them together.
    Unfit(String),
}

/// Returns whether different values of a column are different keys, and each key has one value.
fn is_exact_here(column: &KeyColumn) -> bool {
    let column_type = column.column_type.as_str();
    match column.kind {
        ColumnType::Int2 | ColumnType::Int4 | ColumnType::Int8 => {
            matches!(column_type, "smallint" | "integer" | "bigint" | "numeric")
        }
        ColumnType::Text { .. } => {
            column.is_deterministic
                && !column.is_bounded
                && matches!(column_type, "text" | "character varying")
        }
        ColumnType::Bool => column_type == "boolean",
        _ => false,
    }
}

/// Returns whether the type equates all spellings of a key.
fn is_by_value(column: &KeyColumn) -> bool {
    let column_type = column.column_type.as_str();
    match &column.kind {
        ColumnType::Decimal { .. } => column_type == "numeric",
        ColumnType::Float4 | ColumnType::Float8 => {
            matches!(column_type, "real" | "double precision" | "numeric")
        }
        ColumnType::Interval => column_type == "interval",
        ColumnType::Jsonb => column_type == "jsonb",
        // A type with the source's own name; its length or precision does not matter.
        ColumnType::Other { native } => {
            let open = match (native.split_once('('), native.rsplit_once(')')) {
                (Some((name, _)), Some((_, behind))) => format!("{name}{behind}"),
                _ => native.clone(),
            };
            let last = |name: &str| name.rsplit('.').next().map(str::to_owned);
            last(&open) == last(column_type)
        }
        ColumnType::Any => false,
        _ => true,
    }
}

/// PURE: returns what a table needs.
fn need(existing: &ExistingTable, key: usize) -> Need {
    if existing.columns.len() == key && existing.columns.iter().all(is_exact_here) {
        return Need::Nothing;
    }
    let respelt = || {
        existing
            .columns
            .iter()
            .filter(|column| has_canonical_form(&column.kind))
    };
    let unfit = respelt().find(|column| !is_by_value(column));
    if let (true, Some(column)) = (existing.is_partitioned, unfit) {
        return Need::Unfit(column.name.clone());
    }
    let wants_index = !existing.is_partitioned && (existing.is_made || respelt().next().is_some());
    let (column, index) = (!existing.has_column, wants_index && !existing.has_index);
    if !column && !index {
        return Need::Nothing;
    }
    Need::Add {
        column,
        index,
        by_type: unfit.is_none(),
    }
}

const TABLES_EXIST_SQL: &str = "SELECT a.attname::text, a.atttypid::regtype::text, a.atttypmod >= 0, coalesce(o.collisdeterministic, true), \
     c.relkind = 'p', \
     EXISTS (SELECT FROM pg_catalog.pg_attribute k WHERE k.attrelid = c.oid AND k.attname = $3 AND NOT k.attisdropped), \
     EXISTS (SELECT FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute k ON k.attrelid = i.indrelid \
       AND k.attnum = i.indkey[0] WHERE i.indrelid = c.oid AND k.attname = $3 AND i.indnkeyatts = 1 AND i.indisunique \
       AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL), \
     EXISTS (SELECT FROM slacktide.tables t WHERE t.oid = c.oid::bigint AND t.origin = 'created'), \
     EXISTS (SELECT FROM pg_catalog.pg_attribute k WHERE k.attrelid = c.oid AND k.attname = $4 AND NOT k.attisdropped) \
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
     LEFT JOIN pg_catalog.pg_collation o ON o.oid = a.attcollation \
     WHERE c.oid = to_regclass($1) AND a.attname = ANY ($2::text[])";

/// Returns the key columns with the store's names.
fn key_of(tables: &LaneTables, shape: &Shape) -> Vec<Column> {
    let of = |name: &String| {
        let known = shape.known.columns.iter().find(|column| column.name == *name)?;
        Some(Column {
            name: tables.layout.column(name).to_owned(),
            ..known.clone()
        })
    };
    shape.known.key.iter().filter_map(of).collect()
}

async fn existing(session: &Session, table: &str, key: &[Column]) -> Result<Option<ExistingTable>> {
    let fail = |error: tokio_postgres::Error| failure::of(&error);
    let names: Vec<&str> = key.iter().map(|column| column.name.as_str()).collect();
    let rows = session
        .client
        .query(TABLES_EXIST_SQL, &[&table, &names, &KEY, &EPOCH])
        .await
        .map_err(fail)?;
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    let flag = |at: usize| first.try_get::<_, bool>(at).map_err(fail);
    let mut columns = Vec::with_capacity(rows.len());
    for row in &rows {
        let name: String = row.try_get(0).map_err(fail)?;
        let Some(column) = key.iter().find(|column| column.name == name) else {
            continue;
        };
        columns.push(KeyColumn {
            name,
            kind: column.kind.clone(),
            column_type: row.try_get(1).map_err(fail)?,
            is_bounded: row.try_get(2).map_err(fail)?,
            is_deterministic: row.try_get(3).map_err(fail)?,
        });
    }
    Ok(Some(ExistingTable {
        columns,
        is_partitioned: flag(4)?,
        has_column: flag(5)?,
        has_index: flag(6)?,
        is_made: flag(7)?,
        has_version_columns: flag(8)?,
    }))
}

/// Returns whether the table of newest versions lacks what its key needs.
pub(in crate::postgres) async fn is_missing(
    session: &Session,
    tables: &LaneTables,
    shape: &Shape,
) -> Result<bool> {
    let key = key_of(tables, shape);
    // A table that the store creates for such a key has the types that it needs.
    let is_plain = !tables.adopts(Role::Current) && key.iter().all(|column| is_exact(&column.kind));
    if is_plain || !tables.layout.mode.keeps_current() {
        return Ok(false);
    }
    let table = tables.layout.sql(&tables.layout.table);
    let existing = existing(session, &table, &key).await?;
    Ok(existing.is_some_and(|existing| need(&existing, key.len()) != Need::Nothing))
}

/// Adds what the key of the table of newest versions needs.
///
/// # Errors
/// `Refused` if nothing can keep two spellings of a key together.
pub(super) async fn give(session: &Session, tables: &LaneTables, shape: &Shape) -> Result<()> {
    if !tables.layout.mode.keeps_current() {
        return Ok(());
    }
    let (key, table) = (key_of(tables, shape), tables.layout.sql(&tables.layout.table));
    let Some(existing) = existing(session, &table, &key).await? else {
        return Ok(());
    };
    let (column, index, by_type) = match need(&existing, key.len()) {
        Need::Nothing => return Ok(()),
        Need::Unfit(name) => {
            return Err(Error::of_lane(
                &tables.lane,
                format!(
                    "column {name:?} of the partitioned table {table} holds one key in several spellings, and such a table can \
                     have no unique index over the canonical key"
                ),
                format!(
                    "give the column the type that the feed's column has, or name a table without partitions: table = \"…\" \
                     under [store.feed.{}]",
                    tables.key
                ),
            ));
        }
        Need::Add {
            column,
            index,
            by_type,
        } => (column, index, by_type),
    };
    if column && !by_type && existing.has_version_columns && holds_rows(session, &table).await? {
        return Err(Error::of_lane(
            &tables.lane,
            format!(
                "{table} was filled by an earlier version, which kept each spelling of a key as a row of its own, and which rows \
                 have one key is unknown"
            ),
            format!(
                "drop the table, then create and fill it again: slacktide feed refill {} --from start",
                tables.lane.feed
            ),
        ));
    }
    let mut statements = Vec::new();
    if column {
        statements.push(format!(
            "ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {} bytea",
            quoted(KEY)
        ));
    }
    if index {
        statements.push(format!("CREATE UNIQUE INDEX ON {table} ({})", quoted(KEY)));
    }
    let statements = statements.join("; ");
    session.run(&statements).await.map_err(|error| match error.kind {
        ErrorKind::Denied => Error::new(
            ErrorKind::Denied,
            format!(
                "lane {}: {table} needs a column for its key: {}",
                tables.lane, error.what
            ),
            format!("run as its owner: {statements};"),
        ),
        _ => error,
    })
}

/// Returns whether the table holds rows of a chunk.
async fn holds_rows(session: &Session, table: &str) -> Result<bool> {
    let fail = |error: tokio_postgres::Error| failure::of(&error);
    let sql = format!("SELECT EXISTS (SELECT FROM {table} WHERE {EPOCH} > 0)");
    let row = session.client.query_one(&sql, &[]).await.map_err(fail)?;
    row.try_get(0).map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECIMAL: ColumnType = ColumnType::Decimal {
        precision: None,
        scale: None,
    };

    fn column(kind: ColumnType, column_type: &str) -> KeyColumn {
        KeyColumn {
            name: "id".to_owned(),
            kind,
            column_type: column_type.to_owned(),
            is_bounded: false,
            is_deterministic: true,
        }
    }

    fn table(kind: ColumnType, column_type: &str) -> ExistingTable {
        ExistingTable {
            columns: vec![column(kind, column_type)],
            is_partitioned: false,
            has_column: false,
            has_index: false,
            is_made: false,
            has_version_columns: true,
        }
    }

    fn add(column: bool, index: bool, by_type: bool) -> Need {
        Need::Add {
            column,
            index,
            by_type,
        }
    }

    #[test]
    fn canonical_key_is_added_if_types_equate_keys() {
        let text = || ColumnType::Text { max: None };
        let mut short = table(text(), "character varying");
        short.columns[0].is_bounded = true;
        let mut made = table(ColumnType::Uuid, "uuid");
        made.is_made = true;
        for (existing, wanted) in [
            (table(ColumnType::Int4, "bigint"), Need::Nothing),
            (table(text(), "text"), Need::Nothing),
            (table(text(), "citext"), add(true, false, true)),
            (short, add(true, false, true)),
            (table(ColumnType::Bytes, "bytea"), add(true, false, true)),
            (table(ColumnType::Uuid, "uuid"), add(true, false, true)),
            (made, add(true, true, true)),
            (table(DECIMAL, "numeric"), add(true, true, true)),
            (table(DECIMAL, "text"), add(true, true, false)),
            (table(ColumnType::Interval, "interval"), add(true, true, true)),
        ] {
            assert_eq!(need(&existing, 1), wanted, "{existing:?}");
        }
        let mut whole = table(DECIMAL, "numeric");
        (whole.has_column, whole.has_index) = (true, true);
        assert_eq!(need(&whole, 1), Need::Nothing);
        whole.has_index = false;
        assert_eq!(need(&whole, 1), add(false, true, true), "the index was dropped");
    }

    #[test]
    fn canonical_key_of_partitioned_table_needs_fit_types() {
        let parted = |kind: ColumnType, column_type: &str| ExistingTable {
            is_partitioned: true,
            ..table(kind, column_type)
        };
        let other = |native: &str| ColumnType::Other {
            native: native.to_owned(),
        };
        for (kind, column_type) in [
            (DECIMAL, "numeric"),
            (ColumnType::Float8, "double precision"),
            (ColumnType::Jsonb, "jsonb"),
            (other("numeric(10,2)[]"), "numeric[]"),
            (other("public.citext"), "citext"),
            (ColumnType::Date, "date"),
        ] {
            assert_eq!(
                need(&parted(kind.clone(), column_type), 1),
                add(true, false, true),
                "{kind:?}"
            );
        }
        for (kind, column_type) in [
            (DECIMAL, "text"),
            (ColumnType::Any, "text"),
            (other("nocase"), "text"),
            (ColumnType::Interval, "text"),
        ] {
            let unfit = Need::Unfit("id".to_owned());
            assert_eq!(need(&parted(kind.clone(), column_type), 1), unfit, "{kind:?}");
        }
    }
}
