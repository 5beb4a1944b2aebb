//! One feed: its fence and its quanta.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use gate::permit::Permit;
use rusqlite::Connection;

use schemas::column::RowSchema;
use schemas::cursor::{Cursor, Scalar};
use schemas::source::SourceMark;

use super::check::{self, Checked};
use super::quantum::{self, Counted};
use super::sender::{Asked, scalar};
use super::worker::Worker;
use super::{failure, numbers};
use crate::backwards::{Greatest, beyond};
use crate::error::{Error, ErrorKind, Result};
use crate::feed::FeedDefinition;
use crate::fence::{Fence, HighWater};
use crate::keyset::Bound;
use crate::nulls;
use crate::port::{End, FeedReader, FenceReading, Quantum, RowSink, Standing};

/// One feed.
pub(super) struct SqliteReader {
    worker: Arc<Worker>,
    feed: FeedDefinition,
    checked: Arc<Checked>,
    water: HighWater,
    began: Instant,
    nulls_looked: Instant,
    standings: Vec<Standing>,
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
            standings: Vec::new(),
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

    fn stands_at(&mut self, standings: Vec<Standing>) {
        self.standings = standings;
    }

    async fn fence(&mut self, permit: &Permit) -> Result<FenceReading> {
        let sql = self.checked.keyset.highest();
        let numbered_by = self.checked.numbered_by.clone();
        let now = self.began.elapsed();
        let looked = self
            .worker
            .run(permit, move |connection, _| {
                let high = highest(connection, &sql)?;
                let given_out = match numbered_by {
                    Some(table) => numbers::given_out(connection, &table)?,
                    None => None,
                };
                Ok((high, given_out, schema_version(connection)?))
            })
            .await;
        let looked = looked.map_err(|error| error.at(&format!("feed {}", self.feed.name)));
        let (high, given_out, version) = looked?;
        let positions: Vec<Cursor> = self.standings.iter().map(|one| one.position.clone()).collect();
        let greatest = Greatest {
            value: high.as_ref(),
            given_out,
            with_texts: true,
        };
        Ok(FenceReading {
            beyond: beyond(&positions, greatest),
            source: SourceMark {
                system: self.worker.file().map(|file| file.fingerprint()),
                written: Some(Cursor(vec![Scalar::Int(version)])),
                ..SourceMark::default()
            },
            fence: self.water.take(high, now, &[]).map(Fence::UpTo),
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

/// Counted up with each change of the schema and each VACUUM; an older copy has a lower one.
fn schema_version(connection: &Connection) -> Result<i64> {
    let read = connection.query_row("PRAGMA schema_version", [], |row| row.get(0));
    read.map_err(|error| failure::of(&error))
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
