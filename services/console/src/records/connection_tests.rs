//! Tests of the parties' connections to the exchange, each with its time.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use exchange::Exchange;
use jiff::Timestamp;
use schemas::name::PartyName;

/// The time for one test.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The result of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConnectionTest {
    /// When it ended.
    pub(crate) at: Timestamp,
    /// The round trip, or why there was none.
    pub(crate) result: Result<Duration, String>,
}

/// The last test of each party's connection.
#[derive(Debug, Default)]
pub(crate) struct ConnectionTests(Mutex<BTreeMap<PartyName, ConnectionTest>>);

impl ConnectionTests {
    /// Returns the last test of a party's connection.
    pub(crate) fn last(&self, party: &PartyName) -> Option<ConnectionTest> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(party)
            .cloned()
    }

    /// Tests a connection now.
    pub(crate) async fn run(&self, party: &PartyName, exchange: &dyn Exchange, now: fn() -> Timestamp) {
        let result = match tokio::time::timeout(TIMEOUT, exchange.ping()).await {
            Ok(Ok(round_trip)) => Ok(round_trip),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("it did not answer within {} s", TIMEOUT.as_secs())),
        };
        let test = ConnectionTest { at: now(), result };
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(party.clone(), test);
    }
}
