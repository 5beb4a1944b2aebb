//! One window or blackout.

use std::fmt;

use jiff::civil::{DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// A stretch of time that may come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// On these days of the week. An end that is not after the beginning is on the next day.
    Weekly {
        /// The days on which it begins, from Monday.
        days: [bool; 7],
        /// From this time of the day.
        from: Time,
        /// Until this one, exclusive.
        to: Time,
    },
    /// Once, by the clock of the zone.
    Local {
        /// From.
        from: DateTime,
        /// Until, exclusive.
        to: DateTime,
    },
    /// Once, by moments.
    Exact {
        /// From.
        from: Timestamp,
        /// Until, exclusive.
        to: Timestamp,
    },
}

/// A time when no work is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blackout {
    /// When.
    pub when: When,
    /// Why, for people.
    pub reason: Option<String>,
}

const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// From Monday, 0 to 6.
pub(super) fn index(day: Weekday) -> usize {
    usize::try_from(day.to_monday_zero_offset()).unwrap_or(0)
}

impl When {
    pub(super) fn is_weekly(&self) -> bool {
        matches!(self, Self::Weekly { .. })
    }

    /// Whether it covers the moment, at which the clock of the zone shows `clock`.
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

    /// The next moment at which the clock of the zone shows its beginning or its end.
    pub(super) fn next_edge(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let moments: Vec<Timestamp> = match self {
            Self::Exact { from, to } => vec![*from, *to],
            Self::Local { from, to } => [from, to]
                .into_iter()
                .flat_map(|edge| shown(*edge, zone))
                .collect(),
            Self::Weekly { from, to, .. } => {
                let today = zone.to_datetime(after).date();
                // Every day counts as an edge, whether it is one of its days or not: that is
                // right all the same, and the clocks may have skipped a day.
                (-1..=2)
                    .filter_map(|offset: i32| today.checked_add(offset.days()).ok())
                    .flat_map(|date| [date.to_datetime(*from), date.to_datetime(*to)])
                    .flat_map(|edge| shown(edge, zone))
                    .collect()
            }
        };
        moments.into_iter().filter(|moment| *moment > after).min()
    }
}

/// The moments at which the clock shows this: two where it is set back over it. Where it is set
/// forward over it there is none, and the moment of the change is an edge by itself.
fn shown(clock: DateTime, zone: &TimeZone) -> Vec<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(clock);
    [ambiguous.earlier(), ambiguous.later()]
        .into_iter()
        .flatten()
        .collect()
}

impl fmt::Display for When {
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
