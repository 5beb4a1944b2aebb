//! A receiver in PostgreSQL.
//!
//! `store` is one transaction. It holds a share of its lane's row, so that any number of
//! pollers store in one lane at once while a stop or a new epoch (which hold the row alone)
//! happen before or after them and never between. Chunks with deletes hold the row alone too:
//! a tombstone that is not committed yet could not be seen by the insert of an older row.
//!
//! Rows go by COPY. While no conflict is expected (a first load) straight into the target,
//! under a savepoint; otherwise into a staging table and from there in one upsert. The ledger
//! is written last: when another poller has stored the same chunk meanwhile, everything is
//! undone and judged anew.
//!
//! - `session` connections and their settings; `security` what protects one
//! - `claims` whose a table is
//! - `tables` our own tables, and when the feeds' change; `steps` how; `native` their types
//! - `records` lanes and ledger entries, read and written
//! - `rows` rows into the target; `cell` their text; `fit` values that must not go
//! - `verbs` the transactions; `opening` what a new epoch changes, `removal` what a resynchronisation does
//! - `quarantine` what is kept aside, and its way out
//! - `refill` identity, chunks that are stored again, rows that are counted; `compaction` entries that are folded
//! - `requests` what an insurer asks for, and the answers
//! - `failure` the server's errors by kind

mod cell;
mod claims;
mod compaction;
mod failure;
mod fit;
mod native;
mod opening;
mod quarantine;
mod records;
mod refill;
mod removal;
mod requests;
mod rows;
mod security;
mod session;
mod steps;
mod tables;
mod verbs;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use schemas::name::Lane;

use crate::compaction::Keep;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{Database, Options};
use crate::merge::Place;
use crate::naming;
use crate::port::{Answer, Arrival, Changes, LaneReport, Outcome, Store, Unreadable};
use crate::refill::{Identity, RowCount};
use crate::table::asked::Question;
use crate::table::shape::Shape;
pub use security::security;
use session::{Pool, Session};
use verbs::Step;

/// How often a transaction is tried that loses a race.
const TRIES: u32 = 8;

/// A receiver in PostgreSQL.
#[derive(Debug)]
pub struct PostgresStore {
    pool: Pool,
    options: Options,
    lanes: Mutex<HashMap<Lane, Known>>,
}

/// What is remembered of a lane. It may be forgotten at any time.
#[derive(Debug, Clone, Default)]
struct Known {
    /// What the tables look like.
    shape: Option<Shape>,
    /// For so many more calls rows go by staging: there was a conflict.
    staged: u32,
    /// No row waits for another one, as far as this process knows.
    is_settled: bool,
}

impl PostgresStore {
    /// Over this database (`postgres://user:password@host/database`), with the feeds' tables in
    /// `schema`. Connects when it is used.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] when the URL cannot be read.
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

    /// The same, with another bound for a statement than five minutes. A verb that takes longer than three of them is
    /// given up: its connection is half-open.
    #[must_use]
    pub fn with_statement_timeout(mut self, timeout: Duration) -> Self {
        self.pool.statement_timeout = timeout;
        self
    }

    /// With tables, names and modes as an operator has them. Where they name no schema, the one
    /// given before holds.
    #[must_use]
    pub fn with_options(mut self, options: Options) -> Self {
        let schema = options.schema.clone().or_else(|| self.options.schema.take());
        self.options = Options { schema, ..options };
        self
    }

    fn lanes(&self) -> MutexGuard<'_, HashMap<Lane, Known>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, lane: &Lane) {
        self.lanes().remove(lane);
    }

    fn known(&self, lane: &Lane) -> Known {
        self.lanes().get(lane).cloned().unwrap_or_default()
    }

    /// Notes an error that no repetition cures, so that both sides see it. Where even that is refused, the agent's
    /// own page still shows it.
    async fn refuse(&self, session: &Session, lane: &Lane, arrivals: &[Arrival], error: &Error) {
        let first = arrivals.iter().map(Place::of).min();
        if let (Some(why), Some(place)) = (error.refusal(lane), first)
            && let Err(failed) = tables::refuse(session, lane, place, why).await
        {
            tracing::debug!(%lane, error = %failed, "a refusal was not noted");
        }
    }

    /// Tries rows again that another row may have made room for by now. The chunks are stored whatever comes of it.
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
        match quarantine::retry_waiting(session, &tables, true, jiff::Timestamp::now()).await {
            Ok(retried) => {
                self.lanes().entry(lane.clone()).or_default().is_settled = retried.waiting == 0;
                retried.count_out(arrivals, outcomes);
            }
            Err(error) => {
                session.rollback().await;
                tracing::debug!(%lane, %error, "rows that wait were not tried again");
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
            .any(|arrival| arrival.chunk.manifest.totals.deleted > 0);
        let tables = self.options.tables(Database::Postgres, lane);
        let mut lost = 0;
        loop {
            let known = self.known(lane);
            let job = verbs::Job {
                tables: &tables,
                arrivals,
                known: &known,
                alone,
            };
            let step = verbs::store(session, &job).await;
            if !matches!(step, Ok(Step::Done { .. })) {
                session.rollback().await;
            }
            match step {
                Ok(Step::Done { outcomes, conflict }) => {
                    let mut lanes = self.lanes();
                    let known = lanes.entry(lane.clone()).or_default();
                    known.staged = if conflict {
                        64
                    } else {
                        known.staged.saturating_sub(1)
                    };
                    return Ok(outcomes);
                }
                Ok(Step::Widen) => {
                    let shape = tables::ensure(session, &tables, arrivals).await?;
                    self.lanes().entry(lane.clone()).or_default().shape = shape;
                }
                Ok(Step::Learn(shape)) => {
                    self.lanes().entry(lane.clone()).or_default().shape = *shape;
                    lost += 1;
                }
                Ok(Step::Alone) => alone = true,
                Ok(Step::Lost) => lost += 1,
                Err(error) if error.kind == ErrorKind::Contended => {
                    lost += 1;
                    if lost >= TRIES {
                        return Err(error);
                    }
                    tokio::time::sleep(jitter(lost)).await;
                }
                Err(error) => {
                    // Whatever was remembered may be why.
                    self.lanes().remove(lane);
                    return Err(error);
                }
            }
            if lost >= TRIES {
                return Err(failure::contended());
            }
        }
    }
}

/// A wait that differs from poller to poller.
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
            refill::identity(&session).await
        };
        let done = prepared.await;
        if let Ok(identity) = &done {
            self.pool.identify(Some(identity.id.clone()));
        }
        self.pool.give_back(session, &done).await;
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
        self.pool.give_back(session, &done).await;
        done
    }

    async fn quarantine(&self, message: &Unreadable) -> Result<()> {
        let mut session = self.pool.take().await?;
        let tables = self.options.tables(Database::Postgres, &message.lane);
        let done = match naming::verdict(&tables) {
            Ok(()) => verbs::keep_message(&mut session, message).await,
            Err(why) => {
                let noted = tables::refuse(&session, &message.lane, Place::BEGINNING, why.clone()).await;
                noted.and(Err(why.into()))
            }
        };
        self.pool.give_back(session, &done).await;
        done
    }

    async fn reports(&self) -> Result<Vec<LaneReport>> {
        let mut session = self.pool.take().await?;
        let done = verbs::reports(&mut session).await;
        self.pool.give_back(session, &done).await;
        done
    }

    async fn compact(&self, keep: &Keep, covered: &BTreeMap<Lane, Place>) -> Result<u64> {
        self.compacted(keep, covered).await
    }

    async fn identity(&self) -> Result<Identity> {
        self.identified().await
    }

    async fn count_rows(&self, most: Duration) -> Result<Vec<RowCount>> {
        self.counted_rows(most).await
    }

    async fn close(&self) {
        self.pool.close();
    }
}

#[async_trait]
impl Changes for PostgresStore {
    async fn asked(&self) -> Result<Vec<(Lane, Question)>> {
        let session = self.pool.take().await?;
        let done = verbs::asked(&session).await;
        self.pool.give_back(session, &done).await;
        done
    }

    async fn accept(&self, lane: &Lane, answer: &Answer) -> Result<Option<Question>> {
        let session = self.pool.take().await?;
        let done = verbs::accept(&session, lane, answer).await;
        if done.is_err() {
            session.rollback().await;
        }
        self.pool.give_back(session, &done).await;
        done
    }
}
