//! Indexes over a cursor and over a query's arguments: those that prove uniqueness, and those that are missing.

use gate::permit::Permit;
use tokio_postgres::Column;
use tokio_postgres::types::Type;
use tracing::{info, warn};

use super::catalogue::{self, Index, Relation, unexpected_result};
use super::session::SessionGuard;
use crate::error::{Result, refused};
use crate::feed::FeedDefinition;
use crate::keyset::quote;
use crate::missing_index::{ComparedColumn, MissingIndex, compared, missing_index_columns, quoted_list};

/// Refuses a cursor without a unique index, if all its columns are of one table. Otherwise nothing is proven, and the reader
/// compares neighbours.
pub(super) fn unique(
    feed: &FeedDefinition,
    cursor: &[&Column],
    (base, indexes): (Option<&Relation>, &[Index]),
) -> Result<()> {
    let Some(base) = base else {
        info!(feed = %feed.name, "cursor uniqueness not proven by the catalogue, comparing neighbouring rows");
        return Ok(());
    };
    let from_base = cursor.iter().filter(|one| one.table_oid() == Some(base.oid));
    let numbers: Vec<i16> = from_base.filter_map(|one| one.column_id()).collect();
    let proven = indexes
        .iter()
        .any(|index| index.unique && index.columns.iter().all(|one| numbers.contains(one)));
    if !proven && numbers.len() == cursor.len() {
        return Err(refused(
            format!(
                "cursor ({}) is not unique: {} has no unique index within these columns",
                feed.cursor.join(", "),
                base.quoted()
            ),
            "end the cursor with the table's primary key",
        ));
    }
    Ok(())
}

/// Returns the index that the cursor needs, if none serves it. `None` for columns of a view.
pub(super) async fn missing_for_cursor(
    locked: &mut SessionGuard<'_>,
    permit: &Permit,
    feed: &FeedDefinition,
    cursor: &[&Column],
) -> Result<Option<MissingIndex>> {
    let missing = missing_for_order(locked, permit, &feed.cursor, cursor).await?;
    if let Some(missing) = &missing {
        warn!(feed = %feed.name, remedy = %missing.remedy, "no index serves the cursor, each quantum sorts the table");
    }
    Ok(missing)
}

/// Returns the index that an order by these columns needs, if none serves it.
async fn missing_for_order(
    locked: &mut SessionGuard<'_>,
    permit: &Permit,
    names: &[String],
    columns: &[&Column],
) -> Result<Option<MissingIndex>> {
    let place = |one: &&Column| Some((one.table_oid()?, one.column_id()?));
    let places: Option<Vec<(u32, i16)>> = columns.iter().map(place).collect();
    let Some(places) = places else {
        return Ok(Some(MissingIndex::for_order(names, None)));
    };
    let Some((table, _)) = places.first().copied() else {
        return Ok(None);
    };
    if places.iter().any(|(of, _)| *of != table) {
        return Ok(Some(MissingIndex::for_order(names, None)));
    }
    let numbers: Vec<i16> = places.iter().map(|(_, number)| *number).collect();
    let indexes = catalogue::indexes(locked, permit, table).await?;
    let serves = |index: &Index| index.is_ordered && index.columns.starts_with(&numbers);
    if indexes.iter().any(serves) {
        return Ok(None);
    }
    let Some(named) = named(locked, permit, table).await? else {
        return Ok(None);
    };
    let columns: Vec<String> = numbers
        .iter()
        .filter_map(|number| named.column(*number))
        .collect();
    Ok(Some(MissingIndex::for_order(
        names,
        Some(named.statement(&columns)),
    )))
}

/// Returns the indexes that a query needs: over the columns that its arguments are compared with, or over its order.
pub(super) async fn missing_for_query(
    locked: &mut SessionGuard<'_>,
    permit: &Permit,
    (sql, arguments): (&str, usize),
    relations: &[Relation],
    (names, order): (&[String], &[&Column]),
) -> Result<Vec<MissingIndex>> {
    let compared = compared(sql, arguments);
    if compared.is_empty() {
        return Ok(missing_for_order(locked, permit, names, order)
            .await?
            .into_iter()
            .collect());
    }
    let mut missing = Vec::new();
    let mut tables = Vec::new();
    for relation in relations.iter().filter(|relation| relation.is_stored) {
        tables.extend(named(locked, permit, relation.oid).await?);
    }
    for table in &tables {
        // A column name in several tables refers to the qualified one.
        let is_of = |one: &&ComparedColumn| {
            let others = tables.iter().filter(|other| other.has(&one.column)).count();
            table.has(&one.column) && (others == 1 || one.table.as_deref() == Some(table.name.as_str()))
        };
        let of_table: Vec<&ComparedColumn> = compared.iter().filter(is_of).collect();
        let indexes = catalogue::indexes(locked, permit, table.oid).await?;
        let named = |index: &Index| {
            index
                .columns
                .iter()
                .map_while(|number| table.column(*number))
                .collect()
        };
        let indexes: Vec<Vec<String>> = indexes.iter().map(named).collect();
        match missing_index_columns(&of_table, &indexes) {
            Some(columns) => missing.push(MissingIndex::for_arguments(
                &table.quoted,
                &columns,
                &table.statement(&columns),
            )),
            // One table that an index searches leads to the rows of the others.
            None if !of_table.is_empty() => return Ok(Vec::new()),
            None => {}
        }
    }
    Ok(missing)
}

/// A table with its columns.
struct Named {
    oid: u32,
    name: String,
    quoted: String,
    is_partitioned: bool,
    columns: Vec<(i16, String)>,
}

impl Named {
    fn column(&self, number: i16) -> Option<String> {
        let found = self.columns.iter().find(|(known, _)| *known == number);
        found.map(|(_, name)| name.clone())
    }

    fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|(_, known)| known == column)
    }

    /// Returns the statement that creates an index. PostgreSQL cannot create one concurrently on a partitioned table.
    fn statement(&self, columns: &[String]) -> String {
        let concurrently = if self.is_partitioned { "" } else { "CONCURRENTLY " };
        format!(
            "CREATE INDEX {concurrently}ON {} ({});",
            self.quoted,
            quoted_list(columns)
        )
    }
}

const NAMED: &str = "SELECT n.nspname::text, c.relname::text, c.relkind = 'p', \
    ARRAY(SELECT a.attnum FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
      ORDER BY a.attnum), \
    ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
      ORDER BY a.attnum) \
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.oid = $1 AND c.relkind IN ('r', 'p', 'm')";

async fn named(locked: &mut SessionGuard<'_>, permit: &Permit, table: u32) -> Result<Option<Named>> {
    let rows = locked.query(permit, NAMED, &[(&table, Type::OID)]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let read = || -> std::result::Result<Named, tokio_postgres::Error> {
        let (schema, name): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let (numbers, names): (Vec<i16>, Vec<String>) = (row.try_get(3)?, row.try_get(4)?);
        Ok(Named {
            oid: table,
            quoted: format!("{}.{}", quote(&schema), quote(&name)),
            name,
            is_partitioned: row.try_get(2)?,
            columns: numbers.into_iter().zip(names).collect(),
        })
    };
    read().map(Some).map_err(|error| unexpected_result(&error))
}
