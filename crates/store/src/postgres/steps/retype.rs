//! Changes a column to a wider type.

use schemas::column::ColumnType;

use super::super::session::Session;
use super::existing::{own_columns, type_of};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{LaneTables, Role};
use crate::sql_name::quoted;

/// Changes the type of a column.
pub(super) async fn retype(
    session: &Session,
    tables: &LaneTables,
    (role, table): (Role, &str),
    (name, from, to): (&str, &ColumnType, &ColumnType),
) -> Result<()> {
    let (from, to) = (type_of(session, from).await?, type_of(session, to).await?);
    let existing = own_columns(session, tables, role, table)
        .await?
        .unwrap_or_default();
    let Some((_, actual)) = existing.iter().find(|(known, _)| known == name) else {
        return Ok(());
    };
    // The owner chose another type, which is kept.
    let spelt = if from == "timestamp" {
        "timestamp without time zone"
    } else {
        &from
    };
    if from == to || actual != spelt {
        return Ok(());
    }
    let (table, column) = (tables.layout.sql(table), quoted(name));
    let altered = session
        .run(&format!(
            "ALTER TABLE {table} ALTER COLUMN {column} TYPE {to} USING {column}::{to}"
        ))
        .await;
    altered.map_err(|error| match error.kind {
        ErrorKind::Refused | ErrorKind::Denied => Error::of_lane(
            &tables.lane,
            format!(
                "column {column} of {table} became {to} and cannot follow: {}",
                error.what
            ),
            "drop the view, rule or policy that uses the column and make it again afterwards; it is retried",
        ),
        _ => error,
    })
}
