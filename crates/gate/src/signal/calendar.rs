//! The times in which work is wanted: weekly windows, and blackouts.
//!
//! The local time of the zone decides. A moment is inside a window if the local time is. An hour that a clock change
//! skips is in no window, and one that it repeats is inside twice. Nonexistent local times therefore need no special
//! rule.
//!
//! - [`config`] the configuration
//! - `period` one window or blackout; `text` its notation

pub mod config;
mod period;
mod text;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Signal, SignalError};
use crate::limits::Limit;
use crate::sample::SignalName;

pub use period::{Blackout, Period};
pub use text::{PeriodError, days, when, window};

/// The signal's name.
pub const NAME: &str = "calendar";

/// Closed outside (1), open inside (0).
pub const LIMIT: Limit = Limit {
    stop: 1.0,
    resume: 0.5,
    critical: None,
    quiet: None,
    unit: "outside",
};

/// Windows and blackouts in a time zone.
#[derive(Debug, Clone, PartialEq)]
pub struct Calendar {
    /// The time zone.
    pub zone: TimeZone,
    /// Work is wanted only inside one of these; always if there is none.
    pub windows: Vec<Period>,
    /// Work is never wanted inside one of these.
    pub blackouts: Vec<Blackout>,
}

/// The calendar's state at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Whether work is wanted.
    pub open: bool,
    /// The deciding window or blackout.
    pub why: String,
    /// When `open` changes next; `None` if never, or not within the next two thousand edges.
    pub changes_at: Option<Timestamp>,
}

/// Maximum number of edges to search for the next change.
const MAX_EDGES: usize = 2_000;

/// PURE: returns the calendar's state at a moment.
#[must_use]
pub fn status_at(now: Timestamp, calendar: &Calendar) -> Status {
    let (open, why) = is_open_at(now, calendar);
    let mut moment = now;
    let mut changes_at = None;
    for _ in 0..MAX_EDGES {
        let Some(next) = next_edge(moment, calendar) else {
            break;
        };
        if is_open_at(next, calendar).0 != open {
            changes_at = Some(next);
            break;
        }
        moment = next;
    }
    Status {
        open,
        why,
        changes_at,
    }
}

fn is_open_at(now: Timestamp, calendar: &Calendar) -> (bool, String) {
    let clock = calendar.zone.to_datetime(now);
    if let Some(blackout) = calendar.blackouts.iter().find(|one| one.when.covers(now, clock)) {
        return (false, format!("inside the blackout {blackout}"));
    }
    if calendar.windows.is_empty() {
        return (true, "outside every blackout".to_owned());
    }
    match calendar.windows.iter().find(|one| one.covers(now, clock)) {
        Some(window) => (true, format!("inside the window {window}")),
        None => (false, "outside every window".to_owned()),
    }
}

/// Returns the next moment at which the state may change: an edge of a period or a clock change.
fn next_edge(after: Timestamp, calendar: &Calendar) -> Option<Timestamp> {
    let rules = calendar.windows.iter();
    let rules = rules.chain(calendar.blackouts.iter().map(|blackout| &blackout.when));
    let edge = rules
        .filter_map(|rule| rule.next_edge(after, &calendar.zone))
        .min();
    let weekly = calendar.windows.iter().any(Period::is_weekly)
        || calendar
            .blackouts
            .iter()
            .any(|blackout| blackout.when.is_weekly());
    let shift = if weekly || edge.is_some() {
        calendar
            .zone
            .following(after)
            .next()
            .map(|shift| shift.timestamp())
    } else {
        None
    };
    edge.into_iter().chain(shift).min()
}

/// The signal of a calendar.
#[derive(Debug)]
pub struct CalendarSignal {
    calendar: Calendar,
    /// The last state, since when, and until when it is valid.
    last: Option<(Timestamp, Option<Timestamp>, bool)>,
}

impl CalendarSignal {
    /// Creates the signal; it reads the system's clock.
    #[must_use]
    pub fn new(calendar: Calendar) -> Self {
        Self { calendar, last: None }
    }

    /// Returns the value at a moment: 0 inside, 1 outside.
    pub fn value(&mut self, now: Timestamp) -> f64 {
        let open = match self.last {
            Some((from, until, open)) if now >= from && until.is_none_or(|until| now < until) => open,
            _ => {
                let status = status_at(now, &self.calendar);
                self.last = Some((now, status.changes_at, status.open));
                status.open
            }
        };
        if open { 0.0 } else { 1.0 }
    }
}

#[async_trait]
impl Signal for CalendarSignal {
    fn name(&self) -> SignalName {
        NAME.into()
    }

    fn unit(&self) -> &'static str {
        LIMIT.unit
    }

    async fn read(&mut self) -> Result<f64, SignalError> {
        Ok(self.value(Timestamp::now()))
    }
}

#[cfg(test)]
mod tests;
