//! What a lane shows and says of itself.

use schemas::column::RowSchema;

use super::LaneWorker;
use crate::changed;
use crate::step::Event;
use crate::stop::StopReason;
use crate::tail::Beside;

impl LaneWorker {
    pub(super) fn show_held(&self, why: &str) {
        self.parts.board.lane(&self.parts.lane, |status| {
            if status.held.as_deref() != Some(why) {
                status.state = format!("held: {why}");
                (status.held, status.stopped, status.stopped_by) = (Some(why.to_owned()), false, None);
            }
        });
    }

    /// Shows that rows at the store may be gone at the source, until a resynchronisation is complete.
    pub(super) fn show_resync(&self, is_under_way: bool) {
        self.parts.board.lane(&self.parts.lane, |status| {
            if is_under_way {
                let detail = "the feed is being sent again from its start; until that is complete the store may hold rows that \
                              are gone at the source";
                let remedy = "wait until it is complete: nothing has to be done";
                status.unverified.set("resync_under_way", detail, remedy);
            } else {
                status.unverified.clear("resync_under_way");
            }
        });
    }

    /// The hold is over. Where the lease is another's, nothing else would show it.
    pub(super) fn show_free(&self) {
        let state = self.state.state();
        self.parts.board.lane(&self.parts.lane, |status| {
            if status.held.take().is_some() {
                state.clone_into(&mut status.state);
            }
        });
    }

    /// The columns as the recipient sees them; none: its masks do not go with them.
    fn shown(&self, columns: RowSchema) -> Option<RowSchema> {
        match &self.parts.masks {
            Some(masks) => Some(masks.plan(&columns, &[], &[]).ok()?.schema().clone()),
            None => Some(columns),
        }
    }

    /// A stop in the operator's words.
    pub(super) fn told(&self, reason: &StopReason) -> String {
        match (reason, &self.beside.schema) {
            (StopReason::DefinitionChanged, Some(before)) => {
                let columns = self.parts.board.columns(&self.parts.lane.feed);
                let columns = columns.and_then(|columns| self.shown(columns));
                changed::told(
                    &self.parts.lane,
                    (before, self.beside.definition),
                    (&self.parts.now, self.parts.definition),
                    columns.as_ref(),
                )
            }
            _ => reason.to_string(),
        }
    }

    pub(super) fn beside(&mut self, beside: Beside) {
        if let Some(mark) = beside.control {
            let lane = &self.parts.lane;
            self.parts
                .witness
                .see(mark, || format!("the last chunk of lane {lane}"));
        }
        match &beside.receipt_trouble {
            Some(error) if self.receipts_said.is_news(error) => {
                tracing::warn!(lane = %self.parts.lane, error, "the lane's last receipt is not used");
            }
            Some(_) => {}
            None => {
                if self.receipts_said.over().is_some() {
                    tracing::info!(lane = %self.parts.lane, "the lane's receipts are used again");
                }
            }
        }
        self.parts.board.lane(&self.parts.lane, |status| {
            status.receiver_stopped.clone_from(&beside.receiver_stopped);
            status.held_back.clone_from(&beside.held_back);
            if beside.is_receiver_behind {
                let why = beside.receiver_stopped.clone().unwrap_or_default();
                let remedy = "the receiver's operator has to act: `slacktide status` there says how";
                status.unverified.set("receiver_behind", why, remedy);
            } else {
                status.unverified.clear("receiver_behind");
            }
        });
        self.beside = beside;
    }

    pub(super) fn note(&mut self, event: &Event) {
        match event {
            Event::Failed(_, what) | Event::TailUnreadable(what) => {
                self.failures = self.failures.saturating_add(1);
                let [reading, publishing] = &mut self.said;
                let said = if self.state.in_flight() {
                    publishing
                } else {
                    reading
                };
                if said.is_news(what) {
                    tracing::warn!(lane = %self.parts.lane, error = what, "exchange; tried again and again");
                }
                let at = usize::from(self.state.in_flight());
                self.show_trouble(at, Some(what.clone()));
            }
            Event::Acked { .. } => {
                self.failures = 0;
                self.troubles = [None, None];
                self.show_trouble(0, None);
                let [reading, publishing] = &mut self.said;
                if let Some(met) = publishing.over().max(reading.over()) {
                    tracing::info!(lane = %self.parts.lane, met, "the exchange's trouble is over");
                }
            }
            Event::TailRead { .. } => {
                self.said[0].over();
                self.show_trouble(0, None);
            }
            // What another holds is another's to read and to publish.
            Event::LeaseLost => {
                self.troubles = [None, None];
                self.show_trouble(0, None);
            }
            _ => {}
        }
    }

    /// Shows the last trouble: of publishing, or else of reading. Each lasts until the same succeeds.
    fn show_trouble(&mut self, at: usize, trouble: Option<String>) {
        if let Some(place) = self.troubles.get_mut(at) {
            *place = trouble;
        }
        let [reading, publishing] = &self.troubles;
        let shown = publishing.as_ref().or(reading.as_ref());
        self.parts
            .board
            .lane(&self.parts.lane, |status| status.last_error = shown.cloned());
    }
}
