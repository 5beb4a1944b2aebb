//! One question.
//!
//! What was looked up for a question is kept for as long as the session lives, so that thousands of requests of
//! one kind cost the core one look at its catalogue, and one statement each.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use gate::permit::Permit;
use schemas::column::{Column, RowSchema};
use schemas::cursor::Cursor;
use tokio_postgres::types::Type;
use tokio_postgres::{Column as WireColumn, Statement};

use super::catalogue;
use super::cell::{self, Wire};
use super::check::{self, Checked};
use super::comparison;
use super::index;
use super::quantum::{self, Given, text};
use super::question_order as order;
use super::session::{Session, Turn};
use crate::error::{Error, ErrorKind, Result, refused};
use crate::keyset::{Dialect, Keyset, bare, column};
use crate::missing_index::MissingIndex;
use crate::port::{End, Quantum, QuestionReader, RowSink};
use crate::question::{ArgumentKind, Question};
use crate::shape::Shape;

/// Questions that are remembered, the last ones.
const REMEMBERED: usize = 64;

/// What was looked up for questions that differ in the values of their arguments only.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<VecDeque<(u64, String, Arc<Looked>)>>);

/// A question that can be asked.
#[derive(Debug)]
struct Looked {
    checked: Checked,
    missing_indexes: Vec<MissingIndex>,
    types: Vec<Type>,
    /// By whether it goes on behind a cursor.
    statements: Mutex<BTreeMap<bool, Statement>>,
}

impl Known {
    fn find(&self, generation: u64, name: &str) -> Option<Arc<Looked>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(of, ..)| *of == generation);
        let found = known.iter().find(|(_, known, _)| known == name);
        found.map(|(.., looked)| Arc::clone(looked))
    }

    fn keep(&self, generation: u64, name: String, looked: &Arc<Looked>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() == REMEMBERED {
            known.pop_front();
        }
        known.push_back((generation, name, Arc::clone(looked)));
    }

    fn forget(&self, looked: &Arc<Looked>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(.., one)| !Arc::ptr_eq(one, looked));
    }
}

/// All of a question but its arguments' values.
fn name(question: &Question) -> String {
    let kinds: Vec<ArgumentKind> = question.arguments.iter().map(|one| one.kind).collect();
    format!(
        "{:?}",
        (
            &question.name,
            &question.sql,
            kinds,
            &question.order,
            &question.money,
            &question.types,
            &question.zone
        )
    )
}

/// One question, its answer being read.
pub(super) struct PostgresQuestion {
    session: Arc<Session>,
    known: Arc<Known>,
    question: Question,
    looked: Arc<Looked>,
    generation: u64,
    /// It is known that no row lacks a place in the order.
    never_null: bool,
}

pub(super) async fn open(
    session: &Arc<Session>,
    known: &Arc<Known>,
    question: &Question,
    permit: &Permit,
) -> Result<PostgresQuestion> {
    question.check()?;
    let opened = ready(session, known, question, permit).await;
    let (looked, generation) =
        opened.map_err(|error| question.without_values(error).at(&question.place()))?;
    Ok(PostgresQuestion {
        session: Arc::clone(session),
        known: Arc::clone(known),
        question: question.clone(),
        never_null: looked.checked.never_null,
        looked,
        generation,
    })
}

async fn ready(
    session: &Session,
    known: &Known,
    question: &Question,
    permit: &Permit,
) -> Result<(Arc<Looked>, u64)> {
    let mut turn = session.turn(permit).await?;
    let generation = turn.live()?.generation;
    let name = name(question);
    if let Some(looked) = known.find(generation, &name) {
        return Ok((looked, generation));
    }
    turn.enter_zone(permit, question.zone.as_deref()).await?;
    let looked = Arc::new(look(session, &mut turn, question, permit).await?);
    known.keep(generation, name, &looked);
    Ok((looked, generation))
}

async fn look(
    session: &Session,
    turn: &mut Turn<'_>,
    question: &Question,
    permit: &Permit,
) -> Result<Looked> {
    if !question.types.is_empty() {
        return Err(refused(
            "types is set, but PostgreSQL declares its own types",
            "remove it, and cast in the sql",
        ));
    }
    let sql = bare(&question.sql).to_owned();
    let types: Vec<Type> = question.arguments.iter().map(|one| declared(one.kind)).collect();
    let account = catalogue::account(turn, permit).await?;
    let prepared = turn.prepare(permit, &sql, &types, Some(&sql)).await?;
    if prepared.columns().is_empty() {
        return Err(refused("the sql is no SELECT", "write one SELECT"));
    }
    if prepared.params().len() != types.len() {
        return Err(refused(
            format!(
                "the sql takes {} arguments, and {} are declared",
                prepared.params().len(),
                types.len()
            ),
            "declare one argument for each of $1, $2, …",
        ));
    }
    let columns = prepared.columns();
    if question.zone.is_some() {
        for one in columns {
            comparison::output(one.name(), one.type_())?;
        }
    }
    let given: Vec<&str> = columns.iter().map(WireColumn::name).collect();
    let places = question.order_places(&given)?;
    let described = catalogue::describe(turn, permit, columns).await?;
    let shape = Shape::of(&sql);
    let relations = catalogue::relations(turn, permit, &shape.relations).await?;
    check::privileges(session, &account, &relations)?;
    comparison::check(turn, permit, question, &sql, &types, &relations).await?;
    let ordered: Vec<&WireColumn> = places.iter().filter_map(|place| columns.get(*place)).collect();
    let missing_indexes = index::of_question(
        turn,
        permit,
        (&sql, types.len()),
        &relations,
        (&question.order, &ordered),
    )
    .await?;
    let never_null = order::never_null(&sql, &described, &places);
    let keyset = Keyset {
        dialect: Dialect::Postgres,
        sql,
        select: columns
            .iter()
            .map(|one| match question.zone {
                Some(_) => cell::asked_in_zone(one.type_(), &column(one.name())),
                None => cell::asked(one.type_(), &column(one.name())),
            })
            .collect(),
        cursor: order::columns(columns, &places)?,
        only: None,
        own: types.len(),
        fence_zone: None,
    };
    let schema = RowSchema {
        name: question.name.clone(),
        version: 1,
        columns: columns
            .iter()
            .zip(&described)
            .map(|(one, (native, _))| Column {
                name: one.name().to_owned(),
                kind: catalogue::column_type(one.type_(), one.type_modifier(), native),
                nullable: true,
            })
            .collect(),
        key: Vec::new(),
        tombstone: None,
    };
    Ok(Looked {
        checked: Checked {
            schema,
            shape: check::shape(columns),
            wires: columns.iter().map(|one| Wire::of(one.type_()).0).collect(),
            cursor: places,
            keyset,
            guard: super::guard::Facts::default(),
            never_null,
            key_casts: Vec::new(),
            key: Vec::new(),
            key_repeated: None,
        },
        missing_indexes,
        types,
        statements: Mutex::default(),
    })
}

/// The type by which the server reads a value, whatever the SQL compares it with.
fn declared(kind: ArgumentKind) -> Type {
    match kind {
        ArgumentKind::Text => Type::TEXT,
        ArgumentKind::Integer => Type::INT8,
        ArgumentKind::Decimal => Type::NUMERIC,
        ArgumentKind::Date => Type::DATE,
        ArgumentKind::Timestamp => Type::TIMESTAMPTZ,
        ArgumentKind::Boolean => Type::BOOL,
    }
}

impl PostgresQuestion {
    async fn statement(&self, turn: &mut Turn<'_>, permit: &Permit, behind: bool) -> Result<Statement> {
        if turn.live()?.generation != self.generation {
            return Err(Error::new(
                ErrorKind::Unreachable,
                "the session in which the question was asked is gone",
                "it is asked again",
            ));
        }
        let kept = |looked: &Looked| {
            let statements = looked.statements.lock().unwrap_or_else(PoisonError::into_inner);
            statements.get(&behind).cloned()
        };
        if let Some(statement) = kept(&self.looked) {
            return Ok(statement);
        }
        let keyset = &self.looked.checked.keyset;
        let more = if behind { keyset.cursor.len() } else { 0 } + 1;
        let mut types = self.looked.types.clone();
        types.extend(std::iter::repeat_n(Type::TEXT, more));
        let sql = keyset.read(behind, crate::keyset::Bound::None);
        let statement = turn.prepare(permit, &sql, &types, None).await?;
        let mut statements = self
            .looked
            .statements
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        statements.insert(behind, statement.clone());
        Ok(statement)
    }

    async fn quantum(
        &mut self,
        after: Option<&Cursor>,
        limit: usize,
        permit: &Permit,
        rows: &mut dyn RowSink,
    ) -> Result<(u64, End)> {
        let looked = Arc::clone(&self.looked);
        let checked = &looked.checked;
        if after.is_some_and(|after| after.0.is_empty() || after.0.len() != checked.cursor.len()) {
            return Err(refused(
                "the place to go on from has another number of columns than the question's order",
                "ask from the beginning",
            ));
        }
        let session = Arc::clone(&self.session);
        let mut turn = session.turn(permit).await?;
        turn.enter_zone(permit, self.question.zone.as_deref()).await?;
        let statement = self.statement(&mut turn, permit, after.is_some()).await?;
        let mut values: Vec<Given> = self
            .question
            .arguments
            .iter()
            .map(|one| Given(one.value.as_ref().map(text)))
            .collect();
        if after.is_some() && !self.never_null {
            order::no_nulls(&mut turn, permit, &checked.keyset, &values, &self.looked.types).await?;
            self.never_null = true;
        }
        values.extend(
            after
                .iter()
                .flat_map(|after| &after.0)
                .map(|value| Given(Some(text(value)))),
        );
        values.push(Given(Some(limit.saturating_add(1).to_string())));
        quantum::run(&session, turn, &statement, values, checked, limit, permit, rows).await
    }
}

#[async_trait]
impl QuestionReader for PostgresQuestion {
    fn schema(&self) -> &RowSchema {
        &self.looked.checked.schema
    }

    fn missing_indexes(&self) -> &[MissingIndex] {
        &self.looked.missing_indexes
    }

    async fn read(
        &mut self,
        after: Option<&Cursor>,
        limit: usize,
        permit: &Permit,
        rows: &mut dyn RowSink,
    ) -> Result<Quantum> {
        let began = Instant::now();
        let (rows, end) = match self.quantum(after, limit.max(1), permit, rows).await {
            Err(error) if error.kind == ErrorKind::Revoked => (0, End::Revoked),
            Err(error) => {
                // Whatever it was, it is looked up anew: columns and rights may have changed.
                self.known.forget(&self.looked);
                return Err(self.question.without_values(error).at(&self.question.place()));
            }
            Ok(read) => read,
        };
        Ok(Quantum {
            rows,
            end,
            took: began.elapsed(),
        })
    }
}
