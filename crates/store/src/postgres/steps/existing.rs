//! Reads and adds columns of existing tables.

use schemas::column::{Column, ColumnType};

use super::super::session::Session;
use super::super::{failure, native, ownership};
use crate::error::Result;
use crate::layout::{LaneTables, Layout, Role};
use crate::ownership::Claim;
use crate::sql_name::quoted;

/// A table's columns with their types.
pub(super) type Columns = Vec<(String, String)>;

/// Returns a table's columns; `None` if there is no such table.
pub(super) async fn columns(session: &Session, layout: &Layout, table: &str) -> Result<Option<Columns>> {
    let fail = |error: tokio_postgres::Error| failure::of(&error);
    let rows = session
        .client
        .query(
            "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_catalog.pg_attribute \
             WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            &[&layout.sql(table)],
        )
        .await
        .map_err(fail)?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        found.push((row.try_get(0).map_err(fail)?, row.try_get(1).map_err(fail)?));
    }
    Ok((!found.is_empty()).then_some(found))
}

/// Returns the columns of the owner's table, which stays locked until the transaction ends; `None` if there is no
/// table. A table of another owner is an error.
pub(super) async fn own_columns(
    session: &Session,
    tables: &LaneTables,
    role: Role,
    table: &str,
) -> Result<Option<Columns>> {
    match ownership::decide(session, tables, role, table).await? {
        Claim::Make | Claim::Adopt => Ok(None),
        Claim::Use => columns(session, &tables.layout, table).await,
    }
}

/// Returns whether a column exists.
pub(super) fn has(existing: &[(String, String)], name: &str) -> bool {
    existing.iter().any(|(known, _)| known == name)
}

/// Returns the type to create. Searching a type by name may fail, which must not roll back the transaction.
pub(super) async fn type_of(session: &Session, kind: &ColumnType) -> Result<String> {
    if !matches!(kind, ColumnType::Other { .. }) {
        return Ok(native::type_of(session, kind).await);
    }
    session.run("SAVEPOINT kind").await?;
    let name = native::type_of(session, kind).await;
    session
        .run("ROLLBACK TO SAVEPOINT kind; RELEASE SAVEPOINT kind")
        .await?;
    Ok(name)
}

/// Adds a missing column.
pub(super) async fn add(
    session: &Session,
    layout: &Layout,
    table: &str,
    existing: &[(String, String)],
    column: &Column,
) -> Result<()> {
    if has(existing, &column.name) {
        return Ok(());
    }
    let kind = type_of(session, &column.kind).await?;
    let (table, name) = (layout.sql(table), quoted(&column.name));
    session
        .run(&format!("ALTER TABLE {table} ADD COLUMN {name} {kind}"))
        .await
}
