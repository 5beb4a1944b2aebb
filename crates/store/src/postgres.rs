//! The store in PostgreSQL.
//!
//! `store` is one transaction with a shared lock on its lane's row. So any number of pollers store in one lane
//! concurrently, while a stop or a new epoch (with an exclusive lock) happens before or after them. Chunks with
//! deletes take the exclusive lock too: the insert of an older row could not see an uncommitted tombstone.
//!
//! Rows are written by COPY. While no conflict is expected (a first load) COPY writes into the target under a
//! savepoint, otherwise into a staging table, followed by one upsert. The ledger is written last: if another poller
//! stored the same chunk meanwhile, everything is rolled back and judged again.
//!
//! - `session` connections and their settings; `security` the protection of a connection
//! - `ownership` the owner of a table
//! - `table_lock` creates and changes tables once; `tables` bookkeeping tables, and when the feeds' tables change; `steps` how; `native` their types
//! - `sql` runs the statements of the `bookkeeping`; `feed_tables` what it needs of feeds' tables
//! - `rows` writes rows; `binary_cell`, `cell` format values; `value_check` values that PostgreSQL would alter
//! - `transactions` stores chunks
//! - `quarantine`, `refills`, `compaction` the tables and operations of the quarantine, of refills and of folded entries
//! - `requests` the insurer's requests and their answers; `stored_rows` reads rows to compare them with the core
//! - `contents` reads the rows of feeds' tables in one snapshot
//! - `failure` server errors by kind

mod binary_cell;
mod cell;
mod compaction;
mod contents;
mod failure;
mod feed_tables;
mod native;
mod numbers;
mod ownership;
mod quarantine;
mod refills;
mod requests;
mod rows;
mod security;
mod session;
mod sql;
mod steps;
mod stored_rows;
mod table_lock;
mod tables;
mod transactions;
mod value_check;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use schemas::name::Lane;

use crate::arrival::Arrival;
use crate::bookkeeping::quarantine::waiting;
use crate::bookkeeping::{lane_operations, ledger, refill};
use crate::chunk_number::ChunkNumber;
use crate::compaction::LedgerRetention;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{Database, Options};
use crate::naming;
use crate::port::{Approval, LaneReport, Outcome, PendingChanges, Store, Unreadable};
use crate::refill::{Identity, RowCount};
use crate::table::schema_change::PendingChange;
use crate::table::shape::Shape;
pub use contents::PostgresContents;
pub use security::security;
use session::{Pool, Session};
use transactions::StoreStep;

/// How often a transaction that loses a race is tried.
const MAX_TRIES: u32 = 8;

/// The store in PostgreSQL.
#[derive(Debug)]
pub struct PostgresStore {
    pool: Pool,
    options: Options,
    lanes: Mutex<HashMap<Lane, LaneCache>>,
}

/// Cached state of a lane. It may be dropped at any time.
#[derive(Debug, Clone, Default)]
struct LaneCache {
    /// The shape of the tables.
    shape: Option<Shape>,
    /// The number of further calls that use staging, after a conflict.
    staged: u32,
    /// Whether no row waits for another one, as far as this process knows.
    is_settled: bool,
}

impl PostgresStore {
    /// Creates a store over this database (`postgres://user:password@host/database`), with the feeds' tables in
    /// `schema`. Connects on first use.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] if the URL cannot be read.
    pub fn new(url: &str, schema: &str) -> Result<Self> {
        Ok(Self {
            pool: Pool::new(url)?,
            options: Options {
                schema: Some(schema.to_owned()),
                ..Options::default()
            },
            lanes: Mutex::default(),
        })
    }

    /// Sets the statement timeout; the default is five minutes. An operation that takes longer than three timeouts is
    /// cancelled, because its connection is half-open.
    #[must_use]
    pub fn with_statement_timeout(mut self, timeout: Duration) -> Self {
        self.pool.statement_timeout = timeout;
        self
    }

    /// Sets tables, names and modes. Feeds without a schema use the schema of `new`.
    #[must_use]
    pub fn with_options(mut self, options: Options) -> Self {
        let schema = options.schema.clone().or_else(|| self.options.schema.take());
        self.options = Options { schema, ..options };
        self
    }

    fn lanes(&self) -> MutexGuard<'_, HashMap<Lane, LaneCache>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, lane: &Lane) {
        self.lanes().remove(lane);
    }

    fn known(&self, lane: &Lane) -> LaneCache {
        self.lanes().get(lane).cloned().unwrap_or_default()
    }

    /// Records an error that no retry corrects, so that both sides see it. If recording fails, the agent's status
    /// still shows it.
    async fn refuse(&self, session: &Session, lane: &Lane, arrivals: &[Arrival], error: &Error) {
        let first = arrivals.iter().map(ChunkNumber::of).min();
        if let (Some(why), Some(chunk_number)) = (error.refusal(lane), first)
            && let Err(failed) = tables::refuse(session, lane, chunk_number, why).await
        {
            tracing::debug!(%lane, error = %failed, "recording a refusal failed");
        }
    }

    /// Retries rows that another row may have made room for. The chunks stay stored even if it fails.
    async fn retry_waiting_on(
        &self,
        session: &mut Session,
        lane: &Lane,
        arrivals: &[Arrival],
        outcomes: &mut [Outcome],
    ) {
        let counts = |outcome: &Outcome| match outcome {
            Outcome::Stored { rows, quarantined } => Some((*rows, *quarantined)),
            _ => None,
        };
        let stored: Vec<(u64, u64)> = outcomes.iter().filter_map(counts).collect();
        let is_quiet = stored.iter().all(|(_, quarantined)| *quarantined == 0);
        if stored.iter().all(|(rows, _)| *rows == 0) || (is_quiet && self.known(lane).is_settled) {
            return;
        }
        let tables = self.options.tables(Database::Postgres, lane);
        match waiting::retry(session, &tables, true, jiff::Timestamp::now()).await {
            Ok(retried) => {
                self.lanes().entry(lane.clone()).or_default().is_settled = retried.waiting == 0;
                retried.count_out(arrivals, outcomes);
            }
            Err(error) => {
                session.rollback().await;
                tracing::debug!(%lane, %error, "retrying waiting rows failed");
            }
        }
    }

    async fn store_on(
        &self,
        session: &mut Session,
        lane: &Lane,
        arrivals: &[Arrival],
    ) -> Result<Vec<Outcome>> {
        let mut alone = arrivals
            .iter()
            .any(|arrival| arrival.chunk.manifest.content.totals.deleted > 0);
        let tables = self.options.tables(Database::Postgres, lane);
        let mut lost = 0;
        loop {
            let known = self.known(lane);
            let job = transactions::StoreJob {
                tables: &tables,
                arrivals,
                known: &known,
                alone,
            };
            let step = transactions::store(session, &job).await;
            if !matches!(step, Ok(StoreStep::Done { .. })) {
                session.rollback().await;
            }
            match step {
                Ok(StoreStep::Done { outcomes, conflict }) => {
                    let mut lanes = self.lanes();
                    let known = lanes.entry(lane.clone()).or_default();
                    known.staged = if conflict {
                        64
                    } else {
                        known.staged.saturating_sub(1)
                    };
                    return Ok(outcomes);
                }
                Ok(StoreStep::Widen) => {
                    let shape = tables::ensure(session, &tables, arrivals).await?;
                    self.lanes().entry(lane.clone()).or_default().shape = shape;
                }
                Ok(StoreStep::Learn(shape)) => {
                    self.lanes().entry(lane.clone()).or_default().shape = *shape;
                    lost += 1;
                }
                Ok(StoreStep::Alone) => alone = true,
                Ok(StoreStep::Lost) => lost += 1,
                Err(error) if error.kind == ErrorKind::Contended => {
                    lost += 1;
                    if lost >= MAX_TRIES {
                        return Err(error);
                    }
                    tokio::time::sleep(jitter(lost)).await;
                }
                Err(error) => {
                    // Cached state may be the cause.
                    self.lanes().remove(lane);
                    return Err(error);
                }
            }
            if lost >= MAX_TRIES {
                return Err(failure::contended());
            }
        }
    }
}

/// Returns a delay that differs between pollers.
fn jitter(tries: u32) -> Duration {
    let nanos = jiff::Timestamp::now().subsec_nanosecond().unsigned_abs();
    Duration::from_micros(u64::from(nanos % 20_000) * u64::from(tries))
}

#[async_trait]
impl Store for PostgresStore {
    async fn prepare(&self) -> Result<()> {
        self.pool.identify(None);
        let mut session = self.pool.take().await?;
        let prepared = async {
            tables::prepare(&mut session, &self.options.schemas()).await?;
            refill::identity(&*session).await
        };
        let done = prepared.await;
        if let Ok(identity) = &done {
            self.pool.identify(Some(identity.id.clone()));
        }
        self.pool.release(session, &done).await;
        done.map(|_| ())
    }

    async fn store(&self, lane: &Lane, arrivals: &[Arrival]) -> Result<Vec<Outcome>> {
        let mut session = self.pool.take().await?;
        let mut done = self.store_on(&mut session, lane, arrivals).await;
        match &mut done {
            Err(error) => self.refuse(&session, lane, arrivals, error).await,
            Ok(outcomes) => {
                self.retry_waiting_on(&mut session, lane, arrivals, outcomes)
                    .await
            }
        }
        self.pool.release(session, &done).await;
        done
    }

    async fn quarantine(&self, message: &Unreadable) -> Result<()> {
        let session = self.pool.take().await?;
        let tables = self.options.tables(Database::Postgres, &message.lane);
        let done = match naming::verdict(&tables) {
            Ok(()) => Self::ended(&session, ledger::keep_message(&*session, message).await).await,
            Err(why) => {
                let noted =
                    tables::refuse(&session, &message.lane, ChunkNumber::BEGINNING, why.clone()).await;
                noted.and(Err(why.into()))
            }
        };
        self.pool.release(session, &done).await;
        done
    }

    async fn reports(&self) -> Result<Vec<LaneReport>> {
        let session = self.pool.take().await?;
        let done = Self::ended(&session, lane_operations::reports(&*session).await).await;
        self.pool.release(session, &done).await;
        done
    }

    async fn compact(&self, keep: &LedgerRetention, covered: &BTreeMap<Lane, ChunkNumber>) -> Result<u64> {
        self.compacted(keep, covered).await
    }

    async fn identity(&self) -> Result<Identity> {
        self.identified().await
    }

    async fn count_rows(&self, limit: Duration) -> Result<Vec<RowCount>> {
        self.counted_rows(limit).await
    }

    async fn close(&self) {
        self.pool.close();
    }
}

#[async_trait]
impl PendingChanges for PostgresStore {
    async fn pending_changes(&self) -> Result<Vec<(Lane, PendingChange)>> {
        let session = self.pool.take().await?;
        let done = lane_operations::pending_changes(&*session).await;
        self.pool.release(session, &done).await;
        done
    }

    async fn accept(&self, lane: &Lane, approval: &Approval) -> Result<Option<PendingChange>> {
        let session = self.pool.take().await?;
        let done = Self::ended(&session, lane_operations::accept(&*session, lane, approval).await).await;
        self.pool.release(session, &done).await;
        done
    }
}
