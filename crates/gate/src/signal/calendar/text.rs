//! The notation of windows and blackouts.

use jiff::civil::{Date, DateTime, Time};
use jiff::{Timestamp, ToSpan};

use super::period::Period;

const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Parses days of the week: `mon`, `mon-fri`, `sat-mon`; every day if empty.
///
/// # Errors
/// What is wrong, for display.
pub fn days(given: &[String]) -> Result<[bool; 7], String> {
    let mut days = [given.is_empty(); 7];
    let day = |name: &str| {
        let name = name.trim().to_ascii_lowercase();
        NAMES
            .iter()
            .position(|known| *known == name)
            .ok_or_else(|| format!("names the day {name:?}; the days are mon, tue, wed, thu, fri, sat, sun"))
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
/// What is wrong, for display.
pub fn window(given: &[String], from: &str, to: &str) -> Result<Period, String> {
    let read = |text: &str| time(text).ok_or_else(|| format!("has {text:?}; write a time as 22:00"));
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
/// What is wrong, for display.
pub fn when(given: &[String], from: &str, to: &str) -> Result<Period, String> {
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
        Err(format!("ends at {to}, before its start {from}"))
    }
}

fn local(text: &str, end: bool) -> Result<DateTime, String> {
    let error = || {
        format!(
            "has {text:?}; write both from and to as 22:00, as 2026-12-31, as 2026-12-31T20:00, or as 2026-12-31T20:00:00+08:00"
        )
    };
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
