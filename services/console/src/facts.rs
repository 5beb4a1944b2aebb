//! What is read for the pages: the agents' signed status reports, and whether the exchange answers.
//!
//! - [`report`] one agent's report, verified or not
//! - [`page`] values of an agent's status document
//! - [`lanes`] the last chunk and receipt of each lane
//! - [`trust`] the keys to verify with

pub mod lanes;
pub mod page;
pub mod report;
pub mod trust;

use std::sync::Arc;
use std::time::{Duration, Instant};

use exchange::Exchange;
use jiff::Timestamp;
use schemas::name::PartyName;
use tokio::sync::Mutex;

use crate::site::PartyRole;
pub use lanes::{LaneFacts, Lanes, Position};
pub use report::{AgentRole, HistoryBucket, Report, Signature};
pub use trust::Trust;

/// The time for all reads of one collection.
const TIMEOUT: Duration = Duration::from_secs(8);

/// What was read at one time.
#[derive(Debug, Clone)]
pub struct Facts {
    /// When it was read.
    pub at: Timestamp,
    /// The round trip to the exchange, or why it does not answer.
    pub exchange: Result<Duration, String>,
    /// The last report of each agent that the party may read, sorted by party and writer.
    pub reports: Vec<Report>,
    /// Why reports could not be read.
    pub reports_error: Option<String>,
}

/// What was read last, for all sessions of a party.
#[derive(Debug)]
pub struct Cached<T>(Mutex<Option<(Instant, Arc<T>)>>);

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> Cached<T> {
    /// Returns what was read less than `fresh` ago, or reads it again. Callers at the same time share one read.
    pub async fn get<F: Future<Output = T>>(&self, fresh: Duration, collect: impl FnOnce() -> F) -> Arc<T> {
        let mut last = self.0.lock().await;
        if let Some((read_at, value)) = &*last
            && read_at.elapsed() < fresh
        {
            return Arc::clone(value);
        }
        let value = Arc::new(collect().await);
        *last = Some((Instant::now(), Arc::clone(&value)));
        value
    }
}

/// The last facts of a party, and when its agents were last asked for haste.
#[derive(Debug, Default)]
pub struct FactsCache {
    /// The reports and the exchange.
    pub facts: Cached<Facts>,
    /// The lanes.
    pub lanes: Cached<Lanes>,
    /// The watch note.
    pub watch: Cached<()>,
}

/// Reads everything that a party may read.
pub(crate) async fn collect(
    party: &PartyName,
    role: PartyRole,
    exchange: &dyn Exchange,
    trust: &Trust,
    now: fn() -> Timestamp,
) -> Facts {
    let mut facts = Facts {
        at: now(),
        exchange: Err(format!("it did not answer within {} s", TIMEOUT.as_secs())),
        reports: Vec::new(),
        reports_error: None,
    };
    let read = async {
        facts.exchange = exchange.ping().await.map_err(|error| error.to_string());
        if facts.exchange.is_ok() {
            (facts.reports, facts.reports_error) = report::read_all(party, role, exchange, trust).await;
        }
    };
    let _ = tokio::time::timeout(TIMEOUT, read).await;
    facts.at = now();
    facts
}
