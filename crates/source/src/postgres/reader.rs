//! One feed: its fence and its quanta.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use gate::permit::Permit;
use tokio_postgres::Statement;
use tokio_postgres::types::Type;

use schemas::column::{ColumnType, RowSchema};
use schemas::cursor::{Cursor, Scalar};

use super::activity;
use super::check::{self, Checked};
use super::failure;
use super::guard::{Clock, Guard};
use super::quantum::{self, Given, text};
use super::session::{Session, Turn};
use crate::error::{Error, ErrorKind, Result};
use crate::feed::{CursorSetBy, FeedDefinition};
use crate::fence::{Fence, HighWater, TimeFence};
use crate::keyset::{Bound, bare};
use crate::nulls;
use crate::port::{End, FeedReader, FenceReading, Quantum, RowSink, Standing};

/// One feed.
pub(super) struct PostgresReader {
    session: Arc<Session>,
    feed: FeedDefinition,
    checked: Checked,
    rule: Rule,
    guard: Guard,
    began: Instant,
    nulls_looked: Instant,
    statements: BTreeMap<(bool, Bound), (u64, Statement)>,
}

enum Rule {
    Time(TimeFence),
    Sequence(HighWater),
    Lag(HighWater),
}

impl PostgresReader {
    pub(super) fn new(
        session: Arc<Session>,
        feed: &FeedDefinition,
        checked: Checked,
        clock: Arc<Clock>,
    ) -> Self {
        let rule = match feed.cursor_set_by {
            CursorSetBy::Transaction | CursorSetBy::Statement => {
                Rule::Time(TimeFence::new(feed.lag, checked.resolution))
            }
            CursorSetBy::Sequence => Rule::Sequence(HighWater::by_transactions()),
            CursorSetBy::Application => Rule::Lag(HighWater::by_lag(feed.lag)),
        };
        let guard = Guard::new(checked.guard.clone(), clock, checked.resolution);
        let now = Instant::now();
        let statements = BTreeMap::new();
        Self {
            session,
            feed: feed.clone(),
            checked,
            rule,
            guard,
            began: now,
            nulls_looked: now,
            statements,
        }
    }

    fn place(&self) -> String {
        format!("feed {}", self.feed.name)
    }

    async fn look(&mut self, permit: &Permit) -> Result<FenceReading> {
        let now = self.began.elapsed();
        let session = Arc::clone(&self.session);
        let roles = &session.config.read_only_roles;
        let mut turn = session.turn(permit).await?;
        let mut reading = match &mut self.rule {
            Rule::Time(fence) => {
                let began = self.guard.steady();
                let look = activity::look(&mut turn, permit, roles).await?;
                let reading = fence.take(&look);
                let (clock, again) = self.guard.clock(look.at, began, reading.below);
                let below = clock
                    .below
                    .map(|below| Fence::Below(Scalar::Text(below.to_string())));
                FenceReading {
                    fence: below,
                    held: reading.held,
                    clock: clock.trouble,
                    again,
                    ..FenceReading::default()
                }
            }
            Rule::Sequence(water) => {
                let high = highest(&mut turn, permit, &self.checked).await?;
                let look = activity::look(&mut turn, permit, roles).await?;
                let beyond = self.guard.beyond(&mut turn, permit, high.as_ref()).await?;
                let upto = water.take(high, now, &look.open).map(Fence::UpTo);
                FenceReading {
                    fence: upto,
                    held: water.held(&look.open, look.at, self.feed.lag),
                    beyond,
                    ..FenceReading::default()
                }
            }
            Rule::Lag(water) => {
                let high = highest(&mut turn, permit, &self.checked).await?;
                let beyond = self.guard.beyond(&mut turn, permit, high.as_ref()).await?;
                FenceReading {
                    fence: water.take(high, now, &[]).map(Fence::UpTo),
                    beyond,
                    ..FenceReading::default()
                }
            }
        };
        reading.source = self.guard.identify(&mut turn, permit).await?;
        Ok(reading)
    }

    /// Whether the feed still has the columns that it was opened with. Asked after the fence is taken: a row
    /// within the fence was committed before, so no row of new columns is read under the old ones.
    async fn same_columns(&mut self, permit: &Permit) -> Result<()> {
        let mut turn = self.session.turn(permit).await?;
        let sql = bare(&self.feed.sql);
        let now = turn.prepare(permit, sql, &[], Some(sql)).await?;
        if check::shape(now.columns()) == self.checked.shape {
            Ok(())
        } else {
            Err(failure::changed())
        }
    }

    async fn statement(
        &mut self,
        turn: &mut Turn<'_>,
        permit: &Permit,
        behind: bool,
        bound: Bound,
    ) -> Result<Statement> {
        let generation = turn.live()?.generation;
        if let Some((of, statement)) = self.statements.get(&(behind, bound))
            && *of == generation
        {
            return Ok(statement.clone());
        }
        let cursor = if behind { self.checked.cursor.len() } else { 0 };
        let types = vec![Type::TEXT; cursor + usize::from(bound != Bound::None) + 1];
        let sql = self.checked.keyset.read(behind, bound);
        let statement = turn.prepare(permit, &sql, &types, None).await?;
        self.statements
            .insert((behind, bound), (generation, statement.clone()));
        Ok(statement)
    }

    async fn quantum(
        &mut self,
        after: Option<&Cursor>,
        fence: &Fence,
        limit: usize,
        permit: &Permit,
        rows: &mut dyn RowSink,
    ) -> Result<(u64, End)> {
        let session = Arc::clone(&self.session);
        let mut turn = session.turn(permit).await?;
        self.guard.admit(&turn)?;
        let (bound, upper) = Bound::of(fence);
        let statement = self.statement(&mut turn, permit, after.is_some(), bound).await?;
        let mut values: Vec<String> = after.iter().flat_map(|after| &after.0).map(text).collect();
        values.extend(upper.map(text));
        values.push(limit.saturating_add(1).to_string());
        if values.len() != statement.params().len() {
            return Err(Error::new(
                ErrorKind::Refused,
                "the cursor to go on from has another number of columns than the feed's",
                "open a new epoch with `slacktide feed rewind`",
            ));
        }
        let values: Vec<Given> = values.into_iter().map(|value| Given(Some(value))).collect();
        quantum::run(
            &session,
            turn,
            &statement,
            values,
            &self.checked,
            limit,
            permit,
            rows,
        )
        .await
    }

    async fn look_for_nulls(&mut self, permit: &Permit) -> Result<()> {
        if self.checked.never_null || self.nulls_looked.elapsed() < nulls::EVERY {
            return Ok(());
        }
        self.nulls_looked = Instant::now();
        let mut turn = self.session.turn(permit).await?;
        check::no_nulls(&mut turn, permit, &self.feed, &self.checked.keyset).await
    }
}

#[async_trait]
impl FeedReader for PostgresReader {
    fn schema(&self) -> &RowSchema {
        &self.checked.schema
    }

    fn stands_at(&mut self, standings: Vec<Standing>) {
        self.guard.stands_at(standings);
    }

    async fn fence(&mut self, permit: &Permit) -> Result<FenceReading> {
        let reading = match self.look(permit).await {
            Ok(reading) => self.same_columns(permit).await.map(|()| reading),
            failed => failed,
        };
        reading.map_err(|error| error.at(&self.place()))
    }

    async fn read(
        &mut self,
        after: Option<&Cursor>,
        fence: &Fence,
        limit: usize,
        permit: &Permit,
        rows: &mut dyn RowSink,
    ) -> Result<Quantum> {
        let began = Instant::now();
        let (count, end) = match self.quantum(after, fence, limit.max(1), permit, rows).await {
            Err(error) if error.kind == ErrorKind::Revoked => (0, End::Revoked),
            other => other.map_err(|error| error.at(&self.place()))?,
        };
        if end == End::Drained {
            match self.look_for_nulls(permit).await {
                Err(error) if error.kind == ErrorKind::Refused => return Err(error.at(&self.place())),
                _ => {}
            }
        }
        Ok(Quantum {
            rows: count,
            end,
            took: began.elapsed(),
        })
    }
}

async fn highest(turn: &mut Turn<'_>, permit: &Permit, checked: &Checked) -> Result<Option<Scalar>> {
    let rows = turn.query(permit, &checked.keyset.highest(), &[]).await?;
    let Some(value) = rows.first().and_then(|row| row.try_get::<_, String>(0).ok()) else {
        return Ok(None);
    };
    let first = checked
        .cursor
        .first()
        .and_then(|place| checked.schema.columns.get(*place));
    let number =
        first.is_some_and(|one| matches!(one.kind, ColumnType::Int2 | ColumnType::Int4 | ColumnType::Int8));
    Ok(Some(match value.parse() {
        Ok(parsed) if number => Scalar::Int(parsed),
        _ => Scalar::Text(value),
    }))
}
