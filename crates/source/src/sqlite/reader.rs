//! One feed: its fence and its quanta.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use gate::permit::Permit;
use rusqlite::Connection;

use schemas::column::RowSchema;
use schemas::cursor::{Cursor, Scalar};

use super::check::{self, Checked};
use super::failure;
use super::quantum::{self, Counted};
use super::sender::{Asked, scalar};
use super::worker::Worker;
use crate::error::{Error, ErrorKind, Result};
use crate::feed::FeedDefinition;
use crate::fence::{Fence, HighWater};
use crate::keyset::Bound;
use crate::nulls;
use crate::port::{End, FeedReader, FenceReading, Quantum, RowSink};

/// One feed.
pub(super) struct SqliteReader {
    worker: Arc<Worker>,
    feed: FeedDefinition,
    checked: Arc<Checked>,
    water: HighWater,
    began: Instant,
    nulls_looked: Instant,
}

impl SqliteReader {
    pub(super) fn new(worker: Arc<Worker>, feed: &FeedDefinition, checked: Checked) -> Self {
        let now = Instant::now();
        let water = HighWater::by_lag(feed.lag);
        Self {
            worker,
            feed: feed.clone(),
            checked: Arc::new(checked),
            water,
            began: now,
            nulls_looked: now,
        }
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

    async fn look_for_nulls(&mut self, permit: &Permit) -> Result<()> {
        if self.checked.never_null || self.nulls_looked.elapsed() < nulls::EVERY {
            return Ok(());
        }
        self.nulls_looked = Instant::now();
        let (feed, checked) = (self.feed.clone(), Arc::clone(&self.checked));
        self.worker
            .run(permit, move |connection, _| {
                check::no_nulls(connection, &feed, &checked.keyset)
            })
            .await
    }
}

#[async_trait]
impl FeedReader for SqliteReader {
    fn schema(&self) -> &RowSchema {
        &self.checked.schema
    }

    async fn fence(&mut self, permit: &Permit) -> Result<FenceReading> {
        let sql = self.checked.keyset.highest();
        let now = self.began.elapsed();
        let looked = self
            .worker
            .run(permit, move |connection, _| highest(connection, &sql))
            .await;
        let high = looked.map_err(|error| error.at(&format!("feed {}", self.feed.name)))?;
        Ok(FenceReading {
            fence: self.water.take(high, now, &[]).map(Fence::UpTo),
            held: None,
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
        let count = counted.count;
        if end == End::Drained {
            match self.look_for_nulls(permit).await {
                Err(error) if error.kind == ErrorKind::Refused => return Err(error.at(&place)),
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

fn highest(connection: &Connection, sql: &str) -> Result<Option<Scalar>> {
    let fail = |error: rusqlite::Error| failure::of(&error);
    let mut statement = connection.prepare_cached(sql).map_err(fail)?;
    let mut rows = statement.query([]).map_err(fail)?;
    let Some(row) = rows.next().map_err(fail)? else {
        return Ok(None);
    };
    scalar(row.get_ref(0).map_err(fail)?).map(Some)
}
