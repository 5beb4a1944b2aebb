//! Counts the store's quarantine for the agent's status and metrics, and retries rows that wait for another row.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ::commercial::{CommercialStatus, QuarantineStatus, StatusRegistry};
use jiff::Timestamp;
use runtime::metrics::MetricsText;
use store::Quarantine;
use tokio_util::sync::CancellationToken;

/// The counting interval.
const INTERVAL: Duration = Duration::from_secs(2);

/// Counts until the token is cancelled. On an error the last counts stay: the poller reports an unreachable store.
pub(crate) fn start(quarantine: Arc<dyn Quarantine>, registry: StatusRegistry, stop: CancellationToken) {
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = stop.cancelled() => return,
            }
            let counted = tokio::select! {
                counted = quarantine.counts() => counted,
                () = stop.cancelled() => return,
            };
            // Retried rows leave the count at the next tick.
            let retried = tokio::select! {
                retried = quarantine.retry_waiting(Timestamp::now()) => retried,
                () = stop.cancelled() => return,
            };
            match retried {
                Ok(0) => {}
                Ok(rows) => tracing::info!(rows, "stored rows that waited for another row"),
                Err(error) => tracing::debug!(%error, "retrying waiting rows failed"),
            }
            match counted {
                Ok(held) => {
                    let mut lanes: BTreeMap<String, BTreeMap<&'static str, QuarantineStatus>> =
                        BTreeMap::new();
                    for entry in held {
                        let status = QuarantineStatus {
                            count: entry.count,
                            oldest: entry.oldest,
                        };
                        let lane = lanes.entry(entry.lane.to_string()).or_default();
                        lane.insert(entry.kind.word(), status);
                    }
                    registry.note(|status| status.quarantine = lanes);
                }
                Err(error) => tracing::debug!(%error, "counting the quarantine failed"),
            }
        }
    });
}

/// Writes count and age by lane and kind. A lane without entries has no series.
#[expect(
    clippy::cast_precision_loss,
    reason = "metrics are floats; counts below 2^53 are exact"
)]
pub(crate) fn metrics(status: &CommercialStatus, text: &mut MetricsText) {
    for (lane, kinds) in &status.quarantine {
        for (kind, held) in kinds {
            text.gauge(
                "slacktide_quarantine_entries",
                "Messages, rows and rejects in the store's quarantine.",
                &[("lane", lane), ("kind", kind)],
                held.count as f64,
            );
        }
    }
    let now = Timestamp::now();
    for (lane, kinds) in &status.quarantine {
        for (kind, held) in kinds {
            text.gauge(
                "slacktide_quarantine_oldest_seconds",
                "Age of the oldest entry in the store's quarantine.",
                &[("lane", lane), ("kind", kind)],
                now.duration_since(held.oldest).as_secs_f64().max(0.0),
            );
        }
    }
}
