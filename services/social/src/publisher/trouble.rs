//! What is wrong with a feed, and for how long it rests.

use source::ErrorKind;

use super::{Publisher, Turn};
use crate::chunker::ChunkerError;
use crate::retry;
use crate::status::WAITING_FOR_SOURCE;

impl Publisher {
    /// A row came that cannot be passed; what came before it is published, and nothing beyond.
    pub(super) fn unusable(&mut self, error: &ChunkerError) -> Turn {
        self.trouble(error.to_string());
        self.state(&format!("stopped: {error}"));
        Turn::Rest(self.parts.options.recheck)
    }

    pub(super) fn failed(&mut self, error: &source::Error) -> Turn {
        if error.kind == ErrorKind::Revoked {
            return Turn::Go;
        }
        self.failures = self.failures.saturating_add(1);
        self.trouble(error.to_string());
        self.idle.wake();
        match error.kind {
            ErrorKind::Denied | ErrorKind::Refused => {
                self.reader = None;
                self.state(&format!("stopped: {error}"));
                Turn::Rest(self.parts.options.recheck)
            }
            ErrorKind::Unreachable | ErrorKind::Database => {
                // Behind the next connection there may be another server.
                (self.reader, self.fence) = (None, None);
                self.state(WAITING_FOR_SOURCE);
                Turn::Rest(retry::after(self.failures))
            }
            ErrorKind::TimedOut | ErrorKind::Revoked => Turn::Rest(retry::after(self.failures)),
        }
    }

    pub(super) fn trouble(&mut self, what: String) {
        if self.said.is_news(&what) {
            tracing::warn!(feed = %self.parts.definition.name, error = what, "source; tried again and again");
        }
        self.parts
            .board
            .feed(&self.parts.definition.name, |feed| feed.last_error = Some(what));
    }

    /// Nothing can be read for one lane; the others go on.
    pub(super) fn not_for(&mut self, lane: usize, what: &str) {
        let Some(end) = self.parts.lanes.get(lane) else {
            return;
        };
        if self.lanes_said.entry(lane).or_default().is_news(what) {
            tracing::error!(lane = %end.lane, error = what, "nothing is read for this lane");
        }
        let show = |error: &mut Option<String>| *error = Some(what.to_owned());
        self.parts
            .board
            .lane(&end.lane, |status| show(&mut status.last_error));
        let name = &self.parts.definition.name;
        self.parts.board.feed(name, |feed| show(&mut feed.last_error));
    }

    /// It is read again for a lane for which it was not.
    pub(super) fn well_for(&mut self, lane: usize) {
        let (Some(end), Some(said)) = (self.parts.lanes.get(lane), self.lanes_said.get_mut(&lane)) else {
            return;
        };
        if let Some(met) = said.over() {
            tracing::info!(lane = %end.lane, met, "it is read for this lane again");
        }
        self.parts
            .board
            .lane(&end.lane, |status| status.last_error = None);
    }

    pub(super) fn state(&self, text: &str) {
        self.parts.board.feed(&self.parts.definition.name, |feed| {
            if feed.state != text {
                text.clone_into(&mut feed.state);
            }
        });
    }
}
