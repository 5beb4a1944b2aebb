//! Publishes the store's lane reports as status and as receipts.

use std::sync::Arc;

use jiff::Timestamp;
use runtime::log_dedup::LogDedup;
use store::LaneReport;

use super::Poller;
use crate::status::Missing;

impl Poller {
    /// Writes the due receipts and shows the state of each lane.
    pub(super) async fn write_receipts(&mut self) {
        let reports = match self.parts.store.reports().await {
            Ok(reports) => reports,
            Err(error) => return self.record_failure(&error.to_string()),
        };
        for report in &reports {
            self.log_blocked(report);
            self.parts.registry.lane(&report.lane, |status| {
                (status.epoch, status.frontier, status.pending) = (report.epoch, report.to, report.pending);
                // A stopped lane waits for an operator, not for a chunk. A chunk that the store lost was not dropped
                // elsewhere.
                let pending = if report.blocked_reason().is_some() || self.comparison.is_behind(&report.lane)
                {
                    0
                } else {
                    report.pending
                };
                let before = status.missing;
                status.missing = Missing::of(report.epoch, report.to, pending, before, Timestamp::now());
                status.stopped = report.blocked_reason();
                status.refused = report.refused.as_ref().map(ToString::to_string);
                status.pending_change.clone_from(&report.pending_change);
                status.show_unfinished_removal(report.unfinished_removal);
                status.show_uncompared(&report.lane, report.uncompared);
                status.compacted = report.compacted;
            });
        }
        let exchange = Arc::clone(&self.parts.exchange);
        let Some(identity) = self.comparison.identity().cloned() else {
            return;
        };
        let (key, here) = (Arc::clone(&self.parts.key), self.parts.here.clone());
        for (lane, result) in self
            .receipts
            .publish(exchange.as_ref(), &key, (&here, &identity), &reports)
            .await
        {
            match result {
                Ok(to) => {
                    // A lane whose transactions fail keeps its own error.
                    let is_well = !self.failures.contains_key(&lane);
                    if let Some(occurrences) = self.receipt_log.get_mut(&lane).and_then(LogDedup::recovered) {
                        tracing::info!(%lane, occurrences, "publishing receipts recovered");
                    }
                    self.parts.registry.lane(&lane, |status| {
                        status.receipted = to;
                        if is_well {
                            status.last_error = None;
                        }
                    });
                }
                Err(error) => {
                    let error = error.to_string();
                    if self.receipt_log.entry(lane.clone()).or_default().is_new(&error) {
                        tracing::warn!(%lane, error, "publishing a receipt failed");
                    }
                    self.parts
                        .registry
                        .lane(&lane, |status| status.last_error = Some(error));
                }
            }
        }
    }

    /// Logs once when a lane starts to wait for an operator, and once when it continues.
    fn log_blocked(&mut self, report: &LaneReport) {
        let lane = &report.lane;
        match report.blocked_reason() {
            Some(why) => {
                if self.blocked_log.entry(lane.clone()).or_default().is_new(&why) {
                    tracing::error!(%lane, why, "lane waits for an operator");
                }
            }
            None => {
                if self
                    .blocked_log
                    .get_mut(lane)
                    .is_some_and(|log_dedup| log_dedup.recovered().is_some())
                {
                    tracing::info!(%lane, "lane continues");
                }
            }
        }
    }
}
