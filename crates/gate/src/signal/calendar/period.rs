//! One window or blackout.

use std::fmt;

use jiff::civil::{DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// A period of time, weekly or once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Period {
    /// On these days of the week. An end that is not after the start is on the next day.
    Weekly {
        /// The days on which it starts, from Monday.
        days: [bool; 7],
        /// The time of day at which it starts.
        from: Time,
        /// The time of day at which it ends, exclusive.
        to: Time,
    },
    /// Once, in local time.
    Local {
        /// The start.
        from: DateTime,
        /// The end, exclusive.
        to: DateTime,
    },
    /// Once, in absolute time.
    Exact {
        /// The start.
        from: Timestamp,
        /// The end, exclusive.
        to: Timestamp,
    },
}

/// A period in which no work is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blackout {
    /// The period.
    pub when: Period,
    /// The reason, for display.
    pub reason: Option<String>,
}

const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Returns the index from Monday, 0 to 6.
pub(super) fn index(day: Weekday) -> usize {
    usize::try_from(day.to_monday_zero_offset()).unwrap_or(0)
}

impl Period {
    pub(super) fn is_weekly(&self) -> bool {
        matches!(self, Self::Weekly { .. })
    }

    /// Whether the period covers the moment; `clock` is its local time.
    pub(super) fn covers(&self, now: Timestamp, clock: DateTime) -> bool {
        match self {
            Self::Exact { from, to } => *from <= now && now < *to,
            Self::Local { from, to } => *from <= clock && clock < *to,
            Self::Weekly { days, from, to } => {
                let today = days[index(clock.weekday())];
                let yesterday = days[(index(clock.weekday()) + 6) % 7];
                let time = clock.time();
                if from < to {
                    today && *from <= time && time < *to
                } else {
                    (today && *from <= time) || (yesterday && time < *to)
                }
            }
        }
    }

    /// Returns the next moment at which the local time is its start or its end.
    pub(super) fn next_edge(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let moments: Vec<Timestamp> = match self {
            Self::Exact { from, to } => vec![*from, *to],
            Self::Local { from, to } => [from, to]
                .into_iter()
                .flat_map(|edge| instants_of(*edge, zone))
                .collect(),
            Self::Weekly { from, to, .. } => {
                let today = zone.to_datetime(after).date();
                // Every day counts as an edge, whether the period starts on it or not: this is correct, and a clock
                // change may have skipped a day.
                (-1..=2)
                    .filter_map(|offset: i32| today.checked_add(offset.days()).ok())
                    .flat_map(|date| [date.to_datetime(*from), date.to_datetime(*to)])
                    .flat_map(|edge| instants_of(edge, zone))
                    .collect()
            }
        };
        moments.into_iter().filter(|moment| *moment > after).min()
    }
}

/// Returns the moments of a local time: two if the clock is set back over it. None if it is set forward over it; then
/// the clock change itself is the edge.
fn instants_of(clock: DateTime, zone: &TimeZone) -> Vec<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(clock);
    [ambiguous.earlier(), ambiguous.later()]
        .into_iter()
        .flatten()
        .collect()
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact { from, to } => write!(f, "{from} to {to}"),
            Self::Local { from, to } => write!(f, "{from} to {to}"),
            Self::Weekly { days, from, to } => {
                let named = NAMES.iter().zip(days).filter(|(_, on)| **on);
                let named: Vec<_> = named.map(|(name, _)| *name).collect();
                if named.len() == 7 {
                    f.write_str("every day")?;
                } else {
                    f.write_str(&named.join(","))?;
                }
                write!(f, " {} to {}", from.strftime("%H:%M"), to.strftime("%H:%M"))
            }
        }
    }
}

impl fmt::Display for Blackout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Some(reason) => write!(f, "{} ({reason})", self.when),
            None => self.when.fmt(f),
        }
    }
}
