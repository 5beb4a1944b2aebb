//! The status and log messages of a lane.

use exchange::ErrorKind;
use schemas::column::RowSchema;

use super::LaneWorker;
use crate::conditions::set_code;
use crate::definition_diff;
use crate::step::Event;
use crate::stop::StopReason;
use crate::tail::TailContext;

impl LaneWorker {
    pub(super) fn show_held(&self, why: &str) {
        self.parts.conditions.lane(&self.parts.lane, |lane| {
            (lane.stopped_by, lane.is_held) = (None, true);
        });
        self.parts.registry.lane(&self.parts.lane, |status| {
            if status.held.as_deref() != Some(why) {
                status.state = format!("held: {why}");
                (status.held, status.stopped, status.stopped_by) = (Some(why.to_owned()), false, None);
            }
        });
    }

    /// Shows, until a resynchronisation is complete, that the store may hold rows that are gone at the source.
    pub(super) fn show_resync(&self, is_under_way: bool) {
        self.set_code("resync_under_way", is_under_way);
        self.parts.registry.lane(&self.parts.lane, |status| {
            if is_under_way {
                let detail = "the feed is being sent again from its start; until that is complete the store may hold rows that \
                              are gone at the source";
                let remedy = "wait until it is complete; no action needed";
                status.unverified.set("resync_under_way", detail, remedy);
            } else {
                status.unverified.clear("resync_under_way");
            }
        });
    }

    /// Sets or clears a code for which "caught up" cannot be claimed.
    fn set_code(&self, code: &'static str, is_set: bool) {
        self.parts.conditions.lane(&self.parts.lane, |lane| {
            set_code(&mut lane.unverified, code, is_set);
        });
    }

    /// Clears the hold from the status. Without the lease nothing else would do so.
    pub(super) fn show_free(&self) {
        let state = self.state.state();
        self.parts
            .conditions
            .lane(&self.parts.lane, |lane| lane.is_held = false);
        self.parts.registry.lane(&self.parts.lane, |status| {
            if status.held.take().is_some() {
                state.clone_into(&mut status.state);
            }
        });
    }

    /// Returns the columns as the recipient sees them; `None` if the masks do not match them.
    fn masked_columns(&self, columns: RowSchema) -> Option<RowSchema> {
        match &self.parts.masks {
            Some(masks) => Some(masks.plan(&columns, &[], &[]).ok()?.schema().clone()),
            None => Some(columns),
        }
    }

    /// Describes a stop to the operator.
    pub(super) fn describe_stop(&self, reason: &StopReason) -> String {
        match (reason, &self.context.schema) {
            (StopReason::DefinitionChanged, Some(before)) => {
                let columns = self.parts.columns.borrow().clone();
                let columns = columns.and_then(|columns| self.masked_columns(columns));
                definition_diff::describe_change(
                    &self.parts.lane,
                    (before, self.context.definition),
                    (&self.parts.now, self.parts.definition),
                    columns.as_ref(),
                )
            }
            _ => reason.to_string(),
        }
    }

    pub(super) fn take_context(&mut self, context: TailContext) {
        if let Some(mark) = context.control {
            let lane = &self.parts.lane;
            self.parts
                .record_tracker
                .observe(mark, || format!("the last chunk of lane {lane}"));
        }
        match &context.receipt_error {
            Some(error) if self.receipt_log_dedup.is_new(error) => {
                tracing::warn!(lane = %self.parts.lane, error, "last receipt is not trusted, ignoring it");
            }
            Some(_) => {}
            None => {
                if self.receipt_log_dedup.recovered().is_some() {
                    tracing::info!(lane = %self.parts.lane, "last receipt is trusted again");
                }
            }
        }
        self.set_code("receiver_behind", context.is_receiver_behind);
        self.set_code("receiver_incomplete", context.is_receiver_incomplete);
        let (feed, recipient) = (&self.parts.lane.feed, &self.parts.lane.recipient);
        self.parts.registry.lane(&self.parts.lane, |status| {
            status.receiver_stopped.clone_from(&context.receiver_stopped);
            status.outstanding.clone_from(&context.outstanding);
            let remedy = "the receiver's operator must act: `slacktide status` there shows how";
            if context.is_receiver_behind {
                let why = context.receiver_stopped.clone().unwrap_or_default();
                status.unverified.set("receiver_behind", why, remedy);
            } else {
                status.unverified.clear("receiver_behind");
            }
            if context.is_receiver_incomplete {
                let why = "a resynchronisation is not complete at the receiver, so its rows may differ from the source's";
                let remedy = format!(
                    "wait for its end; if it has ended and the receiver's operator has resolved what is shown there, run it again: \
                     slacktide feed resync {feed} --recipient {recipient}"
                );
                status.unverified.set("receiver_incomplete", why, remedy);
            } else {
                status.unverified.clear("receiver_incomplete");
            }
        });
        self.context = context;
    }

    pub(super) fn record_event(&mut self, event: &Event) {
        match event {
            Event::Failed(..) | Event::TailUnreadable(_) => {
                let kind = match event {
                    Event::Failed(kind, _) => Some(kind),
                    _ => None,
                };
                self.awaits_leader = matches!(kind, Some(ErrorKind::NoLeader | ErrorKind::Lagging));
            }
            Event::LeaderAnswered { .. } => self.awaits_leader = true,
            _ => {}
        }
        match event {
            Event::Failed(_, what) | Event::TailUnreadable(what) => {
                self.failures = self.failures.saturating_add(1);
                let [reading, publishing] = &mut self.log_dedup;
                let log_dedup = if self.state.in_flight() {
                    publishing
                } else {
                    reading
                };
                if log_dedup.is_new(what) {
                    tracing::warn!(lane = %self.parts.lane, error = what, "exchange call failed, retrying");
                }
                let index = usize::from(self.state.in_flight());
                self.show_error(index, Some(what.clone()));
            }
            Event::Acked { .. } => {
                self.failures = 0;
                self.errors = [None, None];
                self.show_error(0, None);
                let [reading, publishing] = &mut self.log_dedup;
                if let Some(occurrences) = publishing.recovered().max(reading.recovered()) {
                    tracing::info!(lane = %self.parts.lane, occurrences, "exchange calls succeed again");
                }
            }
            Event::LeaderAnswered { .. } => self.failures = self.failures.saturating_add(1),
            Event::TailRead { .. } => {
                self.log_dedup[0].recovered();
                self.show_error(0, None);
            }
            // Another holder of the lease reads and publishes now.
            Event::LeaseLost => {
                self.errors = [None, None];
                self.show_error(0, None);
            }
            _ => {}
        }
    }

    /// Shows the last error: of publishing, or else of reading. Each lasts until the same operation succeeds.
    fn show_error(&mut self, index: usize, error: Option<String>) {
        if let Some(place) = self.errors.get_mut(index) {
            *place = error;
        }
        let [reading, publishing] = &self.errors;
        let shown = publishing.as_ref().or(reading.as_ref());
        self.parts
            .registry
            .lane(&self.parts.lane, |status| status.last_error = shown.cloned());
    }
}
