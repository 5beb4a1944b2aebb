//! One request query.
//!
//! What was looked up for a query is cached while the session lives, so that thousands of requests of one kind cost one catalogue
//! lookup, and one statement each.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use gate::permit::Permit;
use schemas::column::{Column, RowSchema};
use schemas::cursor::Cursor;
use schemas::source::SourceIdentity;
use tokio_postgres::types::Type;
use tokio_postgres::{Column as WireColumn, Statement};

use super::catalogue;
use super::cell::{self, Wire};
use super::check;
use super::checked_feed::{self, CheckedFeed};
use super::comparison;
use super::index;
use super::quantum::{self, TextParameter, text};
use super::query_order as order;
use super::session::{Session, SessionGuard};
use super::source_mark::{self, MarkQuery};
use crate::error::{Error, ErrorKind, Result, refused};
use crate::keyset::{Dialect, Keyset, column, strip_semicolon};
use crate::missing_index::MissingIndex;
use crate::port::{End, Quantum, RequestQueryReader, RowSink};
use crate::request_query::{ArgumentKind, RequestQuery};
use crate::shape::Shape;

/// Cached queries, the most recent ones.
const REMEMBERED: usize = 64;

/// What was looked up for queries that differ only in their arguments' values.
#[derive(Debug, Default)]
pub(super) struct QueryCache(Mutex<VecDeque<(u64, String, Arc<PreparedQuery>)>>);

/// A query that was checked.
#[derive(Debug)]
struct PreparedQuery {
    checked: CheckedFeed,
    missing_indexes: Vec<MissingIndex>,
    types: Vec<Type>,
    /// Prepared statements: without and with a cursor.
    statements: Mutex<BTreeMap<bool, Statement>>,
}

impl QueryCache {
    fn find(&self, generation: u64, name: &str) -> Option<Arc<PreparedQuery>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(of, ..)| *of == generation);
        let found = known.iter().find(|(_, known, _)| known == name);
        found.map(|(.., prepared)| Arc::clone(prepared))
    }

    fn keep(&self, generation: u64, name: String, prepared: &Arc<PreparedQuery>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() == REMEMBERED {
            known.pop_front();
        }
        known.push_back((generation, name, Arc::clone(prepared)));
    }

    fn forget(&self, prepared: &Arc<PreparedQuery>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(.., one)| !Arc::ptr_eq(one, prepared));
    }
}

/// Returns the cache key: all of a query except its arguments' values.
fn name(query: &RequestQuery) -> String {
    let kinds: Vec<ArgumentKind> = query.arguments.iter().map(|one| one.kind).collect();
    format!(
        "{:?}",
        (
            &query.name,
            &query.sql,
            kinds,
            &query.order,
            &query.money,
            &query.types,
            &query.zone
        )
    )
}

/// One query whose answer is being read.
pub(super) struct PostgresRequestQuery {
    session: Arc<Session>,
    known: Arc<QueryCache>,
    query: RequestQuery,
    prepared: Arc<PreparedQuery>,
    generation: u64,
    /// Whether it is proven that every row is in the order.
    never_null: bool,
}

pub(super) async fn open(
    session: &Arc<Session>,
    known: &Arc<QueryCache>,
    query: &RequestQuery,
    permit: &Permit,
) -> Result<PostgresRequestQuery> {
    query.check()?;
    let opened = ready(session, known, query, permit).await;
    let (prepared, generation) = opened.map_err(|error| query.without_values(error).at(&query.place()))?;
    Ok(PostgresRequestQuery {
        session: Arc::clone(session),
        known: Arc::clone(known),
        query: query.clone(),
        never_null: prepared.checked.never_null,
        prepared,
        generation,
    })
}

async fn ready(
    session: &Session,
    known: &QueryCache,
    query: &RequestQuery,
    permit: &Permit,
) -> Result<(Arc<PreparedQuery>, u64)> {
    let mut locked = session.lock(permit).await?;
    let generation = locked.connection()?.generation;
    let name = name(query);
    if let Some(prepared) = known.find(generation, &name) {
        return Ok((prepared, generation));
    }
    locked.set_query_zone(permit, query.zone.as_deref()).await?;
    let prepared = Arc::new(look_up(session, &mut locked, query, permit).await?);
    known.keep(generation, name, &prepared);
    Ok((prepared, generation))
}

async fn look_up(
    session: &Session,
    locked: &mut SessionGuard<'_>,
    query: &RequestQuery,
    permit: &Permit,
) -> Result<PreparedQuery> {
    if !query.types.is_empty() {
        return Err(refused(
            "types is set, but PostgreSQL declares its own types",
            "remove it, and cast in the sql",
        ));
    }
    let sql = strip_semicolon(&query.sql).to_owned();
    let types: Vec<Type> = query.arguments.iter().map(|one| declared(one.kind)).collect();
    let account = catalogue::account(locked, permit).await?;
    let prepared = locked.prepare(permit, &sql, &types, Some(&sql)).await?;
    if prepared.columns().is_empty() {
        return Err(refused("the sql is not a SELECT", "write one SELECT"));
    }
    if prepared.params().len() != types.len() {
        return Err(refused(
            format!(
                "the sql has {} placeholders, and {} arguments are declared",
                prepared.params().len(),
                types.len()
            ),
            "declare one argument for each of $1, $2, …",
        ));
    }
    let columns = prepared.columns();
    if query.zone.is_some() {
        for one in columns {
            comparison::output(one.name(), one.type_())?;
        }
    }
    let given: Vec<&str> = columns.iter().map(WireColumn::name).collect();
    let places = query.order_indices(&given)?;
    let described = catalogue::describe(locked, permit, columns).await?;
    let shape = Shape::parse(&sql);
    let relations = catalogue::relations(locked, permit, &shape.relations).await?;
    check::privileges(session, &account, &relations)?;
    comparison::check(locked, permit, query, &sql, &types, &relations).await?;
    let ordered: Vec<&WireColumn> = places.iter().filter_map(|place| columns.get(*place)).collect();
    let missing_indexes = index::missing_for_query(
        locked,
        permit,
        (&sql, types.len()),
        &relations,
        (&query.order, &ordered),
    )
    .await?;
    let never_null = order::never_null(&sql, &described, &places);
    let keyset = Keyset {
        dialect: Dialect::Postgres,
        sql,
        select: columns
            .iter()
            .map(|one| cell::asked(one.type_(), &column(one.name())))
            .collect(),
        cursor: order::columns(columns, &places)?,
        only: None,
        own_parameters: types.len(),
        fence_zone: None,
    };
    let schema = RowSchema {
        name: query.name.clone(),
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
    Ok(PreparedQuery {
        checked: CheckedFeed {
            schema,
            shape: checked_feed::shape(columns),
            wires: columns.iter().map(|one| Wire::for_type(one.type_()).0).collect(),
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

/// Returns the type by which the server parses a value, independent of what the SQL compares it with.
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

impl PostgresRequestQuery {
    async fn statement(
        &self,
        locked: &mut SessionGuard<'_>,
        permit: &Permit,
        behind: bool,
    ) -> Result<Statement> {
        if locked.connection()?.generation != self.generation {
            return Err(Error::new(
                ErrorKind::Unreachable,
                "the session of the query was lost",
                "the query is run again",
            ));
        }
        let kept = |prepared: &PreparedQuery| {
            let statements = prepared.statements.lock().unwrap_or_else(PoisonError::into_inner);
            statements.get(&behind).cloned()
        };
        if let Some(statement) = kept(&self.prepared) {
            return Ok(statement);
        }
        let keyset = &self.prepared.checked.keyset;
        let more = if behind { keyset.cursor.len() } else { 0 } + 1;
        let mut types = self.prepared.types.clone();
        types.extend(std::iter::repeat_n(Type::TEXT, more));
        let sql = keyset.read(behind, crate::keyset::Bound::None);
        let statement = locked.prepare(permit, &sql, &types, None).await?;
        self.prepared.checked.check_wires(statement.columns())?;
        let mut statements = self
            .prepared
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
        let prepared = Arc::clone(&self.prepared);
        let checked = &prepared.checked;
        if after.is_some_and(|after| after.0.is_empty() || after.0.len() != checked.cursor.len()) {
            return Err(refused(
                "the cursor has another number of columns than the query's order",
                "read from the beginning",
            ));
        }
        let session = Arc::clone(&self.session);
        let mut locked = session.lock(permit).await?;
        locked.set_query_zone(permit, self.query.zone.as_deref()).await?;
        let statement = self.statement(&mut locked, permit, after.is_some()).await?;
        let mut values: Vec<TextParameter> = self
            .query
            .arguments
            .iter()
            .map(|one| TextParameter(one.value.as_ref().map(text)))
            .collect();
        if after.is_some() && !self.never_null {
            order::no_nulls(
                &mut locked,
                permit,
                &checked.keyset,
                &values,
                &self.prepared.types,
            )
            .await?;
            self.never_null = true;
        }
        values.extend(
            after
                .iter()
                .flat_map(|after| &after.0)
                .map(|value| TextParameter(Some(text(value)))),
        );
        values.push(TextParameter(Some(limit.saturating_add(1).to_string())));
        quantum::run(&session, locked, &statement, values, checked, limit, permit, rows).await
    }
}

#[async_trait]
impl RequestQueryReader for PostgresRequestQuery {
    fn schema(&self) -> &RowSchema {
        &self.prepared.checked.schema
    }

    async fn identify(&mut self, permit: &Permit) -> Result<SourceIdentity> {
        let now = Instant::now();
        let asked = MarkQuery {
            log_after: Some(now),
            tables: &[],
            tables_after: now,
        };
        let session = Arc::clone(&self.session);
        let mut locked = session.lock(permit).await?;
        let identity = source_mark::ask(&mut locked, permit, &asked).await;
        identity.map_err(|error| error.at(&self.query.place()))
    }

    fn missing_indexes(&self) -> &[MissingIndex] {
        &self.prepared.missing_indexes
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
                // It is looked up again after any error: columns and privileges may have changed.
                self.known.forget(&self.prepared);
                return Err(self.query.without_values(error).at(&self.query.place()));
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
