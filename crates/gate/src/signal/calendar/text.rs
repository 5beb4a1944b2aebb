//! The notation of windows and blackouts.

use jiff::civil::{Date, DateTime, Time};
use jiff::{Timestamp, ToSpan};

use super::period::Period;

/// Why a text is not a window or a blackout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeriodError {
    /// Not a day of the week.
    #[error("names the day {0:?}; the days are mon, tue, wed, thu, fri, sat, sun")]
    UnknownDay(String),
    /// Not a time of day.
    #[error("has {0:?}; write a time as 22:00")]
    NotATime(String),
    /// Neither a time of day nor a date.
    #[error(
        "has {0:?}; write both from and to as 22:00, as 2026-12-31, as 2026-12-31T20:00, or as 2026-12-31T20:00:00+08:00"
    )]
    NotADate(String),
    /// The end is not after the start.
    #[error("ends at {to}, before its start {from}")]
    Backward {
        /// The start, as written.
        from: String,
        /// The end, as written.
        to: String,
    },
}

const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Parses days of the week: `mon`, `mon-fri`, `sat-mon`; every day if empty.
///
/// # Errors
/// If a name is not a day.
pub fn days(given: &[String]) -> Result<[bool; 7], PeriodError> {
    let mut days = [given.is_empty(); 7];
    let day = |name: &str| {
        let name = name.trim().to_ascii_lowercase();
        NAMES
            .iter()
            .position(|known| *known == name)
            .ok_or(PeriodError::UnknownDay(name))
    };
    for text in given {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (mut at, last) = (day(first)?, day(last)?);
        days[at] = true;
        while at != last {
            at = (at + 1) % 7;
            days[at] = true;
        }
    }
    Ok(days)
}

/// Parses `22:00`; `24:00` is midnight at the end of the day.
fn time(text: &str) -> Option<Time> {
    if text == "24:00" {
        return Some(Time::midnight());
    }
    let (hour, minute) = text.split_once(':')?;
    let two = |part: &str| (part.len() == 2).then(|| part.parse::<i8>().ok()).flatten();
    Time::new(two(hour)?, two(minute)?, 0, 0).ok()
}

/// Parses a weekly window: `from` and `to` are times of day. Equal times are the whole day.
///
/// # Errors
/// If a day or a time cannot be parsed.
pub fn window(given: &[String], from: &str, to: &str) -> Result<Period, PeriodError> {
    let read = |text: &str| time(text).ok_or_else(|| PeriodError::NotATime(text.to_owned()));
    Ok(Period::Weekly {
        days: days(given)?,
        from: read(from)?,
        to: read(to)?,
    })
}

/// Parses a blackout: weekly if `from` is a time of day. Otherwise both are dates (the last one included), local dates
/// with times, or timestamps with a zone.
///
/// # Errors
/// If a part cannot be parsed, or the end is not after the start.
pub fn when(given: &[String], from: &str, to: &str) -> Result<Period, PeriodError> {
    if time(from).is_some() || !given.is_empty() {
        return window(given, from, to);
    }
    let when = if let (Ok(from), Ok(to)) = (from.parse::<Timestamp>(), to.parse::<Timestamp>()) {
        Period::Exact { from, to }
    } else {
        Period::Local {
            from: local(from, false)?,
            to: local(to, true)?,
        }
    };
    let forward = match &when {
        Period::Exact { from, to } => from < to,
        Period::Local { from, to } => from < to,
        Period::Weekly { .. } => true,
    };
    if forward {
        Ok(when)
    } else {
        Err(PeriodError::Backward {
            from: from.to_owned(),
            to: to.to_owned(),
        })
    }
}

fn local(text: &str, end: bool) -> Result<DateTime, PeriodError> {
    let error = || PeriodError::NotADate(text.to_owned());
    // The date parser accepts a longer text and would ignore its zone.
    if text.len() == 10 {
        let date: Date = text.parse().map_err(|_| error())?;
        let date = if end {
            date.checked_add(1.day()).map_err(|_| error())?
        } else {
            date
        };
        return Ok(date.to_datetime(Time::midnight()));
    }
    let is_plain = text
        .get(10..)
        .is_some_and(|time| !time.contains(['Z', 'z', '+', '-', '[']));
    if is_plain {
        text.parse().map_err(|_| error())
    } else {
        Err(error())
    }
}
