//! The column that keeps a key in its one form: what of it a table lacks, and how it gets it.
//!
//! A table needs it where the types of its key's columns may take two keys for one, or hold one in two spellings; then with a
//! unique index, by which the older spelling is found. Tables of earlier versions of the program and tables that were there before
//! get both. A partitioned table can have no such index: there the columns of the key find the older version, which is right
//! where their types compare every spelling of a key alike.

use schemas::column::{Column, ColumnType};
use schemas::key::{is_exact, is_respelt};

use super::super::failure;
use super::super::session::Session;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{LaneTables, Role};
use crate::table::shape::Shape;
use crate::table::{EPOCH, KEY, quoted};

/// A column of the key.
#[derive(Debug, Clone)]
struct KeyColumn {
    name: String,
    /// What the feed sends.
    kind: ColumnType,
    /// The type here, as the server names it.
    here: String,
    /// It has a length or a precision here.
    is_bounded: bool,
    /// Its collation compares texts byte by byte.
    is_deterministic: bool,
}

/// What is there.
#[derive(Debug, Clone)]
struct There {
    columns: Vec<KeyColumn>,
    is_partitioned: bool,
    has_column: bool,
    has_index: bool,
    /// The store created the table.
    is_made: bool,
    /// It has the columns that keep a row's place.
    has_place: bool,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Need {
    Nothing,
    /// Add what is missing. Rows from before must be of one spelling each, or their own type must compare them.
    Add {
        column: bool,
        index: bool,
        by_type: bool,
    },
    /// The column of this name holds one key in several spellings, and nothing can keep them together.
    Unfit(String),
}

/// Whether different values of a column here are different keys, and each key has one value.
fn is_exact_here(column: &KeyColumn) -> bool {
    let here = column.here.as_str();
    match column.kind {
        ColumnType::Int2 | ColumnType::Int4 | ColumnType::Int8 => {
            matches!(here, "smallint" | "integer" | "bigint" | "numeric")
        }
        ColumnType::Text { .. } => {
            column.is_deterministic && !column.is_bounded && matches!(here, "text" | "character varying")
        }
        ColumnType::Bool => here == "boolean",
        _ => false,
    }
}

/// Whether the type here takes all spellings of a key for one.
fn is_by_value(column: &KeyColumn) -> bool {
    let here = column.here.as_str();
    match &column.kind {
        ColumnType::Decimal { .. } => here == "numeric",
        ColumnType::Float4 | ColumnType::Float8 => matches!(here, "real" | "double precision" | "numeric"),
        ColumnType::Interval => here == "interval",
        ColumnType::Jsonb => here == "jsonb",
        // A type of the source's own name; its length or precision does not matter.
        ColumnType::Other { native } => {
            let open = match (native.split_once('('), native.rsplit_once(')')) {
                (Some((name, _)), Some((_, behind))) => format!("{name}{behind}"),
                _ => native.clone(),
            };
            let last = |name: &str| name.rsplit('.').next().map(str::to_owned);
            last(&open) == last(here)
        }
        ColumnType::Any => false,
        _ => true,
    }
}

/// PURE: what a table needs.
fn need(there: &There, key: usize) -> Need {
    if there.columns.len() == key && there.columns.iter().all(is_exact_here) {
        return Need::Nothing;
    }
    let respelt = || there.columns.iter().filter(|column| is_respelt(&column.kind));
    let unfit = respelt().find(|column| !is_by_value(column));
    if let (true, Some(column)) = (there.is_partitioned, unfit) {
        return Need::Unfit(column.name.clone());
    }
    let wants_index = !there.is_partitioned && (there.is_made || respelt().next().is_some());
    let (column, index) = (!there.has_column, wants_index && !there.has_index);
    if !column && !index {
        return Need::Nothing;
    }
    Need::Add {
        column,
        index,
        by_type: unfit.is_none(),
    }
}

const THERE: &str = "SELECT a.attname::text, a.atttypid::regtype::text, a.atttypmod >= 0, coalesce(o.collisdeterministic, true), \
     c.relkind = 'p', \
     EXISTS (SELECT FROM pg_catalog.pg_attribute k WHERE k.attrelid = c.oid AND k.attname = $3 AND NOT k.attisdropped), \
     EXISTS (SELECT FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute k ON k.attrelid = i.indrelid \
       AND k.attnum = i.indkey[0] WHERE i.indrelid = c.oid AND k.attname = $3 AND i.indnkeyatts = 1 AND i.indisunique \
       AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL), \
     EXISTS (SELECT FROM slacktide.tables t WHERE t.oid = c.oid::bigint AND t.origin = 'made'), \
     EXISTS (SELECT FROM pg_catalog.pg_attribute k WHERE k.attrelid = c.oid AND k.attname = $4 AND NOT k.attisdropped) \
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
     LEFT JOIN pg_catalog.pg_collation o ON o.oid = a.attcollation \
     WHERE c.oid = to_regclass($1) AND a.attname = ANY ($2::text[])";

/// The columns of the key with the store's names.
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

async fn there(session: &Session, table: &str, key: &[Column]) -> Result<Option<There>> {
    let fail = |error: tokio_postgres::Error| failure::of(&error);
    let names: Vec<&str> = key.iter().map(|column| column.name.as_str()).collect();
    let rows = session
        .client
        .query(THERE, &[&table, &names, &KEY, &EPOCH])
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
            here: row.try_get(1).map_err(fail)?,
            is_bounded: row.try_get(2).map_err(fail)?,
            is_deterministic: row.try_get(3).map_err(fail)?,
        });
    }
    Ok(Some(There {
        columns,
        is_partitioned: flag(4)?,
        has_column: flag(5)?,
        has_index: flag(6)?,
        is_made: flag(7)?,
        has_place: flag(8)?,
    }))
}

/// Whether the table of newest versions lacks what its key needs.
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
    let there = there(session, &table, &key).await?;
    Ok(there.is_some_and(|there| need(&there, key.len()) != Need::Nothing))
}

/// Gives the table of newest versions what its key needs.
///
/// # Errors
/// `Refused` where nothing can keep two spellings of a key together.
pub(super) async fn give(session: &Session, tables: &LaneTables, shape: &Shape) -> Result<()> {
    if !tables.layout.mode.keeps_current() {
        return Ok(());
    }
    let (key, table) = (key_of(tables, shape), tables.layout.sql(&tables.layout.table));
    let Some(there) = there(session, &table, &key).await? else {
        return Ok(());
    };
    let (column, index, by_type) = match need(&there, key.len()) {
        Need::Nothing => return Ok(()),
        Need::Unfit(name) => {
            return Err(Error::of_lane(
                &tables.lane,
                format!(
                    "column {name:?} of the partitioned table {table} holds one key in several spellings, and such a table can \
                     have no unique index over the key's one form"
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
    if column && !by_type && there.has_place && holds_rows(session, &table).await? {
        return Err(Error::of_lane(
            &tables.lane,
            format!(
                "{table} was filled by an earlier version, which kept each spelling of a key as a row of its own, and which rows \
                 have one key is not known any more"
            ),
            format!(
                "drop the table, and have it made and filled again: slacktide feed refill {} --from start",
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

/// Whether the table holds rows of a chunk.
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

    fn column(kind: ColumnType, here: &str) -> KeyColumn {
        KeyColumn {
            name: "id".to_owned(),
            kind,
            here: here.to_owned(),
            is_bounded: false,
            is_deterministic: true,
        }
    }

    fn table(kind: ColumnType, here: &str) -> There {
        There {
            columns: vec![column(kind, here)],
            is_partitioned: false,
            has_column: false,
            has_index: false,
            is_made: false,
            has_place: true,
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
    fn form_is_needed_where_types_may_take_two_keys_for_one() {
        let text = || ColumnType::Text { max: None };
        let mut short = table(text(), "character varying");
        short.columns[0].is_bounded = true;
        let mut made = table(ColumnType::Uuid, "uuid");
        made.is_made = true;
        for (there, wanted) in [
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
            assert_eq!(need(&there, 1), wanted, "{there:?}");
        }
        let mut whole = table(DECIMAL, "numeric");
        (whole.has_column, whole.has_index) = (true, true);
        assert_eq!(need(&whole, 1), Need::Nothing);
        whole.has_index = false;
        assert_eq!(need(&whole, 1), add(false, true, true), "the index was dropped");
    }

    #[test]
    fn form_of_a_partitioned_table_is_its_types_or_unfit() {
        let parted = |kind: ColumnType, here: &str| There {
            is_partitioned: true,
            ..table(kind, here)
        };
        let other = |native: &str| ColumnType::Other {
            native: native.to_owned(),
        };
        for (kind, here) in [
            (DECIMAL, "numeric"),
            (ColumnType::Float8, "double precision"),
            (ColumnType::Jsonb, "jsonb"),
            (other("numeric(10,2)[]"), "numeric[]"),
            (other("public.citext"), "citext"),
            (ColumnType::Date, "date"),
        ] {
            assert_eq!(
                need(&parted(kind.clone(), here), 1),
                add(true, false, true),
                "{kind:?}"
            );
        }
        for (kind, here) in [
            (DECIMAL, "text"),
            (ColumnType::Any, "text"),
            (other("nocase"), "text"),
            (ColumnType::Interval, "text"),
        ] {
            let unfit = Need::Unfit("id".to_owned());
            assert_eq!(need(&parted(kind.clone(), here), 1), unfit, "{kind:?}");
        }
    }
}
