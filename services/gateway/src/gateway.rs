//! What all requests share.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use runtime::log_dedup::LogDedup;
use schemas::name::{Lane, PartyName};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use web::interface::cursor::FeedCursor;

use crate::config::Limits;
use crate::feed_reader;
use crate::identity::Identities;
use crate::metrics::Metrics;
use crate::party::PartyAccess;
use crate::shared_read::SharedReads;
use crate::token::TokenRegistry;

/// How long a request waits until another one has finished.
const QUEUE_TIME: Duration = Duration::from_secs(2);

/// The state of the server. Copies are the same.
#[derive(Clone)]
pub struct Gateway {
    shared: Arc<Shared>,
}

struct Shared {
    parties: BTreeMap<PartyName, Party>,
    identities: Identities,
    tokens: Arc<TokenRegistry>,
    limits: Limits,
    metrics: Metrics,
    /// Permits of concurrent requests.
    requests: Semaphore,
    refusals: Mutex<LogDedup>,
    failures: Mutex<LogDedup>,
    stop: CancellationToken,
}

struct Party {
    access: Arc<PartyAccess>,
    limiter: DefaultDirectRateLimiter,
    /// Permits of concurrent requests.
    requests: Arc<Semaphore>,
    /// Reads of the newest chunks, each by the party's own credential.
    newest: SharedReads<Lane, Result<Option<FeedCursor>, exchange::Error>>,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("parties", &self.shared.parties.keys())
            .finish_non_exhaustive()
    }
}

impl Gateway {
    pub(crate) fn new(
        parties: Vec<PartyAccess>,
        identities: Identities,
        tokens: Arc<TokenRegistry>,
        limits: Limits,
        stop: CancellationToken,
    ) -> Self {
        let at_least_one = |count: u32| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(at_least_one(limits.requests_per_second));
        let quota = quota.allow_burst(at_least_one(limits.burst));
        let party_requests = limits.party_requests;
        let names = parties.iter().map(|party| party.name.clone()).collect();
        let party = |access: PartyAccess| {
            let party = Party {
                access: Arc::new(access),
                limiter: RateLimiter::direct(quota),
                requests: Arc::new(Semaphore::new(party_requests)),
                newest: SharedReads::default(),
            };
            (party.access.name.clone(), party)
        };
        Self {
            shared: Arc::new(Shared {
                parties: parties.into_iter().map(party).collect(),
                identities,
                tokens,
                metrics: Metrics::new(names),
                requests: Semaphore::new(limits.requests),
                limits,
                refusals: Mutex::default(),
                failures: Mutex::default(),
                stop,
            }),
        }
    }

    /// Returns a party by its name.
    pub(crate) fn party(&self, name: &PartyName) -> Option<&Arc<PartyAccess>> {
        self.shared.parties.get(name).map(|party| &party.access)
    }

    /// Returns all parties, sorted by name.
    pub(crate) fn parties(&self) -> impl Iterator<Item = &Arc<PartyAccess>> {
        self.shared.parties.values().map(|party| &party.access)
    }

    /// Counts a request of a party against its rate limit.
    ///
    /// # Errors
    /// After how long the next request is accepted.
    pub(crate) fn check_rate(&self, name: &PartyName) -> Result<(), Duration> {
        let Some(party) = self.shared.parties.get(name) else {
            return Ok(());
        };
        party
            .limiter
            .check()
            .map_err(|until| until.wait_time_from(DefaultClock::default().now()))
    }

    /// Returns the cursor after the newest chunk of a feed, as the exchange has it for this party; `None` if there is no chunk.
    ///
    /// Readers that have everything ask for nothing else, and all that ask at the same time share one read.
    ///
    /// # Errors
    /// The exchange's.
    pub(crate) async fn newest(
        &self,
        access: &PartyAccess,
        lane: &Lane,
    ) -> Result<Option<FeedCursor>, exchange::Error> {
        let read = || feed_reader::newest(&*access.exchange, lane);
        match self.shared.parties.get(&access.name) {
            Some(party) => party.newest.read(lane, read).await,
            None => read().await,
        }
    }

    /// Takes one of the concurrent requests of a party; `None` if all stay in use for a while.
    pub(crate) async fn take_request(&self, name: &PartyName) -> Option<OwnedSemaphorePermit> {
        let requests = Arc::clone(&self.shared.parties.get(name)?.requests);
        timeout(QUEUE_TIME, requests.acquire_owned()).await.ok()?.ok()
    }

    /// Takes one of the concurrent requests of all parties; `None` if all stay in use for a while.
    pub(crate) async fn take_any_request(&self) -> Option<SemaphorePermit<'_>> {
        timeout(QUEUE_TIME, self.shared.requests.acquire())
            .await
            .ok()?
            .ok()
    }

    /// Returns which certificate belongs to which party.
    pub(crate) fn identities(&self) -> &Identities {
        &self.shared.identities
    }

    /// Returns the tokens.
    pub(crate) fn tokens(&self) -> &TokenRegistry {
        &self.shared.tokens
    }

    /// Returns the limits.
    pub(crate) fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// Returns the measurements.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// Returns the token that is cancelled when the gateway stops; a handler that waits for messages watches it.
    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.shared.stop
    }

    /// Records a refused authentication and returns whether to log it.
    pub(crate) fn is_new_refusal(&self, reason: &str) -> bool {
        let refusals = &self.shared.refusals;
        refusals
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_new(reason)
    }

    /// Records a successful authentication, so that the next refusal is logged again.
    pub(crate) fn note_authenticated(&self) {
        let refusals = &self.shared.refusals;
        refusals
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recovered();
    }

    /// Records a response of the class 5xx and returns whether to log it.
    pub(crate) fn is_new_failure(&self, problem: &str) -> bool {
        let failures = &self.shared.failures;
        failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_new(problem)
    }
}
