//! Transactions per second, from two readings of the server's counters.
//!
//! Sessions report their counts about once a second, so a single rate is rough. The agent's own statements are subtracted. The
//! probes' own, one a second, are not.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use gate::sample::SignalName;
use gate::signal::SignalError;
use gate::signal::probe::Probe;
use gate::signal::probe::config::TRANSACTIONS;
use tokio::time::Instant;

use super::link::Link;
use super::{OwnStatements, unreadable};

const COUNTS: &str = "SELECT xact_commit + xact_rollback FROM pg_catalog.pg_stat_database \
    WHERE datname = pg_catalog.current_database()";

pub(super) struct Transactions {
    link: Arc<Link>,
    own: OwnStatements,
    last: Option<CounterReading>,
}

#[derive(Debug, Clone, Copy)]
struct CounterReading {
    at: Instant,
    all: i64,
    own: u64,
}

impl Transactions {
    pub(super) fn new(link: Arc<Link>, own: OwnStatements) -> Self {
        Self {
            link,
            own,
            last: None,
        }
    }
}

/// Returns other clients' transactions per second between two readings, or `None` if a counter went back, as after a reset of the
/// statistics.
fn rate(from: CounterReading, to: CounterReading) -> Option<f64> {
    let seconds = (to.at - from.at).as_secs_f64();
    let all = u32::try_from(to.all.checked_sub(from.all)?).ok()?;
    let own = u32::try_from(to.own.saturating_sub(from.own)).unwrap_or(u32::MAX);
    (seconds > 0.0).then(|| f64::from(all.saturating_sub(own)) / seconds)
}

#[async_trait]
impl Probe for Transactions {
    fn signals(&self) -> Vec<(SignalName, &'static str)> {
        vec![(TRANSACTIONS.into(), "transactions/s")]
    }

    fn is_connected(&self) -> bool {
        self.link.is_connected()
    }

    async fn connect(&mut self) -> Result<(), SignalError> {
        self.link.connect().await
    }

    async fn probe(&mut self) -> Result<BTreeMap<SignalName, f64>, SignalError> {
        let last = self.last.take();
        let rows = self.link.ask(COUNTS).await?;
        let row = rows
            .first()
            .ok_or_else(|| SignalError("pg_stat_database does not show the database".to_owned()))?;
        let reading = CounterReading {
            at: Instant::now(),
            all: row.try_get(0).map_err(unreadable)?,
            own: (self.own)(),
        };
        self.last = Some(reading);
        let rate = last
            .ok_or_else(|| {
                SignalError("the transaction rate needs two readings; this was the first".to_owned())
            })
            .and_then(|last| {
                rate(last, reading)
                    .ok_or_else(|| SignalError("the database's statistics were reset".to_owned()))
            })?;
        Ok(BTreeMap::from([(TRANSACTIONS.into(), rate)]))
    }

    fn disconnect(&mut self) {
        self.link.disconnect();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Regression: the gate read its own work as foreground load, so it paused itself.
    #[test]
    fn probe_rate_excludes_own_and_ignores_a_reset() {
        let at = Instant::now();
        let from = CounterReading {
            at,
            all: 1_000,
            own: 10,
        };
        let reading = |all, own| CounterReading {
            at: at + Duration::from_secs(2),
            all,
            own,
        };
        assert_eq!(rate(from, reading(1_500, 210)), Some(150.0));
        // The server's counts are late.
        assert_eq!(rate(from, reading(1_100, 210)), Some(0.0));
        assert_eq!(rate(from, reading(5, 210)), None);
        assert_eq!(
            rate(
                from,
                CounterReading {
                    at,
                    ..reading(1_500, 10)
                }
            ),
            None
        );
    }
}
