//! One request query.
//!
//! `$1` is a named parameter of SQLite. A decimal is bound as its text, which a numeric column compares as a number, as exactly as
//! the column itself is. A time is bound as its text in UTC, or in the format that the kind declares. Whether the columns have that
//! format is checked before the first row is read.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use gate::permit::Permit;
use rusqlite::Connection;
use rusqlite::types::Value as Owned;
use schemas::column::{Column, RowSchema};
use schemas::cursor::{Cursor, Scalar};
use schemas::source::SourceIdentity;

use super::check;
use super::checked_feed::CheckedFeed;
use super::comparison;
use super::failure;
use super::index;
use super::quantum::{self, Counted};
use super::reader::written;
use super::sender::BoundStatement;
use super::worker::Worker;
use crate::error::{Error, ErrorKind, Result, refused};
use crate::keyset::{Bound, CursorColumn, Dialect, Keyset, column, strip_semicolon};
use crate::missing_index::MissingIndex;
use crate::port::{End, Quantum, RequestQueryReader, RowSink};
use crate::request_query::{Argument, ArgumentKind, RequestQuery};

/// One query whose answer is being read.
pub(super) struct SqliteRequestQuery {
    worker: Arc<Worker>,
    query: RequestQuery,
    checked: Arc<CheckedFeed>,
}

/// Queries whose columns have the format of their arguments, by name and SQL.
pub(super) type FormatCheckCache = Mutex<BTreeSet<String>>;

pub(super) async fn open(
    worker: &Arc<Worker>,
    format_checks: &Arc<FormatCheckCache>,
    query: &RequestQuery,
    permit: &Permit,
) -> Result<SqliteRequestQuery> {
    query.check()?;
    let (asked, format_checks) = (query.clone(), Arc::clone(format_checks));
    let checked = worker
        .run(permit, move |connection, _| {
            let checked = look_up(connection, &asked)?;
            compare(connection, &format_checks, &asked, &checked.keyset.sql)?;
            Ok(checked)
        })
        .await;
    let checked = checked.map_err(|error| query.without_values(error).at(&query.place()))?;
    Ok(SqliteRequestQuery {
        worker: Arc::clone(worker),
        query: query.clone(),
        checked: Arc::new(checked),
    })
}

/// Checks whether the query's times have the formats of its columns. The result is cached, because a column's format is stable.
fn compare(
    connection: &Connection,
    format_checks: &FormatCheckCache,
    query: &RequestQuery,
    sql: &str,
) -> Result<()> {
    comparison::is_exact(query, sql)?;
    let formats: Vec<_> = query
        .arguments
        .iter()
        .map(|one| (one.kind, &one.stored_as))
        .collect();
    let name = format!("{:?}", (&query.name, sql, formats));
    if format_checks
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .contains(&name)
    {
        return Ok(());
    }
    if comparison::check(connection, query, sql)? {
        format_checks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name);
    }
    Ok(())
}

fn look_up(connection: &Connection, query: &RequestQuery) -> Result<CheckedFeed> {
    let sql = strip_semicolon(&query.sql).to_owned();
    let statement = connection.prepare_cached(&sql).map_err(|error| match error {
        rusqlite::Error::MultipleStatement => {
            refused("the sql holds more than one statement", "write one SELECT")
        }
        other => failure::classify(&other),
    })?;
    if !statement.readonly() || statement.column_count() == 0 {
        return Err(refused("the sql is not a SELECT", "write one SELECT"));
    }
    let known: Vec<String> = (1..=query.arguments.len())
        .map(|number| format!("${number}"))
        .collect();
    for place in 1..=statement.parameter_count() {
        let name = statement.parameter_name(place).unwrap_or("?");
        if !known.iter().any(|known| known == name) {
            return Err(refused(
                format!(
                    "the sql takes a parameter {name}, and {} arguments are declared",
                    known.len()
                ),
                "write $1, $2, … and declare one argument for each",
            ));
        }
    }
    let given: Vec<&str> = statement.column_names().collect();
    let cursor = query.order_indices(&given)?;
    let mut columns = Vec::new();
    for one in statement.columns() {
        columns.push(Column {
            name: one.name().to_owned(),
            kind: check::resolve_type(&query.types, one.name(), one.decl_type())?,
            nullable: true,
        });
    }
    for place in &cursor {
        if let Some(one) = columns.get(*place) {
            check::check_orderable(one, "order")?;
        }
    }
    let missing_indexes = index::missing_for_query(connection, &sql, query.arguments.len(), &query.order)?;
    let keyset = Keyset {
        dialect: Dialect::Sqlite,
        sql,
        select: given.iter().map(|name| column(name)).collect(),
        cursor: query
            .order
            .iter()
            .map(|name| CursorColumn {
                name: name.clone(),
                cast: String::new(),
            })
            .collect(),
        only: None,
        own_parameters: query.arguments.len(),
        fence_zone: None,
    };
    Ok(CheckedFeed {
        schema: RowSchema {
            name: query.name.clone(),
            version: 1,
            columns,
            key: Vec::new(),
            tombstone: None,
        },
        cursor,
        keyset,
        never_null: true,
        by_rowid: false,
        first_kind: None,
        key_repeated: None,
        numbered_by: None,
        missing_indexes,
    })
}

fn owned(argument: &Argument) -> Owned {
    match (&argument.value, argument.kind) {
        (None, _) => Owned::Null,
        (Some(Scalar::Text(text)), ArgumentKind::Boolean) => Owned::Integer(i64::from(text == "true")),
        (Some(Scalar::Text(text)), ArgumentKind::Integer) => {
            // Its format was checked before.
            text.parse().map_or(Owned::Null, Owned::Integer)
        }
        (Some(Scalar::Int(number)), ArgumentKind::Decimal) => Owned::Text(number.to_string()),
        (Some(Scalar::Int(number)), _) => Owned::Integer(*number),
        (Some(Scalar::Text(text)), _) => Owned::Text(text.clone()),
    }
}

impl SqliteRequestQuery {
    async fn quantum(
        &self,
        after: Option<&Cursor>,
        limit: usize,
        permit: &Permit,
        rows: &mut dyn RowSink,
    ) -> Result<End> {
        if permit.is_revoked() {
            return Err(Error::revoked());
        }
        if after.is_some_and(|after| after.0.is_empty() || after.0.len() != self.checked.cursor.len()) {
            return Err(refused(
                "the cursor has another number of columns than the query's order",
                "read from the beginning",
            ));
        }
        let mut placed: Vec<Scalar> = after.iter().flat_map(|after| after.0.iter().cloned()).collect();
        placed.push(Scalar::Int(
            i64::try_from(limit).unwrap_or(i64::MAX - 1).saturating_add(1),
        ));
        let named = (1..).zip(&self.query.arguments);
        let asked = BoundStatement {
            sql: self.checked.keyset.read(after.is_some(), Bound::None),
            named: named
                .map(|(number, one)| (format!("${number}"), owned(one)))
                .collect(),
            placed,
        };
        quantum::run(&self.worker, &self.checked, asked, limit, permit, rows).await
    }
}

#[async_trait]
impl RequestQueryReader for SqliteRequestQuery {
    fn schema(&self) -> &RowSchema {
        &self.checked.schema
    }

    async fn identify(&mut self, permit: &Permit) -> Result<SourceIdentity> {
        let head = self.worker.head();
        let written = self
            .worker
            .run(permit, move |connection, _| written(connection, &head))
            .await
            .map_err(|error| error.at(&self.query.place()))?;
        Ok(SourceIdentity {
            system: self.worker.file().map(|file| file.fingerprint()),
            written: Some(written),
            ..SourceIdentity::default()
        })
    }

    fn missing_indexes(&self) -> &[MissingIndex] {
        &self.checked.missing_indexes
    }

    async fn read(
        &mut self,
        after: Option<&Cursor>,
        limit: usize,
        permit: &Permit,
        rows: &mut dyn RowSink,
    ) -> Result<Quantum> {
        let began = Instant::now();
        let mut counted = Counted::new(rows);
        let end = match self.quantum(after, limit.max(1), permit, &mut counted).await {
            Err(error) if error.kind == ErrorKind::Revoked => End::Revoked,
            other => other.map_err(|error| self.query.without_values(error).at(&self.query.place()))?,
        };
        Ok(Quantum {
            rows: counted.count,
            end,
            took: began.elapsed(),
        })
    }
}
