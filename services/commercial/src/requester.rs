//! The requester: files the requests of the insurer's programs, stores the answers and confirms them.
//!
//! Each step is repeated from what the store holds, so a crash loses nothing and duplicates nothing, and several
//! requesters may run at the same time. A request is recorded before exactly the recorded bytes are published. A
//! reply is settled after it is stored with all its parts. A confirmation is built from the stored reply.
//!
//! - `filing` PURE: builds a signed request from an outbox row
//! - `outbox` records requests from outbox rows and publishes them
//! - `answer` opens a reply and its parts; `inbox` stores and settles replies
//! - `lost` finds confirmed answers that the store lost
//! - `confirm` publishes signed confirmations
//! - `status` the requester's status

mod answer;
mod confirm;
mod filing;
mod inbox;
mod lost;
mod outbox;
mod status;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use exchange::Exchange;
use runtime::backoff::Backoff;
use runtime::log_dedup::LogDedup;
use schemas::encryption::DecryptionKeys;
use schemas::name::RecipientName;
use schemas::origin::Origin;
use schemas::sign::{PublicKey, SigningKey};
use store::Requests;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::status::StatusRegistry;
use crate::step::next_tick;

pub use filing::{UNNAMED, filing, signed};
pub use lost::{REFILL_ANSWERS, RefilledAnswers, refill_answers};
pub use status::RequestsStatus;

/// The number of messages and rows taken in one step. Each costs a round trip, so they run in parallel.
const AT_ONCE: u32 = 64;

/// The interval between comparisons of confirmations with the store.
const COMPARE_EVERY: Duration = Duration::from_secs(5);

/// The back-off after rounds with errors, in addition to the wait for the next tick.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));

/// The parts of the requester.
#[derive(Clone)]
pub struct RequesterParts {
    /// The exchange.
    pub exchange: Arc<dyn Exchange>,
    /// The store of requests and answers.
    pub store: Arc<dyn Requests>,
    /// The recipient.
    pub recipient: RecipientName,
    /// Public keys whose replies and parts are stored.
    pub trusted: Vec<PublicKey>,
    /// The origin that requests must have.
    pub here: Origin,
    /// The keys that open encrypted parts.
    pub decryption_keys: DecryptionKeys,
    /// Signs requests and confirmations.
    pub key: Arc<SigningKey>,
    /// The interval between ticks.
    pub interval: Duration,
    /// The registry of the agent's status.
    pub registry: StatusRegistry,
}

/// The requester.
pub struct Requester {
    parts: RequesterParts,
    log_dedup: LogDedup,
    has_failed: bool,
    failed_rounds: u32,
    counted: Option<Instant>,
    compared: lost::ConfirmationScan,
    /// When confirmations are compared with the store again.
    compare_at: Instant,
}

/// The interval between counts of waiting requests. A count reads every request of the store.
const COUNT_EVERY: Duration = Duration::from_secs(15);

impl Requester {
    /// Creates a requester. Accesses nothing yet.
    #[must_use]
    pub fn new(parts: RequesterParts) -> Self {
        Self {
            parts,
            log_dedup: LogDedup::default(),
            has_failed: false,
            failed_rounds: 0,
            counted: None,
            compared: lost::ConfirmationScan::default(),
            compare_at: Instant::now(),
        }
    }

    /// Runs until `stop`; work in flight is finished first. Every error is retried: the poller reports the errors
    /// that only an operator can correct. Closes nothing.
    pub async fn run(mut self, stop: CancellationToken) {
        let started = Instant::now();
        let mut prepared = false;
        let mut tick = Duration::ZERO;
        while !stop.is_cancelled() {
            if !prepared {
                match self.parts.store.prepare().await {
                    Ok(()) => prepared = true,
                    Err(error) => self.record_failure(&error.to_string()),
                }
            }
            // A reply that the poller of another store takes is lost to the right store.
            if prepared && self.parts.registry.may_fetch() {
                self.round(&stop).await;
            }
            let rested = Instant::now() + self.end_round();
            tick = next_tick(tick, self.parts.interval, started.elapsed());
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep_until(rested.max(started + tick)) => {}
            }
        }
    }

    /// Runs one round: new requests, replies, confirmations.
    async fn round(&mut self, stop: &CancellationToken) {
        let parts = self.parts.clone();
        for done in [
            outbox::record_requests(&parts, stop).await,
            outbox::publish(&parts, stop).await,
            inbox::store_replies(&parts, stop).await,
            confirm::publish(&parts, stop).await,
        ] {
            if let Err(error) = done {
                self.record_failure(&error.to_string());
            }
        }
        if Instant::now() >= self.compare_at {
            self.compare_at = Instant::now() + COMPARE_EVERY;
            if let Err(error) = lost::compare(&parts, &mut self.compared).await {
                self.record_failure(&error.to_string());
            }
        }
        self.count().await;
    }

    /// Counts waiting requests for the status and the metrics.
    async fn count(&mut self) {
        if self.counted.is_some_and(|at| at.elapsed() < COUNT_EVERY) {
            return;
        }
        self.counted = Some(Instant::now());
        match self.parts.store.count_waiting(&self.parts.recipient).await {
            Ok(waiting) => self.parts.registry.requests(|status| {
                (status.waiting, status.kept) = (waiting.kept + waiting.filed, waiting.kept);
                status.oldest = waiting.oldest;
            }),
            Err(error) => self.record_failure(&error.to_string()),
        }
    }

    fn end_round(&mut self) -> Duration {
        if std::mem::take(&mut self.has_failed) {
            self.failed_rounds = self.failed_rounds.saturating_add(1);
            return BACKOFF.delay(self.failed_rounds, rand::random());
        }
        self.failed_rounds = 0;
        if let Some(occurrences) = self.log_dedup.recovered() {
            tracing::info!(occurrences, "requests recovered");
        }
        self.parts.registry.requests(|status| status.last_error = None);
        Duration::ZERO
    }

    fn record_failure(&mut self, what: &str) {
        self.has_failed = true;
        // A broken connection may lead to a restored store.
        self.compared = lost::ConfirmationScan::default();
        if self.log_dedup.is_new(what) {
            tracing::warn!(error = what, "requests failed, retrying");
        }
        self.parts
            .registry
            .requests(|status| status.last_error = Some(what.to_owned()));
    }
}
