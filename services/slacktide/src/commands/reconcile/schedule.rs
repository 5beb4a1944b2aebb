//! Repeats comparisons at an interval, and shows the last one of each lane in the agent's status and metrics.
//!
//! A lane is compared by the schedule only after an operator has compared it once: a bureau that does not allow it is not asked
//! each day. The report that the store keeps is the only state, so several agents over one store and restarts share it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use runtime::config::Loaded;
use runtime::metrics::MetricsText;
use schemas::name::Lane;
use serde::Serialize;
use store::StoredRows;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::comparing::compare;
use super::report::ReconcileReport;
use crate::compose;
use crate::failure::Failure;
use crate::settings::{CommercialFile, load};

/// How often the last reports are read.
const INTERVAL: Duration = Duration::from_secs(10);

/// How long a scheduled comparison waits for the bureau.
const TIMEOUT: Duration = Duration::from_secs(6 * 3_600);

/// When a comparison that failed is tried again.
const RETRY: Duration = Duration::from_secs(3_600);

/// The person or program in the requests of scheduled comparisons.
const ACTOR: &str = "slacktide";

/// The last comparison of a lane.
#[derive(Debug, Clone, Serialize)]
struct LastComparison {
    ended_at: Timestamp,
    is_balanced: bool,
    is_comparable: bool,
    errors: u64,
}

/// The last comparison of each lane.
#[derive(Debug, Clone, Default)]
pub(in crate::commands) struct LastComparisons(Arc<Mutex<BTreeMap<String, LastComparison>>>);

impl LastComparisons {
    fn replace(&self, all: BTreeMap<String, LastComparison>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = all;
    }

    fn all(&self) -> BTreeMap<String, LastComparison> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns them for the status page.
    pub(in crate::commands) fn status(&self) -> serde_json::Value {
        serde_json::to_value(self.all()).unwrap_or_default()
    }

    /// Writes the metrics. A lane that was not compared has no series.
    #[expect(
        clippy::cast_precision_loss,
        reason = "metrics are floats; counts below 2^53 are exact"
    )]
    pub(in crate::commands) fn metrics(&self, text: &mut MetricsText) {
        let all = self.all();
        for (lane, last) in &all {
            let help = "1 if the last comparison found core and store equal.";
            let value = f64::from(u8::from(last.is_balanced));
            text.gauge("slacktide_reconcile_balanced", help, &[("lane", lane)], value);
        }
        for (lane, last) in &all {
            let help = "Rows that the last comparison found missing, extra, different or doubled.";
            text.gauge(
                "slacktide_reconcile_errors",
                help,
                &[("lane", lane)],
                last.errors as f64,
            );
        }
        let now = Timestamp::now();
        for (lane, last) in &all {
            let help = "Time since the last comparison.";
            let age = now.duration_since(last.ended_at).as_secs_f64().max(0.0);
            text.gauge("slacktide_reconcile_age_seconds", help, &[("lane", lane)], age);
        }
    }
}

/// Starts the schedule of an agent with this file.
pub(in crate::commands) fn start(path: PathBuf, stop: CancellationToken) -> LastComparisons {
    let last = LastComparisons::default();
    let shown = last.clone();
    tokio::spawn(async move {
        let mut tick = tokio::time::interval_at(Instant::now() + INTERVAL, INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut schedule: Option<Schedule> = None;
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = stop.cancelled() => break,
            }
            let opened = match schedule.take() {
                Some(opened) => Ok(opened),
                None => Schedule::open(&path),
            };
            let round = async {
                let mut opened = opened?;
                opened.round(&shown).await?;
                Ok::<_, Failure>(opened)
            };
            let done = tokio::select! {
                done = round => done,
                () = stop.cancelled() => break,
            };
            match done {
                Ok(opened) => schedule = Some(opened),
                // The poller reports an unreachable store; the next round tries again.
                Err(error) => tracing::debug!(%error, "last comparisons cannot be read"),
            }
        }
        if let Some(schedule) = schedule {
            schedule.store.close().await;
        }
    });
    last
}

struct Schedule {
    loaded: Loaded<CommercialFile>,
    store: Arc<dyn StoredRows>,
    /// When a lane that could not be compared is due again: the bureau may have refused.
    retry_at: BTreeMap<Lane, Instant>,
}

impl Schedule {
    /// Opens no connection. The poller prepares the store.
    fn open(path: &Path) -> Result<Self, Failure> {
        let loaded: Loaded<CommercialFile> = load(path)?;
        let store = compose::stored_rows(&loaded)?;
        Ok(Self {
            loaded,
            store,
            retry_at: BTreeMap::new(),
        })
    }

    /// Shows the last comparisons, and runs the first that is due.
    async fn round(&mut self, shown: &LastComparisons) -> Result<(), Failure> {
        let (mut all, mut due) = (BTreeMap::new(), None);
        let table = &self.loaded.value.reconcile;
        for report in self.store.reports().await? {
            let lane = report.lane;
            let Some((kept_at, text)) = self.store.reports_kept(&lane, 1).await?.into_iter().next() else {
                continue;
            };
            let age = Timestamp::now().duration_since(kept_at).unsigned_abs();
            let is_deferred = self.retry_at.get(&lane).is_some_and(|at| *at > Instant::now());
            if table.scheduled && !is_deferred && age >= table.every.get() {
                due.get_or_insert_with(|| lane.clone());
            }
            // A report of another version is replaced by the next comparison.
            if let Ok(report) = serde_json::from_str::<ReconcileReport>(&text) {
                all.insert(
                    lane.to_string(),
                    LastComparison {
                        ended_at: kept_at,
                        is_balanced: report.is_balanced,
                        is_comparable: report.is_comparable(),
                        errors: report.errors(),
                    },
                );
            }
        }
        shown.replace(all);
        if let Some(lane) = due
            && let Err(error) = self.compare(&lane).await
        {
            tracing::warn!(%lane, %error, retry_in_s = RETRY.as_secs(), "scheduled comparison failed, retrying");
            self.retry_at.insert(lane, Instant::now() + RETRY);
        }
        Ok(())
    }

    async fn compare(&self, lane: &Lane) -> Result<(), Failure> {
        let report = compare(&self.loaded, self.store.as_ref(), lane, ACTOR, TIMEOUT).await?;
        if report.is_balanced {
            tracing::info!(%lane, "core and store are equal");
        } else {
            tracing::warn!(%lane, errors = report.errors(), "core and store are not known to be equal; run: slacktide reconcile show");
        }
        Ok(())
    }
}
