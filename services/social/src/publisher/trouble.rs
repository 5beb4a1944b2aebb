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
        match error.kind {
            ErrorKind::Denied | ErrorKind::Refused => {
                self.reader = None;
                self.state(&format!("stopped: {error}"));
                Turn::Rest(self.parts.options.recheck)
            }
            ErrorKind::Unreachable | ErrorKind::Database => {
                self.reader = None;
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

    pub(super) fn state(&self, text: &str) {
        self.parts.board.feed(&self.parts.definition.name, |feed| {
            if feed.state != text {
                text.clone_into(&mut feed.state);
            }
        });
    }
}
