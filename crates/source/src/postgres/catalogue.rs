//! Reads a feed's columns and tables from the catalogue.

use gate::permit::Permit;
use tokio_postgres::Column;
use tokio_postgres::types::Type;

use schemas::column::ColumnType;

use super::session::SessionGuard;
use crate::error::{Error, ErrorKind, Result};
use crate::keyset::quote;

/// The server and the account.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) standby: bool,
    pub(super) superuser: bool,
    pub(super) sees_all: bool,
}

/// A relation that the feed's SQL names.
#[derive(Debug)]
pub(super) struct Relation {
    pub(super) oid: u32,
    pub(super) schema: String,
    pub(super) name: String,
    /// Whether its indexes can prove something: an ordinary table without children, a partitioned table or a materialised view.
    pub(super) is_table: bool,
    /// Whether it is a table that stores rows, including those of its children or partitions.
    pub(super) is_stored: bool,
    pub(super) readable: bool,
    pub(super) writable: bool,
}

impl Relation {
    pub(super) fn quoted(&self) -> String {
        format!("{}.{}", quote(&self.schema), quote(&self.name))
    }
}

/// An index, by its columns' numbers in order.
#[derive(Debug)]
pub(super) struct Index {
    /// Whether it proves that rows differ in these columns: unique, not partial, valid, checked immediately.
    pub(super) unique: bool,
    /// Whether it returns rows in the order of its columns.
    pub(super) is_ordered: bool,
    pub(super) columns: Vec<i16>,
}

pub(super) fn unexpected_result(error: &tokio_postgres::Error) -> Error {
    Error::new(
        ErrorKind::Database,
        format!("unexpected result of a catalogue query: {error}"),
        "report the server's version",
    )
}

pub(super) async fn account(locked: &mut SessionGuard<'_>, permit: &Permit) -> Result<Account> {
    let sql = "SELECT current_user::text, pg_is_in_recovery(), r.rolsuper, \
        pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') \
        FROM pg_catalog.pg_roles r WHERE r.rolname = current_user";
    let rows = locked.query(permit, sql, &[]).await?;
    let row = rows.first().ok_or_else(|| {
        Error::new(
            ErrorKind::Denied,
            "the account's role does not exist",
            "check the user in the source's url",
        )
    })?;
    let read = || -> std::result::Result<Account, tokio_postgres::Error> {
        Ok(Account {
            name: row.try_get(0)?,
            standby: row.try_get(1)?,
            superuser: row.try_get(2)?,
            sees_all: row.try_get(3)?,
        })
    };
    read().map_err(|error| unexpected_result(&error))
}

/// Returns the names that are relations.
pub(super) async fn relations(
    locked: &mut SessionGuard<'_>,
    permit: &Permit,
    names: &[Vec<String>],
) -> Result<Vec<Relation>> {
    let names = quoted_names(names);
    let rows = locked
        .query(permit, RELATIONS, &[(&names, Type::TEXT_ARRAY)])
        .await?;
    rows.iter()
        .map(relation)
        .collect::<std::result::Result<_, _>>()
        .map_err(|error| unexpected_result(&error))
}

pub(super) const RELATIONS: &str = "SELECT DISTINCT c.oid, n.nspname::text, c.relname::text, \
    c.relkind IN ('p', 'm') OR (c.relkind = 'r' AND NOT c.relhassubclass), \
    has_any_column_privilege(c.oid, 'SELECT'), \
    has_any_column_privilege(c.oid, 'INSERT, UPDATE') OR has_table_privilege(c.oid, 'DELETE, TRUNCATE'), \
    c.relkind IN ('r', 'p') \
    FROM unnest($1) AS t(name) JOIN pg_catalog.pg_class c ON c.oid = to_regclass(t.name) \
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace ORDER BY 2, 3";

pub(super) fn relation(row: &tokio_postgres::Row) -> std::result::Result<Relation, tokio_postgres::Error> {
    Ok(Relation {
        oid: row.try_get(0)?,
        schema: row.try_get(1)?,
        name: row.try_get(2)?,
        is_table: row.try_get(3)?,
        readable: row.try_get(4)?,
        writable: row.try_get(5)?,
        is_stored: row.try_get(6)?,
    })
}

/// Quotes names. A name with more parts than schema and relation is a column after a FROM that is not a clause.
pub(super) fn quoted_names(names: &[Vec<String>]) -> Vec<String> {
    let quoted = |parts: &Vec<String>| parts.iter().map(|part| quote(part)).collect::<Vec<_>>().join(".");
    names
        .iter()
        .filter(|parts| parts.len() <= 2)
        .map(quoted)
        .collect()
}

pub(super) async fn indexes(
    locked: &mut SessionGuard<'_>,
    permit: &Permit,
    table: u32,
) -> Result<Vec<Index>> {
    let sql = "SELECT i.indisunique AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL, \
        i.indkey::int2[], i.indnkeyatts, m.amname = 'btree' FROM pg_catalog.pg_index i \
        JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid JOIN pg_catalog.pg_am m ON m.oid = x.relam \
        WHERE i.indrelid = $1 AND i.indisvalid AND i.indpred IS NULL";
    let rows = locked.query(permit, sql, &[(&table, Type::OID)]).await?;
    let read = |row: &tokio_postgres::Row| -> std::result::Result<Index, tokio_postgres::Error> {
        let mut columns: Vec<i16> = row.try_get(1)?;
        let keys: i16 = row.try_get(2)?;
        columns.truncate(usize::try_from(keys).unwrap_or(0));
        Ok(Index {
            unique: row.try_get(0)?,
            is_ordered: row.try_get(3)?,
            columns,
        })
    };
    rows.iter()
        .map(read)
        .collect::<std::result::Result<_, _>>()
        .map_err(|error| unexpected_result(&error))
}

/// Whether a SELECT calls a set-returning function.
pub(super) async fn calls_set_returning_function(
    locked: &mut SessionGuard<'_>,
    permit: &Permit,
    sql: &str,
) -> Result<bool> {
    let plan = locked
        .query(permit, &format!("EXPLAIN (COSTS off) {sql}"), &[])
        .await;
    match plan {
        Ok(lines) => Ok(lines.iter().any(|line| {
            line.try_get::<_, String>(0)
                .is_ok_and(|line| line.contains("ProjectSet"))
        })),
        // The probe of the same SELECT that follows reports what may not be read.
        Err(error) if error.is_about_rows() => Ok(true),
        Err(error) => Err(error),
    }
}

/// Returns for each column its type as the database spells it, and whether its base column is NOT NULL.
pub(super) async fn describe(
    locked: &mut SessionGuard<'_>,
    permit: &Permit,
    columns: &[Column],
) -> Result<Vec<(String, bool)>> {
    let types: Vec<u32> = columns.iter().map(|column| column.type_().oid()).collect();
    let modifiers: Vec<i32> = columns.iter().map(Column::type_modifier).collect();
    let tables: Vec<u32> = columns
        .iter()
        .map(|column| column.table_oid().unwrap_or(0))
        .collect();
    let numbers: Vec<i16> = columns
        .iter()
        .map(|column| column.column_id().unwrap_or(0))
        .collect();
    let sql = "SELECT format_type(u.kind, NULLIF(u.modifier, -1)), COALESCE(a.attnotnull, false) \
        FROM unnest($1, $2, $3, $4) WITH ORDINALITY AS u(kind, modifier, tab, col, n) \
        LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = u.tab AND a.attnum = u.col ORDER BY u.n";
    let params: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 4] = [
        (&types, Type::OID_ARRAY),
        (&modifiers, Type::INT4_ARRAY),
        (&tables, Type::OID_ARRAY),
        (&numbers, Type::INT2_ARRAY),
    ];
    let rows = locked.query(permit, sql, &params).await?;
    let read = |row: &tokio_postgres::Row| Ok((row.try_get(0)?, row.try_get(1)?));
    rows.iter()
        .map(read)
        .collect::<std::result::Result<_, _>>()
        .map_err(|error| unexpected_result(&error))
}

/// Returns the column's type for manifests.
pub(super) fn column_type(kind: &Type, modifier: i32, native: &str) -> ColumnType {
    let length = || u32::try_from(modifier - 4).ok().filter(|_| modifier > 4);
    match *kind {
        Type::BOOL => ColumnType::Bool,
        Type::INT2 => ColumnType::Int2,
        Type::INT4 => ColumnType::Int4,
        Type::INT8 => ColumnType::Int8,
        Type::FLOAT4 => ColumnType::Float4,
        Type::FLOAT8 => ColumnType::Float8,
        Type::NUMERIC => decimal(modifier),
        Type::MONEY => decimal(-1),
        Type::MONEY_ARRAY => ColumnType::Other {
            native: "numeric[]".to_owned(),
        },
        Type::VARCHAR | Type::BPCHAR => ColumnType::Text { max: length() },
        Type::TEXT | Type::NAME => ColumnType::Text { max: None },
        Type::BYTEA => ColumnType::Bytes,
        Type::DATE => ColumnType::Date,
        Type::TIME => ColumnType::Time,
        Type::TIMETZ => ColumnType::TimeTz,
        Type::TIMESTAMP => ColumnType::Timestamp,
        Type::TIMESTAMPTZ => ColumnType::TimestampTz,
        Type::INTERVAL => ColumnType::Interval,
        Type::UUID => ColumnType::Uuid,
        Type::JSON => ColumnType::Json,
        Type::JSONB => ColumnType::Jsonb,
        _ => ColumnType::Other {
            native: native.to_owned(),
        },
    }
}

/// `numeric(p, s)`: the scale is an eleven-bit number with sign.
fn decimal(modifier: i32) -> ColumnType {
    if modifier < 4 {
        return ColumnType::Decimal {
            precision: None,
            scale: None,
        };
    }
    let packed = modifier - 4;
    let scale = ((packed & 0x7ff) ^ 1024) - 1024;
    ColumnType::Decimal {
        precision: u16::try_from(packed >> 16).ok(),
        scale: i16::try_from(scale).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn catalogue_numeric_modifier_has_precision_and_scale() {
        let exact = |precision, scale| ColumnType::Decimal {
            precision: Some(precision),
            scale: Some(scale),
        };
        assert_eq!(decimal(((16 << 16) | 2) + 4), exact(16, 2));
        assert_eq!(decimal(((5 << 16) | (-2 & 0x7ff)) + 4), exact(5, -2));
        assert_eq!(
            decimal(-1),
            ColumnType::Decimal {
                precision: None,
                scale: None
            }
        );
    }
}
