//! SQLite as a system of record.
//!
//! One connection, opened read-only, on a thread of its own. Each quantum is one statement that
//! is reset at its end, so no read transaction is open while the gate is shut. A progress handler
//! inside the virtual machine stops a statement when the permit goes or its time is over, also
//! where no row comes. The trace hook counts statements and rows, whatever the code above says.
//!
//! SQLite shows nobody's open transactions, so every feed is fenced by its declared lag.
//!
//! - `worker` the thread, its connection, and how a statement is stopped
//! - `check` whether a feed can be served; `table` the schema of a table; `index` what proves and serves an order;
//!   `comparison` whether a question's times have the form of its columns;
//!   `collation` which texts of a key are one
//! - `order` the form of a cursor, `key` whether a key is unique, `key_type` PURE by what type its values differ
//! - `upkeep` what is checked again while a feed is served
//! - `convert` values as their columns' types promise them
//! - `failure` PURE: the library's errors by kind
//! - `file` which file it is; `head` how many changes it has had; `numbers` whether a row's number is used again
//! - `probe` what the gate asks while it is shut, on a connection of its own
//! - `reader` one feed, `question` one question; `quantum` their statement; `sender` its rows off the thread

mod check;
mod collation;
mod comparison;
mod convert;
mod failure;
mod file;
mod head;
mod index;
mod key;
mod key_type;
mod numbers;
mod order;
mod probe;
mod quantum;
mod question;
mod reader;
mod sender;
mod table;
mod upkeep;
mod worker;

pub use probe::probes;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gate::permit::Permit;
use gate::shut::ShutFlag;

use crate::count::DriverCounter;
use crate::error::Result;
use crate::feed::FeedDefinition;
use crate::key_proof::Proofs;
use crate::port::{DriverCount, FeedReader, QuestionReader, Source};
use crate::question::Question;
use worker::Worker;

/// How to reach and treat a SQLite source.
#[derive(Debug, Clone)]
pub struct SqliteConfig {
    /// The database's file.
    pub path: PathBuf,
    /// A statement that runs longer is stopped.
    pub statement_timeout: Duration,
    /// How long to wait for a lock.
    pub busy_timeout: Duration,
}

impl SqliteConfig {
    /// With the usual timeouts: a second for a statement, 50 ms for a lock.
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
    compared: Arc<question::Compared>,
}

impl SqliteSource {
    /// Over a configuration. Opens nothing yet. The flag is the gate's: it stops statements, and
    /// it tells the driver's count whether the gate is shut.
    ///
    /// # Errors
    /// `Database` when no thread can be started.
    pub fn new(config: SqliteConfig, shut: ShutFlag) -> Result<Self> {
        let counter = Arc::new(DriverCounter::new(shut.clone()));
        let worker = Arc::new(Worker::start(config, shut, Arc::clone(&counter))?);
        let proofs = Arc::default();
        Ok(Self {
            worker,
            proofs,
            counter,
            compared: Arc::default(),
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

    async fn open_question(&self, question: &Question, permit: &Permit) -> Result<Box<dyn QuestionReader>> {
        let opened = question::open(&self.worker, &self.compared, question, permit).await?;
        Ok(Box::new(opened))
    }

    fn own_backends(&self) -> Vec<u32> {
        // It works inside our own process.
        Vec::new()
    }

    fn counted(&self) -> DriverCount {
        self.counter.counted()
    }

    async fn close(&self) {
        self.worker.close().await;
    }
}
