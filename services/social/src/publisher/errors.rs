//! Reports errors of a feed, and decides how long it rests.

use source::ErrorKind;

use super::{NextStep, Publisher};
use crate::retry;
use crate::row_batcher::BatchError;
use crate::status::{WAITING_FOR_GATE, WAITING_FOR_SOURCE};

impl Publisher {
    /// Stops the feed at a row that reading cannot pass. Earlier rows are published.
    pub(super) fn stop_feed(&mut self, error: &BatchError) -> NextStep {
        self.report_error(error.to_string(), true);
        self.set_state(&format!("stopped: {error}"));
        NextStep::Rest(self.parts.options.recheck)
    }

    pub(super) fn source_failed(&mut self, error: &source::Error) -> NextStep {
        if error.kind == ErrorKind::Revoked {
            return NextStep::Continue;
        }
        self.failures = self.failures.saturating_add(1);
        let is_stopped = matches!(error.kind, ErrorKind::Denied | ErrorKind::Refused);
        self.report_error(error.to_string(), is_stopped);
        self.idle.wake();
        match error.kind {
            ErrorKind::Denied | ErrorKind::Refused => {
                self.reader = None;
                self.set_state(&format!("stopped: {error}"));
                NextStep::Rest(self.parts.options.recheck)
            }
            ErrorKind::Unreachable | ErrorKind::Database => {
                // The next connection may reach another server.
                (self.reader, self.fence) = (None, None);
                self.set_state(WAITING_FOR_SOURCE);
                NextStep::Rest(retry::after(self.failures))
            }
            ErrorKind::TimedOut | ErrorKind::Revoked => NextStep::Rest(retry::after(self.failures)),
        }
    }

    /// Reports an error of the source: one that stops the feed until an operator acts, or one that is retried.
    pub(super) fn report_error(&mut self, what: String, is_stopped: bool) {
        let feed = &self.parts.definition.name;
        if self.log_dedup.is_new(&what) {
            if is_stopped {
                tracing::error!(%feed, error = what, "feed stopped, an operator has to act");
            } else {
                tracing::warn!(%feed, error = what, "reading the source failed, retrying");
            }
        }
        self.parts
            .registry
            .feed(&self.parts.definition.name, |feed| feed.last_error = Some(what));
    }

    /// Reports that nothing can be read for one lane.
    pub(super) fn report_lane_error(&mut self, lane: usize, what: &str) {
        let Some(end) = self.parts.lanes.get(lane) else {
            return;
        };
        if self.lane_log_dedups.entry(lane).or_default().is_new(what) {
            tracing::error!(lane = %end.lane, error = what, "cannot read rows for this lane");
        }
        let show = |error: &mut Option<String>| *error = Some(what.to_owned());
        self.parts
            .registry
            .lane(&end.lane, |status| show(&mut status.last_error));
        let name = &self.parts.definition.name;
        self.parts.registry.feed(name, |feed| show(&mut feed.last_error));
    }

    /// Clears the error of a lane.
    pub(super) fn clear_lane_error(&mut self, lane: usize) {
        let (Some(end), Some(log_dedup)) = (self.parts.lanes.get(lane), self.lane_log_dedups.get_mut(&lane))
        else {
            return;
        };
        if let Some(occurrences) = log_dedup.recovered() {
            tracing::info!(lane = %end.lane, occurrences, "rows are read for this lane again");
        }
        self.parts
            .registry
            .lane(&end.lane, |status| status.last_error = None);
    }

    pub(super) fn set_state(&self, text: &str) {
        self.parts.conditions.feed(&self.parts.definition.name, |feed| {
            feed.waits_for_gate = text == WAITING_FOR_GATE;
        });
        self.parts.registry.feed(&self.parts.definition.name, |feed| {
            if feed.state != text {
                text.clone_into(&mut feed.state);
            }
        });
    }
}
