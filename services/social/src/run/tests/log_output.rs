//! Captures the log of this process, for tests that search it for denied values.

use std::fmt::{Debug, Write as _};
use std::sync::{Mutex, Once, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

static LOG: Mutex<String> = Mutex::new(String::new());
static ONCE: Once = Once::new();

struct Keeps;

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}

impl Subscriber for Keeps {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().target().to_owned());
        event.record(&mut line);
        let mut log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
        log.push_str(&line.0);
        log.push('\n');
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Starts capturing, for all tests of this process.
pub(super) fn begin() {
    ONCE.call_once(|| tracing::subscriber::set_global_default(Keeps).unwrap());
}

/// Returns everything captured so far.
pub(super) fn all() -> String {
    LOG.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
