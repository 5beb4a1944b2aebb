//! The poller: at each tick it fetches until nothing is left, then sleeps until the next tick.
//!
//! The next batch is fetched and opened while the store commits the previous one. A delivery is settled only after
//! its transaction has committed; deliveries that a crash left unsettled are redelivered. Lanes are stored in
//! parallel. A lane whose transactions fail pauses alone.

mod reports;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use exchange::{Delivery, Settlement};
use futures_util::future::join_all;
use jiff::Timestamp;
use runtime::log_dedup::LogDedup;
use runtime::supervise::describe_end;
use schemas::name::Lane;
use store::Arrival;
use store::port::Unreadable;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::compare::Comparison;
use crate::open::{Opened, open};
use crate::parts::CommercialParts;
use crate::poll_loop::{self, Failures, Rounds};
use crate::receipts::Receipts;
use crate::step::{STOPPED_REST, batches};
use crate::trace;
use crate::transaction::{Attempt, settle, store_lane};

/// Why the agent ended without a stop.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommercialError {
    /// The store's own tables could not be created, and only an operator can help.
    #[error("the store is not ready: {0}")]
    Store(#[from] store::Error),
    /// The exchange refused permanently.
    #[error(transparent)]
    Exchange(#[from] exchange::Error),
    /// A stop was requested, and the work in flight did not finish within the grace period.
    #[error("shutdown timed out; unsettled deliveries are delivered again at the next start")]
    Unfinished,
}

type Fetched = JoinHandle<exchange::Result<Vec<(Delivery, Opened)>>>;

/// The poller.
pub struct Poller {
    parts: CommercialParts,
    receipts: Receipts,
    failures: BTreeMap<Lane, u32>,
    resting: BTreeMap<Lane, Instant>,
    /// Errors that are not of one lane.
    round_failures: Failures,
    is_prepared: bool,
    was_prepared: bool,
    lane_log: BTreeMap<Lane, LogDedup>,
    /// Deduplicates log lines of lanes that wait for an operator.
    blocked_log: BTreeMap<Lane, LogDedup>,
    /// Deduplicates log lines of receipts. Publishing receipts can fail while storing succeeds.
    receipt_log: BTreeMap<Lane, LogDedup>,
    /// The comparison of the store with its receipts.
    comparison: Comparison,
    /// When old ledger entries are checked again; `None`: at the next opportunity.
    compacts_at: Option<Instant>,
}

/// How long a chunk without its decryption key waits at the exchange.
const FOR_A_KEY: Duration = Duration::from_secs(10);

/// The interval between checks for old ledger entries.
const COMPACT_EVERY: Duration = Duration::from_secs(3_600);

/// The maximum interval between receipts during a long drain.
const RECEIPT_EVERY: Duration = Duration::from_secs(1);

impl Poller {
    /// Creates a poller. Accesses nothing yet.
    #[must_use]
    pub fn new(parts: CommercialParts) -> Self {
        Self {
            parts,
            receipts: Receipts::default(),
            failures: BTreeMap::new(),
            resting: BTreeMap::new(),
            round_failures: Failures::new("polling"),
            is_prepared: false,
            was_prepared: false,
            lane_log: BTreeMap::new(),
            blocked_log: BTreeMap::new(),
            receipt_log: BTreeMap::new(),
            comparison: Comparison::default(),
            compacts_at: None,
        }
    }

    /// Returns whether the store is the one that signed its receipts, as the last comparison found.
    #[must_use]
    pub fn own_store(&self) -> watch::Receiver<bool> {
        self.comparison.own_store()
    }

    /// Polls until `stop`. Finishes and settles a transaction in flight first. Closes nothing.
    ///
    /// # Errors
    /// [`CommercialError`] if only an operator can help. Other errors are retried.
    pub async fn poll(&mut self, stop: CancellationToken) -> Result<(), CommercialError> {
        let recipient = self.parts.recipient.to_string();
        self.parts.registry.note(|status| status.recipient = recipient);
        let interval = self.parts.options.interval;
        poll_loop::poll(self, interval, &stop).await
    }

    /// Creates the store's own tables if needed.
    async fn prepare(&mut self) -> Result<(), CommercialError> {
        match self.parts.store.prepare().await {
            Ok(()) => {
                (self.is_prepared, self.was_prepared) = (true, true);
                self.parts.registry.note(|status| status.is_prepared = true);
            }
            // A store that is being restored may refuse for a while.
            Err(error)
                if !self.was_prepared
                    && matches!(error.kind, store::ErrorKind::Denied | store::ErrorKind::Refused) =>
            {
                return Err(error.into());
            }
            Err(error) => self.record_failure(&error.to_string()),
        }
        Ok(())
    }

    /// Fetches and stores until nothing is left, or until a transient error. Returns whether nothing is left.
    async fn drain(&mut self, stop: &CancellationToken) -> bool {
        self.set_state("polling");
        let mut is_drained = false;
        let mut receipted = Instant::now();
        let mut next = Some(self.fetch());
        while let Some(fetched) = next.take() {
            let batch = match fetched.await {
                Ok(Ok(batch)) => batch,
                Ok(Err(error)) => {
                    self.record_failure(&error.to_string());
                    break;
                }
                Err(error) => {
                    self.record_failure(&format!("opening a batch ended early: {}", describe_end(&error)));
                    break;
                }
            };
            if batch.is_empty() {
                // An empty fetch alone does not prove that nothing is left.
                match self.parts.exchange.is_drained(&self.parts.recipient).await {
                    Ok(true) => {
                        self.parts
                            .registry
                            .note(|status| status.drained_at = Some(Timestamp::now()));
                        is_drained = true;
                        break;
                    }
                    Ok(false) if stop.is_cancelled() => break,
                    Ok(false) => {}
                    Err(error) => {
                        self.record_failure(&error.to_string());
                        break;
                    }
                }
            }
            // During a stop, fetched chunks are still stored and settled; nothing more is fetched.
            if !stop.is_cancelled() {
                next = Some(self.fetch());
            }
            if !batch.is_empty() {
                self.store(batch).await;
            }
            if !self.may_fetch().await {
                // Fetched chunks that are not stored are delivered again.
                return false;
            }
            if receipted.elapsed() >= RECEIPT_EVERY {
                self.write_receipts().await;
                receipted = Instant::now();
            }
        }
        self.write_receipts().await;
        is_drained && !self.round_failures.has_failed()
    }

    /// Folds some of the oldest ledger entries while any are due, then checks again after an hour. Runs only while
    /// idle, so no chunk waits for it.
    async fn compact(&mut self) {
        if self.compacts_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        let covered = self.comparison.covered();
        let again = match self
            .parts
            .store
            .compact(&self.parts.options.ledger_retention, &covered)
            .await
        {
            Ok(0) => COMPACT_EVERY,
            Ok(entries) => {
                tracing::debug!(entries, "old ledger entries folded");
                Duration::ZERO
            }
            Err(error) => {
                tracing::warn!(%error, retry_in_s = COMPACT_EVERY.as_secs(), "old ledger entries are not folded");
                COMPACT_EVERY
            }
        };
        self.compacts_at = Some(Instant::now() + again);
    }

    /// Returns whether the store is known to be the one that signed its receipts. It is compared at the start, after
    /// errors and periodically.
    async fn may_fetch(&mut self) -> bool {
        if let Err(error) = self.comparison.renew(&self.parts).await {
            self.record_failure(&error.to_string());
            return false;
        }
        if !*self.comparison.own_store().borrow() {
            self.set_state("stopped: the receipts belong to another store");
            return false;
        }
        true
    }

    fn fetch(&self) -> Fetched {
        let exchange = Arc::clone(&self.parts.exchange);
        let (recipient, trusted) = (self.parts.recipient.clone(), self.parts.trusted.clone());
        let (here, decryption_keys) = (self.parts.here.clone(), self.parts.decryption_keys.clone());
        let (max, registry) = (self.parts.options.max_messages, self.parts.registry.clone());
        tokio::spawn(async move {
            let started = SystemTime::now();
            let deliveries = exchange.fetch_chunks(&recipient, max).await?;
            registry.note(|status| status.fetched += deliveries.len() as u64);
            if deliveries.is_empty() {
                return Ok(Vec::new());
            }
            let opening = tokio::task::spawn_blocking(move || {
                let open_one = |mut delivery: Delivery| {
                    let opened = open(&delivery, &trusted, &here, &decryption_keys);
                    delivery.trace = trace::fetched(&delivery, &opened, started);
                    (delivery, opened)
                };
                deliveries.into_iter().map(open_one).collect::<Vec<_>>()
            });
            opening.await.map_err(|error| {
                exchange::Error::new(
                    exchange::ErrorKind::Protocol,
                    format!("opening a batch ended early: {}", describe_end(&error)),
                )
            })
        })
    }

    async fn store(&mut self, batch: Vec<(Delivery, Opened)>) {
        let mut chunks: Vec<(Lane, Delivery, Box<Arrival>)> = Vec::new();
        for (delivery, opened) in batch {
            match opened {
                Opened::Chunk(lane, arrival) => chunks.push((lane, delivery, arrival)),
                Opened::Closed(lane, why) => {
                    if self.lane_log.entry(lane.clone()).or_default().is_new(&why) {
                        tracing::error!(%lane, why, "decryption key missing, chunks wait at the exchange");
                    }
                    self.parts
                        .registry
                        .lane(&lane, |status| status.missing_key = Some(why));
                    self.settle(&[delivery], Settlement::Nak(FOR_A_KEY)).await;
                }
                Opened::Unreadable(message) => self.quarantine(&delivery, &message).await,
                Opened::Foreign(what) => {
                    tracing::error!(
                        sequence = delivery.sequence,
                        error = what,
                        "unexpected message on a data subject, redelivery deferred"
                    );
                    self.settle(&[delivery], Settlement::Nak(Duration::from_secs(3_600)))
                        .await;
                }
            }
        }
        let sizes: Vec<(Lane, usize)> = chunks
            .iter()
            .map(|(lane, _, arrival)| (lane.clone(), arrival.chunk.plain.len()))
            .collect();
        // Lanes are stored in parallel; transactions of one lane run in sequence.
        let mut lanes: BTreeMap<Lane, Vec<Vec<usize>>> = BTreeMap::new();
        for batch in batches(&sizes, self.parts.options.max_bytes) {
            lanes.entry(batch.lane).or_default().push(batch.members);
        }
        let mut slots: Vec<Option<(Delivery, Box<Arrival>)>> = chunks
            .into_iter()
            .map(|(_, delivery, arrival)| Some((delivery, arrival)))
            .collect();
        let mut work = Vec::new();
        for (lane, transactions) in lanes {
            let transactions: Vec<Vec<(Delivery, Arrival)>> = transactions
                .into_iter()
                .map(|members| {
                    let take = |at: usize| slots.get_mut(at).and_then(Option::take);
                    members
                        .into_iter()
                        .filter_map(take)
                        .map(|(delivery, arrival)| (delivery, *arrival))
                        .collect()
                })
                .collect();
            work.push((lane, transactions));
        }
        let now = Instant::now();
        self.resting.retain(|_, until| *until > now);
        let lanes = work.into_iter().map(|(lane, transactions)| {
            let rest = self.resting.get(&lane).map(|until| until.duration_since(now));
            let failures = self.failures.get(&lane).copied().unwrap_or(0);
            store_lane(&self.parts, lane, transactions, rest, failures)
        });
        for (lane, attempt, last) in join_all(lanes).await {
            self.receipts.follow(&lane, last);
            match attempt {
                Attempt::Stored => {
                    self.failures.remove(&lane);
                    if let Some(occurrences) = self.lane_log.get_mut(&lane).and_then(LogDedup::recovered) {
                        tracing::info!(%lane, occurrences, "lane recovered");
                    }
                }
                Attempt::Rested => {}
                Attempt::Failed(rest, error) => {
                    if self.lane_log.entry(lane.clone()).or_default().is_new(&error) {
                        tracing::warn!(%lane, error, "lane transaction failed, retrying");
                    }
                    self.comparison.doubt();
                    *self.failures.entry(lane.clone()).or_default() += 1;
                    self.resting.insert(lane, Instant::now() + rest);
                }
            }
        }
    }

    async fn quarantine(&mut self, delivery: &Delivery, message: &Unreadable) {
        tracing::error!(
            lane = %message.lane, sequence = message.sequence, reason = message.reason,
            "message cannot be opened, quarantined"
        );
        match self.parts.store.quarantine(message).await {
            Ok(()) => {
                self.parts.registry.note(|status| {
                    status.quarantined += 1;
                    // If the lane is stopped for another reason, its report shows it in the same round.
                    if let Some(lane) = status.lanes.get_mut(&message.lane.to_string()) {
                        (lane.stopped, lane.refused) = (None, None);
                    }
                });
                self.settle(std::slice::from_ref(delivery), Settlement::Ack).await;
            }
            // Nothing of this lane is stored here, so its message waits like its chunks.
            Err(error) if error.kind == store::ErrorKind::Refused => {
                self.parts.registry.lane(&message.lane, |status| {
                    status.stopped = Some(error.to_string());
                    status.refused = Some(error.to_string());
                });
                self.settle(std::slice::from_ref(delivery), Settlement::Nak(STOPPED_REST))
                    .await;
            }
            // Not kept, so not settled: it is redelivered.
            Err(error) => self.record_failure(&error.to_string()),
        }
    }

    async fn settle(&self, deliveries: &[Delivery], settlement: Settlement) {
        settle(&self.parts, deliveries, settlement).await;
    }

    fn record_failure(&mut self, what: &str) {
        self.comparison.doubt();
        self.round_failures.record(what);
        self.parts
            .registry
            .note(|status| status.last_error = Some(what.to_owned()));
    }

    fn set_state(&self, text: &str) {
        self.parts
            .registry
            .note(|status| text.clone_into(&mut status.state));
    }
}

impl Rounds for Poller {
    type Error = CommercialError;

    async fn round(&mut self, stop: &CancellationToken) -> Result<(), CommercialError> {
        self.parts.registry.note(|status| {
            status.ticks += 1;
            status.ticked_at = Some(Timestamp::now());
        });
        if !self.is_prepared {
            self.prepare().await?;
        }
        if self.is_prepared && self.may_fetch().await && self.drain(stop).await && !stop.is_cancelled() {
            self.compact().await;
        }
        // A replaced store must be prepared again.
        self.is_prepared &= self.comparison.identity().is_some();
        Ok(())
    }

    fn failures(&mut self) -> &mut Failures {
        &mut self.round_failures
    }

    fn show_end(&mut self, has_failed: bool) {
        if has_failed {
            return self.set_state("waiting to try again");
        }
        self.parts.registry.note(|status| status.last_error = None);
        self.set_state("waiting for the next tick");
    }
}
