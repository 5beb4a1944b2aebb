//! One question.
//!
//! `$1` is a name to SQLite, and is bound by it. A decimal is bound as its text, which a column of numbers
//! compares as a number and exactly as far as the column itself is exact; a time as its text in UTC, or in the form that the
//! kind declares. Whether the columns have that form is checked before the first row is read.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use gate::permit::Permit;
use rusqlite::Connection;
use rusqlite::types::Value as Owned;
use schemas::column::{Column, RowSchema};
use schemas::cursor::{Cursor, Scalar};

use super::check::{self, Checked};
use super::comparison;
use super::failure;
use super::index;
use super::quantum::{self, Counted};
use super::sender::Asked;
use super::worker::Worker;
use crate::error::{Error, ErrorKind, Result, refused};
use crate::keyset::{Bound, CursorColumn, Dialect, Keyset, bare, column};
use crate::missing_index::MissingIndex;
use crate::port::{End, Quantum, QuestionReader, RowSink};
use crate::question::{Argument, ArgumentKind, Question};

/// One question, its answer being read.
pub(super) struct SqliteQuestion {
    worker: Arc<Worker>,
    question: Question,
    checked: Arc<Checked>,
}

/// Questions whose columns were found to write times as their arguments do, by name and SQL.
pub(super) type Compared = Mutex<BTreeSet<String>>;

pub(super) async fn open(
    worker: &Arc<Worker>,
    compared: &Arc<Compared>,
    question: &Question,
    permit: &Permit,
) -> Result<SqliteQuestion> {
    question.check()?;
    let (asked, compared) = (question.clone(), Arc::clone(compared));
    let checked = worker
        .run(permit, move |connection, _| {
            let checked = look(connection, &asked)?;
            compare(connection, &compared, &asked, &checked.keyset.sql)?;
            Ok(checked)
        })
        .await;
    let checked = checked.map_err(|error| question.without_values(error).at(&question.place()))?;
    Ok(SqliteQuestion {
        worker: Arc::clone(worker),
        question: question.clone(),
        checked: Arc::new(checked),
    })
}

/// Whether its times have the forms of its columns. What was found is remembered: a column's form does not change with each row.
fn compare(connection: &Connection, compared: &Compared, question: &Question, sql: &str) -> Result<()> {
    comparison::is_exact(question, sql)?;
    let forms: Vec<_> = question
        .arguments
        .iter()
        .map(|one| (one.kind, &one.stored_as))
        .collect();
    let name = format!("{:?}", (&question.name, sql, forms));
    if compared
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .contains(&name)
    {
        return Ok(());
    }
    if comparison::check(connection, question, sql)? {
        compared
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name);
    }
    Ok(())
}

fn look(connection: &Connection, question: &Question) -> Result<Checked> {
    let sql = bare(&question.sql).to_owned();
    let statement = connection.prepare_cached(&sql).map_err(|error| match error {
        rusqlite::Error::MultipleStatement => {
            refused("the sql holds more than one statement", "write one SELECT")
        }
        other => failure::of(&other),
    })?;
    if !statement.readonly() || statement.column_count() == 0 {
        return Err(refused("the sql is no SELECT", "write one SELECT"));
    }
    let known: Vec<String> = (1..=question.arguments.len())
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
    let cursor = question.order_places(&given)?;
    let mut columns = Vec::new();
    for one in statement.columns() {
        columns.push(Column {
            name: one.name().to_owned(),
            kind: check::typed(&question.types, one.name(), one.decl_type())?,
            nullable: true,
        });
    }
    for place in &cursor {
        if let Some(one) = columns.get(*place) {
            check::orders(one, "order")?;
        }
    }
    let missing_indexes = index::of_question(connection, &sql, question.arguments.len(), &question.order)?;
    let keyset = Keyset {
        dialect: Dialect::Sqlite,
        sql,
        select: given.iter().map(|name| column(name)).collect(),
        cursor: question
            .order
            .iter()
            .map(|name| CursorColumn {
                name: name.clone(),
                cast: String::new(),
            })
            .collect(),
        only: None,
        own: question.arguments.len(),
        fence_zone: None,
    };
    Ok(Checked {
        schema: RowSchema {
            name: question.name.clone(),
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
            // Its form was looked at before.
            text.parse().map_or(Owned::Null, Owned::Integer)
        }
        (Some(Scalar::Int(number)), ArgumentKind::Decimal) => Owned::Text(number.to_string()),
        (Some(Scalar::Int(number)), _) => Owned::Integer(*number),
        (Some(Scalar::Text(text)), _) => Owned::Text(text.clone()),
    }
}

impl SqliteQuestion {
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
                "the place to go on from has another number of columns than the question's order",
                "ask from the beginning",
            ));
        }
        let mut placed: Vec<Scalar> = after.iter().flat_map(|after| after.0.iter().cloned()).collect();
        placed.push(Scalar::Int(
            i64::try_from(limit).unwrap_or(i64::MAX - 1).saturating_add(1),
        ));
        let named = (1..).zip(&self.question.arguments);
        let asked = Asked {
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
impl QuestionReader for SqliteQuestion {
    fn schema(&self) -> &RowSchema {
        &self.checked.schema
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
            other => other.map_err(|error| self.question.without_values(error).at(&self.question.place()))?,
        };
        Ok(Quantum {
            rows: counted.count,
            end,
            took: began.elapsed(),
        })
    }
}
