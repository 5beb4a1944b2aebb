//! What is there: a table's columns, read and added to.

use schemas::column::{Column, ColumnType};

use super::super::session::Session;
use super::super::{claims, failure, native};
use crate::claims::Claim;
use crate::error::Result;
use crate::layout::{LaneTables, Layout, Role};
use crate::table::quoted;

/// A table's columns with their types.
pub(super) type Columns = Vec<(String, String)>;

/// A table's columns; none where there is no such table.
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

/// The columns of a table of the owner's, which stays in its place until the transaction ends; none where there is no
/// table. One of somebody else's is an error.
pub(super) async fn own_columns(
    session: &Session,
    tables: &LaneTables,
    role: Role,
    table: &str,
) -> Result<Option<Columns>> {
    match claims::decide(session, tables, role, table).await? {
        Claim::Make | Claim::Adopt => Ok(None),
        Claim::Keep => columns(session, &tables.layout, table).await,
    }
}

/// Whether a column is there.
pub(super) fn has(there: &[(String, String)], name: &str) -> bool {
    there.iter().any(|(known, _)| known == name)
}

/// The type to make. Asking for one by its name may fail, which must not undo the transaction.
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

/// Adds a column where it is not there.
pub(super) async fn add(
    session: &Session,
    layout: &Layout,
    table: &str,
    there: &[(String, String)],
    column: &Column,
) -> Result<()> {
    if has(there, &column.name) {
        return Ok(());
    }
    let kind = type_of(session, &column.kind).await?;
    let (table, name) = (layout.sql(table), quoted(&column.name));
    session
        .run(&format!("ALTER TABLE {table} ADD COLUMN {name} {kind}"))
        .await
}
