//! The requester: files what the insurer's programs ask, stores the answers, signs for them.
//!
//! Each step is repeated from what the store holds, so a crash anywhere loses nothing and doubles nothing, and any
//! number of requesters may do it at once: a request is kept before it is published, byte by byte as it is
//! published; a reply is settled after it is stored with all its parts; a confirmation is made from what is stored.
//!
//! - `filing` PURE: a row of the outbox becomes a signed request
//! - `outbox` rows to kept requests, kept requests to the exchange
//! - `answer` a reply becomes what is stored, or waits, or is no reply; `inbox` stores and settles it
//! - `lost` answers that were confirmed and are not stored any more
//! - `confirm` the signed word that a reply is stored
//! - `status` what it shows

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
use runtime::said::Said;
use schemas::name::RecipientName;
use schemas::origin::Origin;
use schemas::seal::SealRing;
use schemas::sign::{PublicKey, SigningKey};
use store::Requests;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::status::Board;
use crate::step::next_tick;

pub use filing::{UNNAMED, filing, signed};
pub use lost::{REFILL_ANSWERS, RefilledAnswers, refill_answers};
pub use status::RequestsStatus;

/// Messages and rows that are taken at once: each costs a round trip, and they go side by side.
const AT_ONCE: u32 = 64;

/// How often confirmations are compared with what is stored.
const COMPARE_EVERY: Duration = Duration::from_secs(5);

/// How long to wait beyond the next tick after rounds that met trouble.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));

/// Everything that it is made of.
#[derive(Clone)]
pub struct RequesterParts {
    /// The exchange.
    pub exchange: Arc<dyn Exchange>,
    /// Where requests and answers are kept.
    pub store: Arc<dyn Requests>,
    /// Who asks.
    pub recipient: RecipientName,
    /// Keys whose replies and parts are stored.
    pub trusted: Vec<PublicKey>,
    /// Where requests belong.
    pub here: Origin,
    /// What opens sealed parts.
    pub seals: SealRing,
    /// Signs requests and confirmations.
    pub key: Arc<SigningKey>,
    /// From tick to tick.
    pub interval: Duration,
    /// Where it shows what it does.
    pub board: Board,
}

/// The requester.
pub struct Requester {
    parts: RequesterParts,
    said: Said,
    troubled: bool,
    troubles: u32,
    counted: Option<Instant>,
    compared: lost::Compared,
    /// When confirmations are compared with the store next.
    compare_at: Instant,
}

/// Between two counts of what waits: they look at every request of the store.
const COUNT_EVERY: Duration = Duration::from_secs(15);

impl Requester {
    /// Over these parts; touches nothing yet.
    #[must_use]
    pub fn new(parts: RequesterParts) -> Self {
        Self {
            parts,
            said: Said::default(),
            troubled: false,
            troubles: 0,
            counted: None,
            compared: lost::Compared::default(),
            compare_at: Instant::now(),
        }
    }

    /// Runs until `stop`; what is in flight is finished first. Everything that fails is tried again: the poller
    /// beside it tells what only an operator can mend. Closes nothing.
    pub async fn run(mut self, stop: CancellationToken) {
        let born = Instant::now();
        let mut prepared = false;
        let mut tick = Duration::ZERO;
        while !stop.is_cancelled() {
            if !prepared {
                match self.parts.store.prepare().await {
                    Ok(()) => prepared = true,
                    Err(error) => self.trouble(&error.to_string()),
                }
            }
            // A reply that another store's poller takes is lost to the true one.
            if prepared && self.parts.board.may_fetch() {
                self.round(&stop).await;
            }
            let rested = Instant::now() + self.end_round();
            tick = next_tick(tick, self.parts.interval, born.elapsed());
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep_until(rested.max(born + tick)) => {}
            }
        }
    }

    /// One look at everything: what is asked, what was answered, what is to be confirmed.
    async fn round(&mut self, stop: &CancellationToken) {
        let parts = self.parts.clone();
        for done in [
            outbox::keep(&parts, stop).await,
            outbox::publish(&parts, stop).await,
            inbox::store(&parts, stop).await,
            confirm::publish(&parts, stop).await,
        ] {
            if let Err(what) = done {
                self.trouble(&what);
            }
        }
        if Instant::now() >= self.compare_at {
            self.compare_at = Instant::now() + COMPARE_EVERY;
            if let Err(what) = lost::compare(&parts, &mut self.compared).await {
                self.trouble(&what);
            }
        }
        self.count().await;
    }

    /// How many requests wait, for the status and the metrics.
    async fn count(&mut self) {
        if self.counted.is_some_and(|at| at.elapsed() < COUNT_EVERY) {
            return;
        }
        self.counted = Some(Instant::now());
        match self.parts.store.waiting(&self.parts.recipient).await {
            Ok(waiting) => self.parts.board.requests(|status| {
                (status.waiting, status.kept) = (waiting.kept + waiting.filed, waiting.kept);
                status.oldest = waiting.oldest;
            }),
            Err(error) => self.trouble(&error.to_string()),
        }
    }

    fn end_round(&mut self) -> Duration {
        if std::mem::take(&mut self.troubled) {
            self.troubles = self.troubles.saturating_add(1);
            return BACKOFF.delay(self.troubles, rand::random());
        }
        self.troubles = 0;
        if let Some(met) = self.said.over() {
            tracing::info!(met, "the trouble with requests is over");
        }
        self.parts.board.requests(|status| status.last_error = None);
        Duration::ZERO
    }

    fn trouble(&mut self, what: &str) {
        self.troubled = true;
        // A connection that broke may lead to a store that was put back.
        self.compared = lost::Compared::default();
        if self.said.is_news(what) {
            tracing::warn!(error = what, "requests are tried again and again");
        }
        self.parts
            .board
            .requests(|status| status.last_error = Some(what.to_owned()));
    }
}
