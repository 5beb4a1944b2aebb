//! Repeats comparisons at an interval, and shows the last one of each lane in the agent's status and metrics.
//!
//! A lane is compared by the schedule only after an operator has compared it once: a bureau that does not allow it is not asked
//! each day. The report that the store keeps is the only state, so several agents over one store and restarts share it.
//!
//! A lane whose bureau continues with another source is compared at once, and repaired: the bureau's operator ordered that.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use runtime::config::Loaded;
use runtime::metrics::MetricsText;
use schemas::name::Lane;
use serde::Serialize;
use store::{Approval, LaneReport, StoredRows};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::comparing::compare;
use super::repair;
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

/// When the comparison and repair of a lane with another source is tried again: each reads the core's whole table.
const RETRY_UNCOMPARED: Duration = Duration::from_secs(300);

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
            let is_deferred = self
                .retry_at
                .get(&report.lane)
                .is_some_and(|at| *at > Instant::now());
            let must_repair = is_uncompared(&report);
            let kept = self.store.reports_kept(&report.lane, 1).await?;
            let age = |kept_at: &Timestamp| Timestamp::now().duration_since(*kept_at).unsigned_abs();
            let is_old = kept.iter().any(|(kept_at, _)| age(kept_at) >= table.every.get());
            let lane = report.lane;
            if table.scheduled && !is_deferred && (must_repair || is_old) {
                due.get_or_insert_with(|| (lane.clone(), must_repair));
            }
            let Some((kept_at, text)) = kept.into_iter().next() else {
                continue;
            };
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
        let Some((lane, must_repair)) = due else {
            return Ok(());
        };
        let retry = if must_repair { RETRY_UNCOMPARED } else { RETRY };
        let compared = self.compare(&lane, must_repair).await;
        if let Err(error) = &compared {
            tracing::warn!(%lane, %error, retry_in_s = retry.as_secs(), "comparison failed, retrying");
        }
        // Also a lane that is equal may have to be compared again, while something of it is in quarantine.
        if must_repair || compared.is_err() {
            self.retry_at.insert(lane, Instant::now() + retry);
        }
        Ok(())
    }

    /// Compares a lane, and repairs it if it must be.
    async fn compare(&self, lane: &Lane, must_repair: bool) -> Result<(), Failure> {
        let store = self.store.as_ref();
        let report = if must_repair {
            let by = Approval {
                actor: ACTOR.to_owned(),
                reason: "the bureau continues from its source as it is now".to_owned(),
            };
            repair::automatically(&self.loaded, store, lane, by, TIMEOUT).await?
        } else {
            compare(&self.loaded, store, lane, ACTOR, TIMEOUT).await?
        };
        if report.is_balanced {
            tracing::info!(%lane, "core and store are equal");
        } else {
            tracing::warn!(%lane, errors = report.errors(), "core and store are not known to be equal; run: slacktide reconcile show");
        }
        Ok(())
    }
}

/// Returns whether the lane must be compared now: its chunk is stored after which a comparison counts.
fn is_uncompared(report: &LaneReport) -> bool {
    report
        .uncompared
        .is_some_and(|after| report.chunk_number() >= after)
}
