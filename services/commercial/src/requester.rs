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

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use exchange::Exchange;
use schemas::encryption::DecryptionKeys;
use schemas::name::RecipientName;
use schemas::origin::Origin;
use schemas::sign::{PublicKey, SigningKey};
use store::Requests;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::poll_loop::{self, Failures, Rounds};
use crate::status::StatusRegistry;

pub use filing::{UNNAMED, filing, signed};
pub use lost::{REFILL_ANSWERS, RefilledAnswers, refill_answers};
pub use status::RequestsStatus;

/// The number of messages and rows taken in one step. Each costs a round trip, so they run in parallel.
const AT_ONCE: u32 = 64;

/// The interval between comparisons of confirmations with the store.
const COMPARE_EVERY: Duration = Duration::from_secs(5);

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
    failures: Failures,
    is_prepared: bool,
    /// Whether the store is the one that signed its receipts.
    own_store: watch::Receiver<bool>,
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
            failures: Failures::new("requests"),
            is_prepared: false,
            // Without a poller, nothing compares.
            own_store: watch::channel(true).1,
            counted: None,
            compared: lost::ConfirmationScan::default(),
            compare_at: Instant::now(),
        }
    }

    /// Fetches only while the store is the one that signed its receipts.
    #[must_use]
    pub fn with_own_store(mut self, own_store: watch::Receiver<bool>) -> Self {
        self.own_store = own_store;
        self
    }

    /// Runs until `stop`; work in flight is finished first. Every error is retried: the poller reports the errors
    /// that only an operator can correct. Closes nothing.
    pub async fn run(mut self, stop: CancellationToken) {
        let interval = self.parts.interval;
        let Ok(()) = poll_loop::poll(&mut self, interval, &stop).await;
    }

    /// Exchanges new requests, replies and confirmations.
    async fn exchange_all(&mut self, stop: &CancellationToken) {
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

    fn record_failure(&mut self, what: &str) {
        // A broken connection may lead to a restored store.
        self.compared = lost::ConfirmationScan::default();
        self.failures.record(what);
        self.parts
            .registry
            .requests(|status| status.last_error = Some(what.to_owned()));
    }
}

impl Rounds for Requester {
    type Error = Infallible;

    async fn round(&mut self, stop: &CancellationToken) -> Result<(), Infallible> {
        if !self.is_prepared {
            match self.parts.store.prepare().await {
                Ok(()) => self.is_prepared = true,
                Err(error) => self.record_failure(&error.to_string()),
            }
        }
        // A reply that the poller of another store takes is lost to the right store.
        if self.is_prepared && *self.own_store.borrow() {
            self.exchange_all(stop).await;
        }
        Ok(())
    }

    fn failures(&mut self) -> &mut Failures {
        &mut self.failures
    }

    fn show_end(&mut self, has_failed: bool) {
        if !has_failed {
            self.parts.registry.requests(|status| status.last_error = None);
        }
    }
}
