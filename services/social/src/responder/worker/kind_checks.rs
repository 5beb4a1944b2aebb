//! Opens each kind at the source once in a term of the lease, while no request can be answered. A kind that does not match the
//! source is reported before anyone requests it.

use std::collections::BTreeMap;
use std::time::Duration;

use source::ErrorKind;
use tokio::time::Instant;

use super::super::column_check::check_columns;
use super::super::request_query::request_query;
use super::RequestWorker;
use crate::gate_queue::QueuedPermit;
use crate::retry;

/// The interval for kinds that do not match: the source may have been corrected.
const RECHECK_INTERVAL: Duration = Duration::from_secs(60);

/// The kinds to check, each with its earliest time.
#[derive(Debug, Default)]
pub(super) struct KindChecks(BTreeMap<String, Instant>);

impl KindChecks {
    /// Makes all of these kinds due.
    pub(super) fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let now = Instant::now();
        Self(names.into_iter().map(|name| (name.to_owned(), now)).collect())
    }

    /// Returns a kind that is due.
    fn due(&self, now: Instant) -> Option<&String> {
        self.0.iter().find(|(_, at)| **at <= now).map(|(name, _)| name)
    }

    /// Returns when the next kind is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.values().min().copied()
    }
}

impl RequestWorker {
    /// Returns the next kind to check; `None` if none is due or the source is unreachable.
    pub(super) fn due_kind(&self) -> Option<String> {
        if self.source_retry_at.is_some() {
            return None;
        }
        self.kind_checks.due(Instant::now()).cloned()
    }

    /// Opens the query of a kind, without reading rows.
    pub(super) async fn check_kind(&mut self, name: &str, permit: QueuedPermit) {
        let kinds = std::sync::Arc::clone(&self.parts.answering.kinds);
        let Some(kind) = kinds.get(name) else {
            self.kind_checks.0.remove(name);
            return;
        };
        if permit.is_revoked() {
            return;
        }
        // Null arguments: neither the columns nor the types that arguments are compared with depend on their values.
        let query = request_query(kind, kind.null_source_arguments());
        let opened = self.parts.source.open_request_query(&query, &permit).await;
        let mismatch = match &opened {
            Ok(reader) => check_columns(kind.config(), reader.schema())
                .err()
                .map(|mismatch| format!("kind {name:?}: {mismatch}")),
            Err(error) => Some(error.to_string()),
        };
        let is_transient = matches!(
            opened.as_ref().err().map(|error| error.kind),
            Some(ErrorKind::Revoked | ErrorKind::Unreachable | ErrorKind::TimedOut)
        );
        // Closing a query sends a message to the source.
        drop(opened);
        drop(permit);
        match mismatch {
            None => {
                self.kind_checks.0.remove(name);
                self.clear_error(|errors| {
                    errors.kinds.remove(name);
                });
            }
            // The error is not about the kind.
            Some(_) if is_transient => {
                self.kind_checks
                    .0
                    .insert(name.to_owned(), Instant::now() + retry::after(1));
            }
            Some(what) => {
                self.kind_checks
                    .0
                    .insert(name.to_owned(), Instant::now() + RECHECK_INTERVAL);
                self.report_error(&what, |errors| {
                    errors.kinds.insert(name.to_owned(), what.clone());
                });
            }
        }
    }
}
