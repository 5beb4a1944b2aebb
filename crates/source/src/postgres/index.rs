//! Indexes over a cursor and over what a question is asked by: one that proves, one that serves.

use gate::permit::Permit;
use tokio_postgres::Column;
use tokio_postgres::types::Type;
use tracing::{info, warn};

use super::catalogue::{self, Index, Relation, odd};
use super::session::Turn;
use crate::error::{Result, refused};
use crate::feed::FeedDefinition;
use crate::keyset::quote;
use crate::missing_index::{Compared, MissingIndex, compared, listed, wanted};

/// A cursor whose columns are all of the one table must hold a unique index of it. Elsewhere
/// nothing is proven, and the reader compares neighbours.
pub(super) fn unique(
    feed: &FeedDefinition,
    cursor: &[&Column],
    (base, indexes): (Option<&Relation>, &[Index]),
) -> Result<()> {
    let Some(base) = base else {
        info!(feed = %feed.name, "the cursor's uniqueness cannot be proven from the catalogue; neighbouring rows are compared");
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

/// The index that would serve the cursor, where none does. Of columns of a view nothing is known.
pub(super) async fn of_cursor(
    turn: &mut Turn<'_>,
    permit: &Permit,
    feed: &FeedDefinition,
    cursor: &[&Column],
) -> Result<Option<MissingIndex>> {
    let missing = of_order(turn, permit, &feed.cursor, cursor).await?;
    if let Some(missing) = &missing {
        warn!(feed = %feed.name, remedy = %missing.remedy, "no index serves the cursor: each quantum sorts the table");
    }
    Ok(missing)
}

/// The index that would serve an order by these columns, where none does.
async fn of_order(
    turn: &mut Turn<'_>,
    permit: &Permit,
    names: &[String],
    columns: &[&Column],
) -> Result<Option<MissingIndex>> {
    let place = |one: &&Column| Some((one.table_oid()?, one.column_id()?));
    let places: Option<Vec<(u32, i16)>> = columns.iter().map(place).collect();
    let Some(places) = places else {
        return Ok(Some(MissingIndex::of_order(names, None)));
    };
    let Some((table, _)) = places.first().copied() else {
        return Ok(None);
    };
    if places.iter().any(|(of, _)| *of != table) {
        return Ok(Some(MissingIndex::of_order(names, None)));
    }
    let numbers: Vec<i16> = places.iter().map(|(_, number)| *number).collect();
    let indexes = catalogue::indexes(turn, permit, table).await?;
    let serves = |index: &Index| index.is_ordered && index.columns.starts_with(&numbers);
    if indexes.iter().any(serves) {
        return Ok(None);
    }
    let Some(named) = named(turn, permit, table).await? else {
        return Ok(None);
    };
    let columns: Vec<String> = numbers
        .iter()
        .filter_map(|number| named.column(*number))
        .collect();
    Ok(Some(MissingIndex::of_order(
        names,
        Some(named.statement(&columns)),
    )))
}

/// The indexes that would serve a question: what its arguments are compared with, or else its order.
pub(super) async fn of_question(
    turn: &mut Turn<'_>,
    permit: &Permit,
    (sql, arguments): (&str, usize),
    relations: &[Relation],
    (names, order): (&[String], &[&Column]),
) -> Result<Vec<MissingIndex>> {
    let compared = compared(sql, arguments);
    if compared.is_empty() {
        return Ok(of_order(turn, permit, names, order).await?.into_iter().collect());
    }
    let mut missing = Vec::new();
    let mut tables = Vec::new();
    for relation in relations.iter().filter(|relation| relation.is_stored) {
        tables.extend(named(turn, permit, relation.oid).await?);
    }
    for table in &tables {
        // A column that several tables have is the one's that is named with it.
        let is_of = |one: &&Compared| {
            let others = tables.iter().filter(|other| other.has(&one.column)).count();
            table.has(&one.column) && (others == 1 || one.table.as_deref() == Some(table.name.as_str()))
        };
        let of_table: Vec<&Compared> = compared.iter().filter(is_of).collect();
        let indexes = catalogue::indexes(turn, permit, table.oid).await?;
        let named = |index: &Index| {
            index
                .columns
                .iter()
                .map_while(|number| table.column(*number))
                .collect()
        };
        let indexes: Vec<Vec<String>> = indexes.iter().map(named).collect();
        match wanted(&of_table, &indexes) {
            Some(columns) => missing.push(MissingIndex::of_arguments(
                &table.quoted,
                &columns,
                &table.statement(&columns),
            )),
            // One table that is searched by an index leads to the rows of the others.
            None if !of_table.is_empty() => return Ok(Vec::new()),
            None => {}
        }
    }
    Ok(missing)
}

/// A table that may have indexes.
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

    /// The statement that makes an index. PostgreSQL makes none of a partitioned table concurrently.
    fn statement(&self, columns: &[String]) -> String {
        let concurrently = if self.is_partitioned { "" } else { "CONCURRENTLY " };
        format!(
            "CREATE INDEX {concurrently}ON {} ({});",
            self.quoted,
            listed(columns)
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

async fn named(turn: &mut Turn<'_>, permit: &Permit, table: u32) -> Result<Option<Named>> {
    let rows = turn.query(permit, NAMED, &[(&table, Type::OID)]).await?;
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
    read().map(Some).map_err(|error| odd(&error))
}
