//! Monitors the usage of the exchange's streams that this party publishes in.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use nats::Fullness;
use nats::topology::Role;
use runtime::metrics::MetricsText;
use tokio_util::sync::CancellationToken;

use crate::exchange_client::ExchangeClient;

const INTERVAL: Duration = Duration::from_secs(30);

/// The last reading.
#[derive(Debug, Clone, Default)]
pub(crate) struct FullnessWatch(Arc<RwLock<Vec<Fullness>>>);

impl FullnessWatch {
    /// Starts periodic reads, until `stop`.
    pub(crate) fn start(exchange: &ExchangeClient, role: Role, stop: CancellationToken) -> Self {
        let watch = Self::default();
        // A gateway does not show it.
        let Some(exchange) = exchange.nats().cloned() else {
            return watch;
        };
        let own = watch.clone();
        tokio::spawn(async move {
            let mut alarming = BTreeSet::new();
            loop {
                // An unreachable exchange is reported elsewhere; the next read retries.
                if let Ok(all) = exchange.fullness(role).await {
                    alarming = report(&alarming, &all);
                    own.set(all);
                }
                tokio::select! {
                    () = tokio::time::sleep(INTERVAL) => {}
                    () = stop.cancelled() => return,
                }
            }
        });
        watch
    }

    fn set(&self, all: Vec<Fullness>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = all;
    }

    /// Writes one gauge for each stream.
    pub(crate) fn metrics(&self, text: &mut MetricsText) {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        for fullness in all {
            let help = "The used share of the limit of a stream that this side publishes in.";
            let labels = [("stream", fullness.stream.as_str())];
            text.gauge("slacktide_stream_full_ratio", help, &labels, fullness.ratio());
        }
    }
}

/// Logs each stream that became almost full, and each that no longer is. Returns the almost full streams.
fn report(before: &BTreeSet<String>, all: &[Fullness]) -> BTreeSet<String> {
    let alarming: BTreeSet<String> = all
        .iter()
        .filter(|fullness| fullness.is_alarming())
        .map(|fullness| fullness.stream.clone())
        .collect();
    for stream in alarming.difference(before) {
        tracing::warn!(stream, "stream of the exchange is almost full");
    }
    for stream in before.difference(&alarming) {
        tracing::info!(stream, "stream of the exchange has room again");
    }
    alarming
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fullness_alarm_begins_and_ends_with_the_stream() {
        let at = |bytes| Fullness {
            stream: "AUDIT_bureau".into(),
            bytes,
            max_bytes: 100,
        };
        let begun_alarms = report(&BTreeSet::new(), &[at(70)]);
        assert!(begun_alarms.contains("AUDIT_bureau"));
        assert!(report(&begun_alarms, &[at(69)]).is_empty());
        let watch = FullnessWatch::default();
        watch.set(vec![at(70)]);
        let mut text = MetricsText::new();
        watch.metrics(&mut text);
        let text = text.finish();
        assert!(
            text.contains("slacktide_stream_full_ratio{stream=\"AUDIT_bureau\"} 0.7"),
            "{text}"
        );
    }
}
