//! One feed: its fence and its quanta.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use gate::permit::Permit;
use tokio_postgres::Statement;
use tokio_postgres::types::Type;

use schemas::column::{ColumnType, RowSchema};
use schemas::cursor::{Cursor, Scalar};

use super::activity;
use super::check::OpenedFeed;
use super::checked_feed::{self, CheckedFeed};
use super::failure;
use super::guard::{FeedClock, Guard};
use super::key::Proof;
use super::order::Placement;
use super::quantum::{self, TextParameter, text};
use super::session::{Session, SessionGuard};
use crate::check_schedule::CheckSchedule;
use crate::error::{Error, ErrorKind, Result};
use crate::evidence::Evidence;
use crate::feed::{CursorSetBy, FeedDefinition};
use crate::fence::{Fence, HighWaterMark, TimeFence};
use crate::key_proof::Proofs;
use crate::keyset::{Bound, strip_semicolon};
use crate::meter::Meter;
use crate::missing_index::MissingIndex;
use crate::port::{End, FeedReader, FenceReading, LanePosition, Quantum, RowSink};

/// One feed.
pub(super) struct PostgresReader {
    pub(super) session: Arc<Session>,
    pub(super) feed: FeedDefinition,
    pub(super) checked: CheckedFeed,
    rule: Rule,
    guard: Guard,
    pub(super) began: Instant,
    /// When the last snapshot of transactions that it used began. Initially when it was opened.
    observed: Instant,
    pub(super) meter: Meter,
    first: (Type, i32),
    pub(super) placement: Placement,
    /// The greatest value when the cursor was sampled last.
    placed_at: Option<Scalar>,
    pub(super) proof: Proof,
    pub(super) proofs: Arc<Proofs<String>>,
    pub(super) schedule: CheckSchedule,
    pub(super) evidence: Evidence,
    missing_index: Option<MissingIndex>,
    statements: BTreeMap<(bool, Bound), (u64, Statement)>,
}

enum Rule {
    Time(TimeFence),
    Sequence(HighWaterMark),
    Lag(HighWaterMark),
}

impl PostgresReader {
    pub(super) fn new(
        session: Arc<Session>,
        proofs: Arc<Proofs<String>>,
        feed: &FeedDefinition,
        opened: OpenedFeed,
        clock: Arc<FeedClock>,
    ) -> Self {
        let resolution = resolution(&opened.placement);
        let rule = match feed.cursor_set_by {
            CursorSetBy::Transaction | CursorSetBy::Statement => {
                Rule::Time(TimeFence::new(feed.lag, resolution))
            }
            CursorSetBy::Sequence => Rule::Sequence(HighWaterMark::by_transactions()),
            CursorSetBy::Application => Rule::Lag(HighWaterMark::by_lag(feed.lag)),
        };
        let guard = Guard::new(opened.checked.guard.clone(), clock, resolution);
        let mut reader = Self {
            session,
            feed: feed.clone(),
            schedule: CheckSchedule::for_opened_feed(opened.checked.never_null),
            checked: opened.checked,
            rule,
            guard,
            began: Instant::now(),
            observed: Instant::now(),
            meter: Meter::default(),
            first: opened.first,
            placement: opened.placement,
            placed_at: None,
            proof: opened.proof,
            proofs,
            evidence: Evidence::default(),
            missing_index: opened.missing_index,
            statements: BTreeMap::new(),
        };
        reader.show_placement();
        reader.show_proof();
        reader.show_account(opened.account_dependency);
        reader
    }

    fn named(&self) -> String {
        format!("feed {}", self.feed.name)
    }

    /// Samples the first cursor column again.
    pub(super) async fn place(&mut self, permit: &Permit) -> Result<()> {
        let session = Arc::clone(&self.session);
        let mut locked = session.lock(permit).await?.metered(&self.meter);
        let (kind, modifier) = (&self.first.0, self.first.1);
        let sequence = self.checked.guard.sequence.as_ref();
        self.placement =
            Placement::sample(&mut locked, permit, &self.feed, (kind, modifier), sequence).await?;
        if self.checked.keyset.only != self.placement.only {
            self.checked.keyset.only.clone_from(&self.placement.only);
            self.statements.clear();
        }
        if let Rule::Time(fence) = &mut self.rule {
            fence.round_to(resolution(&self.placement));
        }
        self.guard.round_to(resolution(&self.placement));
        Ok(())
    }

    async fn read_source(&mut self, permit: &Permit) -> Result<FenceReading> {
        let high = match self.rule {
            Rule::Lag(_) => self.highest_by_lag(permit).await?,
            _ => None,
        };
        // A row ahead of the sequence must not become the position: later rows would be below it.
        let bound = self.placement.greatest(Duration::ZERO);
        let now = self.began.elapsed();
        let session = Arc::clone(&self.session);
        let roles = &session.config.read_only_roles;
        let mut locked = session.lock(permit).await?.metered(&self.meter);
        let mut identified_after = None;
        let mut reading = match &mut self.rule {
            Rule::Time(fence) => {
                let activity = activity::observe_after(&mut locked, permit, roles, self.observed).await?;
                self.observed = activity.began;
                identified_after = Some(activity.ended);
                let reading = fence.take(&activity.seen);
                let (clock, reread_from) = self.guard.clock(&activity, reading.below);
                let above = clock
                    .below
                    .map_or_else(Vec::new, |below| self.guard.reached(below));
                let below = clock
                    .below
                    .map(|below| Fence::Below(Scalar::Text(below.to_string())));
                FenceReading {
                    fence: below,
                    above,
                    holder: reading.holder,
                    stalled_for: reading.stalled_for,
                    clock: clock.problem,
                    reread_from,
                    ..FenceReading::default()
                }
            }
            Rule::Sequence(mark) => {
                let high = highest(&mut locked, permit, &self.checked, bound.as_deref()).await?;
                let has_new_rows = mark.is_new(high.as_ref());
                // Not needed for a feed in which no maximum waits.
                let activity = if has_new_rows {
                    Some(activity::observe(&mut locked, permit, roles).await?)
                } else if mark.is_waiting() {
                    Some(activity::observe_after(&mut locked, permit, roles, self.observed).await?)
                } else {
                    None
                };
                let beyond = self.guard.beyond(&mut locked, permit, high.as_ref()).await?;
                let is_empty = high.is_none();
                let open = activity.as_ref().map_or(&[][..], |one| one.seen.open.as_slice());
                let upto = mark.take(high, now, open).map(Fence::UpTo);
                let holder = activity
                    .as_ref()
                    .and_then(|activity| mark.holder(open, activity.seen.at, self.feed.lag));
                if let Some(activity) = &activity {
                    self.observed = activity.began;
                    identified_after = Some(activity.ended);
                }
                FenceReading {
                    is_empty: is_empty && upto.is_none(),
                    above: self.guard.above(upto.as_ref()),
                    fence: upto,
                    stalled_for: holder.as_ref().map_or(Duration::ZERO, |_| mark.waited()),
                    holder,
                    beyond,
                    has_new_rows,
                    ..FenceReading::default()
                }
            }
            Rule::Lag(mark) => {
                let mut beyond = self.guard.beyond(&mut locked, permit, high.as_ref()).await?;
                // The clock that bounds it may be behind, so rows up to the position count as well.
                if let Some(bound) =
                    greatest_number(&beyond).and_then(|most| self.placement.greatest_or(most))
                {
                    let high = highest(&mut locked, permit, &self.checked, Some(&bound)).await?;
                    beyond = self.guard.beyond(&mut locked, permit, high.as_ref()).await?;
                }
                let (is_empty, has_new_rows) = (high.is_none(), mark.is_new(high.as_ref()));
                let fence = mark.take(high, now, &[]).map(Fence::UpTo);
                FenceReading {
                    has_new_rows,
                    is_empty: is_empty && fence.is_none(),
                    above: self.guard.above(fence.as_ref()),
                    fence,
                    beyond,
                    ..FenceReading::default()
                }
            }
        };
        reading.source = self.guard.identify(&mut locked, permit, identified_after).await?;
        drop(locked);
        self.observe_source(&reading.source);
        Ok(reading)
    }

    /// Returns the greatest value that is not ahead of the clock. In a feed with few rows each new one may reveal the cursor's format.
    async fn highest_by_lag(&mut self, permit: &Permit) -> Result<Option<Scalar>> {
        loop {
            let bound = self.placement.greatest(Duration::ZERO);
            let session = Arc::clone(&self.session);
            let mut locked = session.lock(permit).await?.metered(&self.meter);
            let high = highest(&mut locked, permit, &self.checked, bound.as_deref()).await?;
            drop(locked);
            if !self.placement.is_tentative() || high.is_none() || high == self.placed_at {
                return Ok(high);
            }
            self.placed_at = high;
            self.place(permit).await?;
        }
    }

    /// Checks that the feed still has the columns with which it was opened. Runs after the fence is taken: a row within the fence was
    /// committed before, so no row of new columns is read as the old ones.
    async fn same_columns(&mut self, permit: &Permit) -> Result<()> {
        let mut locked = self.session.lock(permit).await?.metered(&self.meter);
        let sql = strip_semicolon(&self.feed.sql);
        let now = locked.prepare(permit, sql, &[], Some(sql)).await?;
        if checked_feed::shape(now.columns()) == self.checked.shape {
            Ok(())
        } else {
            Err(failure::changed())
        }
    }

    async fn statement(
        &mut self,
        locked: &mut SessionGuard<'_>,
        permit: &Permit,
        behind: bool,
        bound: Bound,
    ) -> Result<Statement> {
        let generation = locked.connection()?.generation;
        if let Some((of, statement)) = self.statements.get(&(behind, bound))
            && *of == generation
        {
            return Ok(statement.clone());
        }
        let cursor = if behind { self.checked.cursor.len() } else { 0 };
        let types = vec![Type::TEXT; cursor + usize::from(bound != Bound::None) + 1];
        let sql = self.checked.keyset.read(behind, bound);
        let statement = locked.prepare(permit, &sql, &types, None).await?;
        self.checked.check_wires(statement.columns())?;
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
        let mut locked = session.lock(permit).await?.metered(&self.meter);
        self.guard.admit(&locked)?;
        let (bound, upper) = Bound::from_fence(fence);
        let statement = self
            .statement(&mut locked, permit, after.is_some(), bound)
            .await?;
        let mut values: Vec<String> = after.iter().flat_map(|after| &after.0).map(text).collect();
        values.extend(upper.map(text));
        values.push(limit.saturating_add(1).to_string());
        if values.len() != statement.params().len() {
            return Err(Error::new(
                ErrorKind::Refused,
                "the cursor has another number of columns than the feed's",
                "open a new epoch with `slacktide feed rewind`",
            ));
        }
        let values: Vec<TextParameter> = values
            .into_iter()
            .map(|value| TextParameter(Some(value)))
            .collect();
        quantum::run(
            &session,
            locked,
            &statement,
            values,
            &self.checked,
            limit,
            permit,
            rows,
        )
        .await
    }
}

#[async_trait]
impl FeedReader for PostgresReader {
    fn schema(&self) -> &RowSchema {
        &self.checked.schema
    }

    fn set_lane_positions(&mut self, lane_positions: Vec<LanePosition>) {
        self.guard.set_lane_positions(lane_positions);
    }

    async fn fence(&mut self, permit: &Permit) -> Result<FenceReading> {
        let reading = match self.read_source(permit).await {
            Ok(reading) => self.same_columns(permit).await.map(|()| reading),
            failed => failed,
        };
        reading.map_err(|error| error.at(&self.named()))
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
            other => other.map_err(|error| error.at(&self.named()))?,
        };
        let took = began.elapsed();
        if end == End::Drained {
            self.run_due_check(permit)
                .await
                .map_err(|error| error.at(&self.named()))?;
        }
        Ok(Quantum {
            rows: count,
            end,
            took,
        })
    }

    fn evidence(&self) -> Option<&Evidence> {
        Some(&self.evidence)
    }

    fn spent(&self) -> Duration {
        self.meter.total()
    }

    fn is_proving(&self) -> bool {
        self.proof.is_reading()
    }

    fn missing_indexes(&self) -> &[MissingIndex] {
        self.missing_index.as_slice()
    }

    async fn run_next_check(&mut self, permit: &Permit) -> Result<bool> {
        self.run_due_check(permit)
            .await
            .map_err(|error| error.at(&self.named()))
    }
}

/// Returns what a fence is rounded down to. The database truncates dates, and steps of hours depend on an unknown zone.
fn resolution(placement: &Placement) -> Duration {
    let step = placement.step.filter(|_| placement.is_an_instant());
    step.filter(|step| *step <= Duration::from_secs(60))
        .unwrap_or_default()
}

/// Returns the greatest number among the first values of positions.
fn greatest_number(positions: &[Cursor]) -> Option<i64> {
    let number = |position: &Cursor| match position.0.first()? {
        Scalar::Int(number) => Some(*number),
        Scalar::Text(_) => None,
    };
    positions.iter().filter_map(number).max()
}

async fn highest(
    locked: &mut SessionGuard<'_>,
    permit: &Permit,
    checked: &CheckedFeed,
    bound: Option<&str>,
) -> Result<Option<Scalar>> {
    let rows = locked.query(permit, &checked.keyset.highest(bound), &[]).await?;
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
