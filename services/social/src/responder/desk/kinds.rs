//! Each kind is made ready at the source once in a term of the lease, while no request can be answered: a kind that does not fit is
//! shown before it is asked.

use std::collections::BTreeMap;
use std::time::Duration;

use source::ErrorKind;
use tokio::time::Instant;

use super::super::fits::fits;
use super::super::question::question;
use super::Desk;
use crate::retry;
use crate::turn::Turned;

/// A kind that does not fit is checked again this often: the source may have been corrected.
const AGAIN: Duration = Duration::from_secs(60);

/// Kinds that are to be looked at, each not before a moment.
#[derive(Debug, Default)]
pub(super) struct KindChecks(BTreeMap<String, Instant>);

impl KindChecks {
    /// All of these, at once.
    pub(super) fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let now = Instant::now();
        Self(names.into_iter().map(|name| (name.to_owned(), now)).collect())
    }

    /// One that is due.
    fn due(&self, now: Instant) -> Option<&String> {
        self.0.iter().find(|(_, at)| **at <= now).map(|(name, _)| name)
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.values().min().copied()
    }
}

impl Desk {
    /// The kind that is looked at next; none: nothing is due, or the source does not answer.
    pub(super) fn due_kind(&self) -> Option<String> {
        if self.source_rests.is_some() {
            return None;
        }
        self.kinds_due.due(Instant::now()).cloned()
    }

    /// Makes a kind ready. Nothing of its rows is read.
    pub(super) async fn check_kind(&mut self, name: &str, permit: Turned) {
        let kinds = std::sync::Arc::clone(&self.parts.answering.kinds);
        let Some(kind) = kinds.get(name) else {
            self.kinds_due.0.remove(name);
            return;
        };
        if permit.is_revoked() {
            return;
        }
        // Without values for its arguments: its columns, and what the arguments are compared with, do not depend on them.
        let asked = question(kind, kind.sent_empty());
        let opened = self.parts.source.open_question(&asked, &permit).await;
        let trouble = match &opened {
            Ok(reader) => fits(kind.config(), reader.schema())
                .err()
                .map(|what| format!("kind {name:?}: {what}")),
            Err(error) => Some(error.to_string()),
        };
        let is_again = matches!(
            opened.as_ref().err().map(|error| error.kind),
            Some(ErrorKind::Revoked | ErrorKind::Unreachable | ErrorKind::TimedOut)
        );
        // Closing a question sends a message to the source.
        drop(opened);
        drop(permit);
        match trouble {
            None => {
                self.kinds_due.0.remove(name);
                self.well(|troubles| {
                    troubles.kinds.remove(name);
                });
            }
            // The error is not about the kind.
            Some(_) if is_again => {
                self.kinds_due
                    .0
                    .insert(name.to_owned(), Instant::now() + retry::after(1));
            }
            Some(what) => {
                self.kinds_due.0.insert(name.to_owned(), Instant::now() + AGAIN);
                self.trouble(&what, |troubles| {
                    troubles.kinds.insert(name.to_owned(), what.clone());
                });
            }
        }
    }
}
