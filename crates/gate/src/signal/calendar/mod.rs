//! When work is wanted at all: weekly windows, and times when it is not.
//!
//! What counts is the clock on the wall of the zone. A moment is inside a window when that clock
//! shows a time inside it; so an hour that the clocks skip is in no window, and one that they
//! repeat is inside twice. Nothing has to be guessed about times that do not exist.
//!
//! - `rule` one window or blackout; `text` how it is written

mod rule;
mod text;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Signal, SignalError};
use crate::limits::Limit;
use crate::sample::SignalName;

pub use rule::{Blackout, When};
pub use text::{days, when, window};

/// Its name.
pub const NAME: &str = "calendar";

/// Shut when outside (1), open when inside (0).
pub const LIMIT: Limit = Limit {
    stop: 1.0,
    resume: 0.5,
    critical: None,
    quiet: None,
    unit: "outside",
};

/// When work is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct Calendar {
    /// Whose clock counts.
    pub zone: TimeZone,
    /// Work only inside one of these; always when there is none.
    pub windows: Vec<When>,
    /// And never inside one of these.
    pub blackouts: Vec<Blackout>,
}

/// What a calendar says of a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Whether work is wanted.
    pub open: bool,
    /// The window or blackout that says so.
    pub why: String,
    /// When `open` changes next; none where it never does, or not in the next two thousand
    /// beginnings and ends.
    pub changes_at: Option<Timestamp>,
}

/// Further than anybody plans.
const MOST_STEPS: usize = 2_000;

/// What the calendar says at this moment. PURE.
#[must_use]
pub fn at(now: Timestamp, calendar: &Calendar) -> Status {
    let (open, why) = word(now, calendar);
    let mut moment = now;
    let mut changes_at = None;
    for _ in 0..MOST_STEPS {
        let Some(next) = next_edge(moment, calendar) else {
            break;
        };
        if word(next, calendar).0 != open {
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

fn word(now: Timestamp, calendar: &Calendar) -> (bool, String) {
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

/// The next moment at which anything may change: a beginning, an end, or the clocks themselves.
fn next_edge(after: Timestamp, calendar: &Calendar) -> Option<Timestamp> {
    let rules = calendar.windows.iter();
    let rules = rules.chain(calendar.blackouts.iter().map(|blackout| &blackout.when));
    let edge = rules
        .filter_map(|rule| rule.next_edge(after, &calendar.zone))
        .min();
    let weekly = calendar.windows.iter().any(When::is_weekly)
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
    /// What was said, from when, and until when it holds.
    last: Option<(Timestamp, Option<Timestamp>, bool)>,
}

impl CalendarSignal {
    /// Over a calendar; reads the system's clock.
    #[must_use]
    pub fn new(calendar: Calendar) -> Self {
        Self { calendar, last: None }
    }

    /// The value at a moment: 0 inside, 1 outside.
    pub fn value(&mut self, now: Timestamp) -> f64 {
        let open = match self.last {
            Some((from, until, open)) if now >= from && until.is_none_or(|until| now < until) => open,
            _ => {
                let status = at(now, &self.calendar);
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
