//! One feed: its fence and its quanta.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use gate::permit::Permit;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rusqlite::types::Value as Owned;
use rusqlite::{Connection, params_from_iter};

use schemas::column::RowSchema;
use schemas::cursor::{Cursor, Scalar};
use schemas::source::SourceIdentity;

use super::check::OpenedFeed;
use super::checked_feed::CheckedFeed;
use super::head::Head;
use super::key::Proof;
use super::order::{self, Search};
use super::quantum::{self, Counted};
use super::sender::{BoundStatement, scalar};
use super::worker::{HeadSlot, Worker};
use super::{failure, row_numbers};
use crate::check_schedule::CheckSchedule;
use crate::cursor_format::CursorFormat;
use crate::error::{Error, ErrorKind, Result};
use crate::evidence::Evidence;
use crate::feed::FeedDefinition;
use crate::fence::{Fence, HighWaterMark};
use crate::identity::counter;
use crate::key_proof::Proofs;
use crate::keyset::Bound;
use crate::missing_index::MissingIndex;
use crate::port::{End, FeedReader, FenceReading, LanePosition, Quantum, RowSink};
use crate::position_check::{GreatestValue, above, beyond};

/// One feed.
pub(super) struct SqliteReader {
    pub(super) worker: Arc<Worker>,
    pub(super) feed: FeedDefinition,
    pub(super) checked: Arc<CheckedFeed>,
    mark: HighWaterMark,
    pub(super) began: Instant,
    /// The first cursor column's format, or `None` if there is no row yet.
    pub(super) format: Option<CursorFormat>,
    pub(super) zone: TimeZone,
    pub(super) search: Search,
    pub(super) proof: Proof,
    pub(super) proofs: Arc<Proofs<Owned>>,
    pub(super) schedule: CheckSchedule,
    pub(super) evidence: Evidence,
    lane_positions: Vec<LanePosition>,
}

impl SqliteReader {
    pub(super) fn new(
        worker: Arc<Worker>,
        proofs: Arc<Proofs<Owned>>,
        feed: &FeedDefinition,
        opened: OpenedFeed,
    ) -> Result<Self> {
        let mut reader = Self {
            worker,
            feed: feed.clone(),
            mark: HighWaterMark::by_lag(feed.lag),
            began: Instant::now(),
            format: opened.format,
            zone: order::zone(feed)?,
            search: opened.search,
            proof: opened.proof,
            proofs,
            schedule: CheckSchedule::for_opened_feed(opened.checked.never_null),
            evidence: Evidence::default(),
            lane_positions: Vec::new(),
            checked: Arc::new(opened.checked),
        };
        reader.show_search();
        reader.show_proof();
        Ok(reader)
    }

    /// Detects the first cursor column's format, when there are rows.
    pub(super) async fn find_format(&mut self, permit: &Permit) -> Result<()> {
        if self.format.is_some() {
            return Ok(());
        }
        let (feed, checked) = (self.feed.clone(), Arc::clone(&self.checked));
        let detection = self.worker.run(permit, move |connection, _| {
            order::detect_format(connection, &feed, &checked, Timestamp::now())
        });
        self.format = detection.await?;
        if let Some(format) = &self.format {
            Arc::make_mut(&mut self.checked).restrict_to(format);
        }
        Ok(())
    }

    async fn read_source(&self, permit: &Permit) -> Result<SourceReading> {
        // A row ahead of the clock must not become the position: later rows would be below it.
        let format = self.format.as_ref();
        let bound =
            format.and_then(|format| order::greatest(format, &self.zone, Timestamp::now(), Duration::ZERO));
        let wanted = ReadingRequest {
            sql: self.checked.keyset.highest(bound.as_ref().map(|_| "?1")),
            bound,
            numbered_by: self.checked.numbered_by.clone(),
            positions: self
                .lane_positions
                .iter()
                .map(|one| one.position.clone())
                .collect(),
            head: self.worker.head(),
        };
        self.worker
            .run(permit, move |connection, _| read_source(connection, wanted))
            .await
    }

    async fn quantum(
        &self,
        after: Option<&Cursor>,
        fence: &Fence,
        limit: usize,
        permit: &Permit,
        rows: &mut dyn RowSink,
    ) -> Result<End> {
        if permit.is_revoked() {
            return Err(Error::revoked());
        }
        let (bound, upper) = Bound::from_fence(fence);
        let mut values: Vec<Scalar> = after.iter().flat_map(|after| after.0.iter().cloned()).collect();
        if after.is_some_and(|after| after.0.len() != self.checked.cursor.len()) {
            return Err(Error::new(
                ErrorKind::Refused,
                "the cursor has another number of columns than the feed's",
                "open a new epoch with `slacktide feed rewind`",
            ));
        }
        values.extend(upper.cloned());
        values.push(Scalar::Int(
            i64::try_from(limit).unwrap_or(i64::MAX - 1).saturating_add(1),
        ));
        let asked = BoundStatement {
            sql: self.checked.keyset.read(after.is_some(), bound),
            named: Vec::new(),
            placed: values,
        };
        quantum::run(&self.worker, &self.checked, asked, limit, permit, rows).await
    }
}

#[async_trait]
impl FeedReader for SqliteReader {
    fn schema(&self) -> &RowSchema {
        &self.checked.schema
    }

    fn set_lane_positions(&mut self, lane_positions: Vec<LanePosition>) {
        self.lane_positions = lane_positions;
    }

    async fn fence(&mut self, permit: &Permit) -> Result<FenceReading> {
        let now = self.began.elapsed();
        let result = match self.find_format(permit).await {
            Ok(()) => self.read_source(permit).await,
            Err(error) => Err(error),
        };
        let reading = result.map_err(|error| error.at(&format!("feed {}", self.feed.name)))?;
        let source = SourceIdentity {
            system: self.worker.file().map(|file| file.fingerprint()),
            written: Some(reading.written),
            ..SourceIdentity::default()
        };
        self.observe_source(&source);
        let (is_empty, has_new_rows) = (reading.high.is_none(), self.mark.is_new(reading.high.as_ref()));
        let fence = self.mark.take(reading.high, now, &[]).map(Fence::UpTo);
        let positions: Vec<Cursor> = self
            .lane_positions
            .iter()
            .map(|one| one.position.clone())
            .collect();
        let greatest = match &fence {
            Some(Fence::UpTo(greatest)) => Some(greatest),
            _ => None,
        };
        Ok(FenceReading {
            has_new_rows,
            beyond: reading.beyond,
            above: above(&positions, greatest),
            source,
            is_empty: is_empty && fence.is_none(),
            fence,
            ..FenceReading::default()
        })
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
        let place = format!("feed {}", self.feed.name);
        let mut counted = Counted::new(rows);
        let end = match self
            .quantum(after, fence, limit.max(1), permit, &mut counted)
            .await
        {
            Err(error) if error.kind == ErrorKind::Revoked => End::Revoked,
            other => other.map_err(|error| error.at(&place))?,
        };
        let (count, took) = (counted.count, began.elapsed());
        if end == End::Drained {
            self.run_due_check(permit)
                .await
                .map_err(|error| error.at(&place))?;
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
        self.worker.spent()
    }

    fn is_proving(&self) -> bool {
        let searches =
            self.format.is_some() && self.checked.keyset.only.is_some() && !self.search.is_complete;
        searches || self.proof.is_reading()
    }

    fn missing_indexes(&self) -> &[MissingIndex] {
        &self.checked.missing_indexes
    }

    async fn run_next_check(&mut self, permit: &Permit) -> Result<bool> {
        let ran = self.run_due_check(permit).await;
        ran.map_err(|error| error.at(&format!("feed {}", self.feed.name)))
    }
}

/// What was read of the source before a fence.
struct SourceReading {
    /// The greatest value of the first cursor column that is not ahead of the clock.
    high: Option<Scalar>,
    /// Positions above everything in the source.
    beyond: Vec<Cursor>,
    written: Cursor,
}

/// What to read before a fence.
struct ReadingRequest {
    sql: String,
    bound: Option<Scalar>,
    numbered_by: Option<String>,
    positions: Vec<Cursor>,
    head: HeadSlot,
}

fn read_source(connection: &Connection, wanted: ReadingRequest) -> Result<SourceReading> {
    let last_assigned = match &wanted.numbered_by {
        Some(table) => row_numbers::last_assigned(connection, table)?,
        None => None,
    };
    let evaluate = |high: Option<&Scalar>| {
        let greatest = GreatestValue {
            value: high,
            last_assigned,
            with_texts: true,
        };
        beyond(&wanted.positions, greatest)
    };
    let high = highest(connection, &wanted.sql, wanted.bound.clone())?;
    let mut beyond = evaluate(high.as_ref());
    // The clock that bounds it may be behind, so rows up to the position count as well.
    if let (Some(bound), Some(most)) = (wanted.bound, beyond.iter().filter_map(|one| one.0.first()).max())
        && is_above(most, &bound)
    {
        let high = highest(connection, &wanted.sql, Some(most.clone()))?;
        beyond = evaluate(high.as_ref());
    }
    Ok(SourceReading {
        high,
        beyond,
        written: written(connection, &wanted.head)?,
    })
}

fn is_above(position: &Scalar, bound: &Scalar) -> bool {
    match (position, bound) {
        (Scalar::Int(position), Scalar::Int(bound)) => position > bound,
        (Scalar::Text(position), Scalar::Text(bound)) => position > bound,
        _ => false,
    }
}

/// Reads counters that are lower in an older copy: of schema changes, which VACUUM increments, and of commits, if the file has them
/// ([`super::head`]).
pub(super) fn written(connection: &Connection, head: &HeadSlot) -> Result<Cursor> {
    let fail = |error: rusqlite::Error| failure::classify(&error);
    let mut statement = connection.prepare_cached("PRAGMA schema_version").map_err(fail)?;
    let mut rows = statement.query([]).map_err(fail)?;
    let mut counters = Vec::new();
    // The statement holds the file until it is reset.
    if let Some(row) = rows.next().map_err(fail)? {
        counters.push(Scalar::Int(row.get(0).map_err(fail)?));
        let head = head.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = head.as_ref().and_then(Head::changes);
        counters.extend(changes.map(counter));
    }
    Ok(Cursor(counters))
}

fn highest(connection: &Connection, sql: &str, bound: Option<Scalar>) -> Result<Option<Scalar>> {
    let fail = |error: rusqlite::Error| failure::classify(&error);
    let mut statement = connection.prepare_cached(sql).map_err(fail)?;
    let bound = bound.map(|bound| match bound {
        Scalar::Int(number) => Owned::Integer(number),
        Scalar::Text(text) => Owned::Text(text),
    });
    let mut rows = statement.query(params_from_iter(bound)).map_err(fail)?;
    let Some(row) = rows.next().map_err(fail)? else {
        return Ok(None);
    };
    scalar(row.get_ref(0).map_err(fail)?).map(Some)
}
