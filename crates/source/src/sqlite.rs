//! SQLite as a system of record.
//!
//! One connection, opened read-only, on a thread of its own. Each quantum is one statement that is reset at its end, so no read
//! transaction is open while the gate is closed. A progress handler stops a statement when the permit is revoked or its timeout
//! passes, even if it returns no row. A trace hook counts statements and rows, independently of the code above.
//!
//! SQLite does not show open transactions, so every feed is fenced by its declared lag.
//!
//! - `worker` the thread, its connection, and how a statement is stopped
//! - `check` whether a feed can be served, a `checked_feed`; `table` the schema of a table; `index` indexes that prove and serve an order;
//!   `comparison` whether a query's times have the format of its columns; `collation` which texts are one key
//! - `order` the format of a cursor; `key` whether a key is unique; `key_type` PURE: the type by which its values differ
//! - `periodic_checks` checks that run while a feed is served
//! - `convert` converts values to their columns' types
//! - `failure` PURE: the library's errors by kind
//! - `file` the identity of the file; `head` its change counter; `row_numbers` whether row numbers are reused
//! - `probe` the gate's signals, on a connection of their own
//! - `reader` one feed; `request_query` one query; `quantum` their statement; `sender` its rows, sent from the thread

mod check;
mod checked_feed;
mod collation;
mod comparison;
mod convert;
mod failure;
mod file;
mod head;
mod index;
mod key;
mod key_type;
mod order;
mod periodic_checks;
mod probe;
mod quantum;
mod reader;
mod request_query;
mod row_numbers;
mod sender;
mod table;
mod worker;

pub use probe::probes;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gate::closed_flag::ClosedFlag;
use gate::permit::Permit;

use crate::count::DriverCounter;
use crate::error::Result;
use crate::feed::FeedDefinition;
use crate::key_proof::Proofs;
use crate::port::{DriverCounts, FeedReader, RequestQueryReader, Source};
use crate::request_query::RequestQuery;
use worker::Worker;

/// How to open a SQLite source.
#[derive(Debug, Clone)]
pub struct SqliteConfig {
    /// The database file.
    pub path: PathBuf,
    /// A statement that runs longer is stopped.
    pub statement_timeout: Duration,
    /// How long to wait for a lock.
    pub busy_timeout: Duration,
}

impl SqliteConfig {
    /// Creates settings with the default timeouts: 1 s for a statement, 50 ms for a lock.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            statement_timeout: Duration::from_secs(1),
            busy_timeout: Duration::from_millis(50),
        }
    }
}

/// A SQLite database, opened at first use.
#[derive(Debug)]
pub struct SqliteSource {
    worker: Arc<Worker>,
    proofs: Arc<Proofs<rusqlite::types::Value>>,
    counter: Arc<DriverCounter>,
    format_checks: Arc<request_query::FormatCheckCache>,
}

impl SqliteSource {
    /// Creates a source without opening the file. The flag is the gate's: it stops statements and decides what the driver counts.
    ///
    /// # Errors
    /// `Database` if the thread cannot be started.
    pub fn new(config: SqliteConfig, closed: ClosedFlag) -> Result<Self> {
        let counter = Arc::new(DriverCounter::new(closed.clone()));
        let worker = Arc::new(Worker::start(config, closed, Arc::clone(&counter))?);
        let proofs = Arc::default();
        Ok(Self {
            worker,
            proofs,
            counter,
            format_checks: Arc::default(),
        })
    }
}

#[async_trait]
impl Source for SqliteSource {
    async fn open_feed(&self, feed: &FeedDefinition, permit: &Permit) -> Result<Box<dyn FeedReader>> {
        let place = format!("feed {}", feed.name);
        let (asked, proof) = (feed.clone(), self.proofs.find(feed));
        let opened = self
            .worker
            .run(permit, move |connection, ticket| {
                check::open(connection, ticket, &asked, proof)
            })
            .await;
        let opened = opened.map_err(|error| error.at(&place))?;
        let (worker, proofs) = (Arc::new(self.worker.metered()), Arc::clone(&self.proofs));
        Ok(Box::new(reader::SqliteReader::new(worker, proofs, feed, opened)?))
    }

    async fn open_request_query(
        &self,
        query: &RequestQuery,
        permit: &Permit,
    ) -> Result<Box<dyn RequestQueryReader>> {
        let opened = request_query::open(&self.worker, &self.format_checks, query, permit).await?;
        Ok(Box::new(opened))
    }

    fn own_backends(&self) -> Vec<u32> {
        // It works inside the agent's process.
        Vec::new()
    }

    fn driver_counts(&self) -> DriverCounts {
        self.counter.counts()
    }

    async fn close(&self) {
        self.worker.close().await;
    }
}
