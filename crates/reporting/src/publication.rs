//! How the publication goes, for the agent's own page and metrics.

use std::sync::{Arc, Mutex, PoisonError};

use exchange::{Error, ErrorKind};
use jiff::Timestamp;
use runtime::metrics::MetricsText;
use schemas::name::PartyName;
use serde::Serialize;

/// The state of the publication. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Publication(Arc<Mutex<PublicationStatus>>);

/// The state of the publication, as the page shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PublicationStatus {
    /// The name under which the agent publishes; `None` until it has begun, or if it is switched off.
    pub writer: Option<PartyName>,
    /// When the last report was stored, by the local clock.
    pub published_at: Option<Timestamp>,
    /// Reports stored by this process.
    pub reports: u64,
    /// Reports that were not stored.
    pub failures: u64,
    /// Whether an operator watches.
    pub is_watched: bool,
    /// Since when no report is stored.
    pub failing_since: Option<Timestamp>,
    /// Why, with the remedy.
    pub error: Option<String>,
}

impl Publication {
    /// Returns the state.
    #[must_use]
    pub fn status(&self) -> PublicationStatus {
        self.state().clone()
    }

    /// Writes the state as metrics.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub fn metrics(&self, text: &mut MetricsText) {
        let status = self.status();
        let help = "Reports of this agent's status that the exchange stored.";
        text.counter("slacktide_status_reports_total", help, &[], status.reports as f64);
        let help = "Reports of this agent's status that the exchange did not store.";
        text.counter(
            "slacktide_status_report_failures_total",
            help,
            &[],
            status.failures as f64,
        );
        let help = "1 while an operator watches this party's agents.";
        let watched = f64::from(u8::from(status.is_watched));
        text.gauge("slacktide_status_watched", help, &[], watched);
    }

    pub(crate) fn begin(&self, writer: &PartyName) {
        self.state().writer = Some(writer.clone());
    }

    pub(crate) fn watched(&self, is_watched: bool) {
        self.state().is_watched = is_watched;
    }

    pub(crate) fn stored(&self, now: Timestamp) {
        let mut status = self.state();
        status.reports += 1;
        status.published_at = Some(now);
        (status.failing_since, status.error) = (None, None);
    }

    pub(crate) fn failed(&self, error: String, now: Timestamp) {
        let mut status = self.state();
        status.failures += 1;
        status.failing_since.get_or_insert(now);
        status.error = Some(error);
    }

    fn state(&self) -> std::sync::MutexGuard<'_, PublicationStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Describes why a report was not stored. An exchange without the stream, or with account files that do not know it, is older
/// than this agent: both are updated by the administrator.
#[must_use]
pub fn describe(error: &Error) -> String {
    match error.kind {
        ErrorKind::Topology => format!(
            "{}; run `slacktide exchange apply` with the administrator's credential; the agent's work does not depend on it",
            error.what
        ),
        ErrorKind::Denied => format!(
            "{}; run `slacktide exchange party write` and `slacktide exchange apply` with the administrator's credential; the \
             agent's work does not depend on it",
            error.what
        ),
        _ => error.to_string(),
    }
}
