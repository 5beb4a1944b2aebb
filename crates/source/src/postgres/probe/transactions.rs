//! Transactions per second, from two looks at the server's counts.
//!
//! The counts come from the sessions about once a second each, so a single reading is rough. Our
//! own reader's statements are left out; the probes' own, one a second, are not.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use gate::config::database::TRANSACTIONS;
use gate::sample::SignalName;
use gate::signal::SignalError;
use gate::signal::probe::Probe;
use tokio::time::Instant;

use super::link::Link;
use super::{OwnStatements, unreadable};

const COUNTS: &str = "SELECT xact_commit + xact_rollback FROM pg_catalog.pg_stat_database \
    WHERE datname = pg_catalog.current_database()";

pub(super) struct Transactions {
    link: Arc<Link>,
    own: OwnStatements,
    last: Option<Look>,
}

#[derive(Debug, Clone, Copy)]
struct Look {
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

/// Others' transactions per second from one look to the next; none where the counts went back,
/// as they do when the statistics are reset.
fn rate(from: Look, to: Look) -> Option<f64> {
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
        let look = Look {
            at: Instant::now(),
            all: row.try_get(0).map_err(unreadable)?,
            own: (self.own)(),
        };
        self.last = Some(look);
        let rate = last
            .ok_or_else(|| {
                SignalError("transactions are counted between two looks; this was the first".to_owned())
            })
            .and_then(|last| {
                rate(last, look).ok_or_else(|| SignalError("the database's statistics were reset".to_owned()))
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

    /// Trap: its own work read as foreground load, so it pauses itself.
    #[test]
    fn our_own_transactions_are_left_out_and_a_reset_is_no_number() {
        let at = Instant::now();
        let from = Look {
            at,
            all: 1_000,
            own: 10,
        };
        let look = |all, own| Look {
            at: at + Duration::from_secs(2),
            all,
            own,
        };
        assert_eq!(rate(from, look(1_500, 210)), Some(150.0));
        // The server's counts come late.
        assert_eq!(rate(from, look(1_100, 210)), Some(0.0));
        assert_eq!(rate(from, look(5, 210)), None);
        assert_eq!(
            rate(
                from,
                Look {
                    at,
                    ..look(1_500, 10)
                }
            ),
            None
        );
    }
}
