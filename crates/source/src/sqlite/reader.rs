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
use schemas::source::SourceMark;

use super::check::{Checked, Opened};
use super::head::Head;
use super::key::Proof;
use super::order::{self, Search};
use super::quantum::{self, Counted};
use super::sender::{Asked, scalar};
use super::worker::{HeadSlot, Worker};
use super::{failure, numbers};
use crate::backwards::{Greatest, beyond};
use crate::cursor_form::CursorForm;
use crate::error::{Error, ErrorKind, Result};
use crate::evidence::Evidence;
use crate::feed::FeedDefinition;
use crate::fence::{Fence, HighWater};
use crate::identity::counter;
use crate::key_proof::Proofs;
use crate::keyset::Bound;
use crate::missing_index::MissingIndex;
use crate::port::{End, FeedReader, FenceReading, Quantum, RowSink, Standing};
use crate::upkeep::Upkeep;

/// One feed.
pub(super) struct SqliteReader {
    pub(super) worker: Arc<Worker>,
    pub(super) feed: FeedDefinition,
    pub(super) checked: Arc<Checked>,
    water: HighWater,
    pub(super) began: Instant,
    /// The first cursor column's form; none: there is no row yet.
    pub(super) form: Option<CursorForm>,
    pub(super) zone: TimeZone,
    pub(super) search: Search,
    pub(super) proof: Proof,
    pub(super) proofs: Arc<Proofs<Owned>>,
    pub(super) upkeep: Upkeep,
    pub(super) evidence: Evidence,
    standings: Vec<Standing>,
}

impl SqliteReader {
    pub(super) fn new(
        worker: Arc<Worker>,
        proofs: Arc<Proofs<Owned>>,
        feed: &FeedDefinition,
        opened: Opened,
    ) -> Result<Self> {
        let mut reader = Self {
            worker,
            feed: feed.clone(),
            water: HighWater::by_lag(feed.lag),
            began: Instant::now(),
            form: opened.form,
            zone: order::zone(feed)?,
            search: opened.search,
            proof: opened.proof,
            proofs,
            upkeep: Upkeep::of_opened(opened.checked.never_null),
            evidence: Evidence::default(),
            standings: Vec::new(),
            checked: Arc::new(opened.checked),
        };
        reader.show_search();
        reader.show_proof();
        Ok(reader)
    }

    /// Finds the first cursor column's form, when there are rows.
    pub(super) async fn find_form(&mut self, permit: &Permit) -> Result<()> {
        if self.form.is_some() {
            return Ok(());
        }
        let (feed, checked) = (self.feed.clone(), Arc::clone(&self.checked));
        let look = self.worker.run(permit, move |connection, _| {
            order::form(connection, &feed, &checked, Timestamp::now())
        });
        self.form = look.await?;
        if let Some(form) = &self.form {
            Arc::make_mut(&mut self.checked).keep_to(form);
        }
        Ok(())
    }

    async fn look(&self, permit: &Permit) -> Result<Look> {
        // A row ahead of the clock must not become the position: others would be written behind it.
        let form = self.form.as_ref();
        let bound = form.and_then(|form| order::greatest(form, &self.zone, Timestamp::now(), Duration::ZERO));
        let wanted = Wanted {
            sql: self.checked.keyset.highest(bound.as_ref().map(|_| "?1")),
            bound,
            numbered_by: self.checked.numbered_by.clone(),
            positions: self.standings.iter().map(|one| one.position.clone()).collect(),
            head: self.worker.head(),
        };
        self.worker
            .run(permit, move |connection, _| look(connection, wanted))
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
        let (bound, upper) = Bound::of(fence);
        let mut values: Vec<Scalar> = after.iter().flat_map(|after| after.0.iter().cloned()).collect();
        if after.is_some_and(|after| after.0.len() != self.checked.cursor.len()) {
            return Err(Error::new(
                ErrorKind::Refused,
                "the cursor to go on from has another number of columns than the feed's",
                "open a new epoch with `slacktide feed rewind`",
            ));
        }
        values.extend(upper.cloned());
        values.push(Scalar::Int(
            i64::try_from(limit).unwrap_or(i64::MAX - 1).saturating_add(1),
        ));
        let asked = Asked {
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

    fn stands_at(&mut self, standings: Vec<Standing>) {
        self.standings = standings;
    }

    async fn fence(&mut self, permit: &Permit) -> Result<FenceReading> {
        let now = self.began.elapsed();
        let looked = match self.find_form(permit).await {
            Ok(()) => self.look(permit).await,
            Err(error) => Err(error),
        };
        let look = looked.map_err(|error| error.at(&format!("feed {}", self.feed.name)))?;
        let source = SourceMark {
            system: self.worker.file().map(|file| file.fingerprint()),
            written: Some(look.written),
            ..SourceMark::default()
        };
        self.judge_source(&source);
        let (is_empty, has_news) = (look.high.is_none(), self.water.is_new(look.high.as_ref()));
        let fence = self.water.take(look.high, now, &[]).map(Fence::UpTo);
        Ok(FenceReading {
            has_news,
            beyond: look.beyond,
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
            self.keep_up(permit).await.map_err(|error| error.at(&place))?;
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
        let searches = self.form.is_some() && self.checked.keyset.only.is_some() && !self.search.is_over;
        searches || self.proof.is_reading()
    }

    fn missing_indexes(&self) -> &[MissingIndex] {
        &self.checked.missing_indexes
    }

    async fn examine(&mut self, permit: &Permit) -> Result<bool> {
        let ran = self.keep_up(permit).await;
        ran.map_err(|error| error.at(&format!("feed {}", self.feed.name)))
    }
}

/// What a look showed.
struct Look {
    /// The greatest value of the first cursor column that is not ahead of the clock.
    high: Option<Scalar>,
    /// Positions beyond everything that the source holds.
    beyond: Vec<Cursor>,
    written: Cursor,
}

/// What to look at.
struct Wanted {
    sql: String,
    bound: Option<Scalar>,
    numbered_by: Option<String>,
    positions: Vec<Cursor>,
    head: HeadSlot,
}

fn look(connection: &Connection, wanted: Wanted) -> Result<Look> {
    let given_out = match &wanted.numbered_by {
        Some(table) => numbers::given_out(connection, table)?,
        None => None,
    };
    let judge = |high: Option<&Scalar>| {
        let greatest = Greatest {
            value: high,
            given_out,
            with_texts: true,
        };
        beyond(&wanted.positions, greatest)
    };
    let high = highest(connection, &wanted.sql, wanted.bound.clone())?;
    let mut beyond = judge(high.as_ref());
    // The clock that bounds it may be behind, so rows up to the position count, too.
    if let (Some(bound), Some(most)) = (wanted.bound, beyond.iter().filter_map(|one| one.0.first()).max())
        && is_above(most, &bound)
    {
        let high = highest(connection, &wanted.sql, Some(most.clone()))?;
        beyond = judge(high.as_ref());
    }
    Ok(Look {
        high,
        beyond,
        written: written(connection, &wanted.head)?,
    })
}

/// Whether a position is above a bound of the same form.
fn is_above(position: &Scalar, bound: &Scalar) -> bool {
    match (position, bound) {
        (Scalar::Int(position), Scalar::Int(bound)) => position > bound,
        (Scalar::Text(position), Scalar::Text(bound)) => position > bound,
        _ => false,
    }
}

/// Counters that an older copy has lower: of changes of the schema, which VACUUM counts, too; and of commits, where the file
/// has them ([`super::head`]).
fn written(connection: &Connection, head: &HeadSlot) -> Result<Cursor> {
    let fail = |error: rusqlite::Error| failure::of(&error);
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
    let fail = |error: rusqlite::Error| failure::of(&error);
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
