//! What the store reports of its lanes: on the board, and as receipts.

use std::sync::Arc;

use jiff::Timestamp;
use runtime::said::Said;
use store::LaneReport;

use super::Poller;
use crate::status::Missing;

impl Poller {
    /// Writes the receipts that are due, and shows how each lane stands.
    pub(super) async fn write_receipts(&mut self) {
        let reports = match self.parts.store.reports().await {
            Ok(reports) => reports,
            Err(error) => return self.trouble(&error.to_string()),
        };
        for report in &reports {
            self.say_held_up(report);
            self.parts.board.lane(&report.lane, |status| {
                (status.epoch, status.frontier, status.pending) = (report.epoch, report.to, report.pending);
                // What is stopped waits for its operator, and not for a chunk; what a store lost was not dropped elsewhere.
                let waits = if report.held_up().is_some() || self.comparison.is_behind(&report.lane) {
                    0
                } else {
                    report.pending
                };
                let before = status.missing;
                status.missing = Missing::of(report.epoch, report.to, waits, before, Timestamp::now());
                status.stopped = report.held_up();
                status.refused = report.refused.as_ref().map(ToString::to_string);
                status.waits.clone_from(&report.waits);
                status.show_unremoved(report.unremoved);
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
                    // A lane whose transactions fail has its own trouble still.
                    let is_well = !self.failures.contains_key(&lane);
                    if let Some(met) = self.receipts_said.get_mut(&lane).and_then(Said::over) {
                        tracing::info!(%lane, met, "the lane's receipts are taken again");
                    }
                    self.parts.board.lane(&lane, |status| {
                        status.receipted = to;
                        if is_well {
                            status.last_error = None;
                        }
                    });
                }
                Err(error) => {
                    if self
                        .receipts_said
                        .entry(lane.clone())
                        .or_default()
                        .is_news(&error)
                    {
                        tracing::warn!(%lane, error, "the receipt waits");
                    }
                    self.parts
                        .board
                        .lane(&lane, |status| status.last_error = Some(error));
                }
            }
        }
    }

    /// Says once that a lane waits for an operator, and once that it does not any more.
    fn say_held_up(&mut self, report: &LaneReport) {
        let lane = &report.lane;
        match report.held_up() {
            Some(why) => {
                if self.held_up.entry(lane.clone()).or_default().is_news(&why) {
                    tracing::error!(%lane, why, "the lane waits for an operator");
                }
            }
            None => {
                if self
                    .held_up
                    .get_mut(lane)
                    .is_some_and(|said| said.over().is_some())
                {
                    tracing::info!(%lane, "the lane goes on");
                }
            }
        }
    }
}
