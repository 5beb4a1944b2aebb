//! What a page may read: the exchange as the session's party opens it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use exchange::Exchange;
use jiff::{SignedDuration, Timestamp};
use schemas::name::PartyName;
use schemas::sign::PublicKey;
use schemas::status_report::WatchNote;

use crate::console::Console;
use crate::facts::{self, Facts, FactsCache, Lanes, Trust};
use crate::site::PartyRole;

/// Status reports are read again when they are older.
const FACTS_FRESH: Duration = Duration::from_millis(900);

/// Lanes are read again when they are older: each needs two reads.
const LANES_FRESH: Duration = Duration::from_millis(2_500);

/// How often the watch note is renewed while a page is open, and how long it lasts.
const WATCH_EVERY: Duration = Duration::from_secs(10);
const WATCH_FOR: SignedDuration = SignedDuration::from_secs(30);

/// The exchange of one party, and the keys that the console trusts.
#[derive(Clone)]
pub struct Access {
    /// The party.
    pub party: PartyName,
    /// Its role.
    pub role: PartyRole,
    /// The exchange, with the party's own credential.
    pub exchange: Arc<dyn Exchange>,
    /// The signing keys of each party.
    pub trust: Arc<Trust>,
    pub(crate) console: Console,
    pub(crate) cache: Arc<FactsCache>,
    pub(crate) now: fn() -> Timestamp,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("party", &self.party)
            .finish_non_exhaustive()
    }
}

impl Access {
    /// Returns the keys of a party; empty if none is configured.
    #[must_use]
    pub fn keys(&self, party: &PartyName) -> &[PublicKey] {
        self.trust.keys(party)
    }

    /// Returns the status reports and the state of the exchange, read at most a second ago. All sessions of a party share them.
    pub async fn facts(&self) -> Arc<Facts> {
        let collect = || {
            facts::collect(
                &self.party,
                self.role,
                self.exchange.as_ref(),
                &self.trust,
                self.now,
            )
        };
        self.cache.facts.get(FACTS_FRESH, collect).await
    }

    /// Returns the lanes at the exchange, read at most a few seconds ago. All sessions of a party share them.
    pub async fn lanes(&self) -> Arc<Lanes> {
        let collect = || {
            facts::lanes::collect(
                &self.party,
                self.role,
                self.exchange.as_ref(),
                &self.trust,
                self.now,
            )
        };
        self.cache.lanes.get(LANES_FRESH, collect).await
    }

    /// Notes at the exchange that the party's agents are being watched, so that they report every second. The auditor may not
    /// write, and sees their ordinary reports.
    pub(crate) async fn watch(&self) {
        if self.role == PartyRole::Auditor {
            return;
        }
        let publish = async || {
            let until = (self.now)().checked_add(WATCH_FOR).unwrap_or(Timestamp::MAX);
            let note = WatchNote { until }.encode();
            if let Err(error) = self.exchange.publish_watch(&self.party, note.into()).await {
                tracing::debug!(%error, party = %self.party, "watch note not published");
            }
        };
        self.cache.watch.get(WATCH_EVERY, publish).await;
    }
}
