//! How much the store keeps aside, for the agent's status and metrics; rows that wait for another row are tried again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ::commercial::{Board, CommercialStatus, HeldStatus};
use jiff::Timestamp;
use runtime::metrics::MetricsText;
use store::Quarantine;
use tokio_util::sync::CancellationToken;

/// How often it is counted.
const EVERY: Duration = Duration::from_secs(2);

/// Counts until the token is cancelled. What cannot be counted is left as it was: the poller
/// tells of a store that is away.
pub(crate) fn keep(quarantine: Arc<dyn Quarantine>, board: Board, stop: CancellationToken) {
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = stop.cancelled() => return,
            }
            let counted = tokio::select! {
                counted = quarantine.held() => counted,
                () = stop.cancelled() => return,
            };
            // Rows that another row may have made room for since; the count of the next tick lacks them.
            let retried = tokio::select! {
                retried = quarantine.retry_waiting(Timestamp::now()) => retried,
                () = stop.cancelled() => return,
            };
            match retried {
                Ok(0) => {}
                Ok(rows) => tracing::info!(rows, "rows that waited for another row are stored"),
                Err(error) => tracing::debug!(%error, "rows that wait were not tried again"),
            }
            match counted {
                Ok(held) => {
                    let mut lanes: BTreeMap<String, BTreeMap<&'static str, HeldStatus>> = BTreeMap::new();
                    for one in held {
                        let status = HeldStatus {
                            count: one.count,
                            oldest: one.oldest,
                        };
                        let lane = lanes.entry(one.lane.to_string()).or_default();
                        lane.insert(one.kind.word(), status);
                    }
                    board.note(|status| status.held = lanes);
                }
                Err(error) => tracing::debug!(%error, "the quarantine was not counted"),
            }
        }
    });
}

/// Count and age by lane and kind. A lane with nothing in quarantine says nothing.
#[expect(
    clippy::cast_precision_loss,
    reason = "metrics are floats; counts below 2^53 are exact"
)]
pub(crate) fn metrics(status: &CommercialStatus, text: &mut MetricsText) {
    for (lane, kinds) in &status.held {
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
    for (lane, kinds) in &status.held {
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
