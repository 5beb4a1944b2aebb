//! How windows and blackouts are written.

use jiff::civil::{Date, DateTime, Time};
use jiff::{Timestamp, ToSpan};

use super::rule::When;

const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Days of the week: `mon`, `mon-fri`, `sat-mon`; every day when none is given.
///
/// # Errors
/// What is wrong with it, for people.
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

/// `22:00`; `24:00` is midnight at the end.
fn time(text: &str) -> Option<Time> {
    if text == "24:00" {
        return Some(Time::midnight());
    }
    let (hour, minute) = text.split_once(':')?;
    let two = |part: &str| (part.len() == 2).then(|| part.parse::<i8>().ok()).flatten();
    Time::new(two(hour)?, two(minute)?, 0, 0).ok()
}

/// A weekly window: `from` and `to` are times of the day. Equal ones are the whole day.
///
/// # Errors
/// What is wrong with it, for people.
pub fn window(given: &[String], from: &str, to: &str) -> Result<When, String> {
    let read = |text: &str| time(text).ok_or_else(|| format!("says {text:?}; write a time as 22:00"));
    Ok(When::Weekly {
        days: days(given)?,
        from: read(from)?,
        to: read(to)?,
    })
}

/// A blackout: weekly when `from` is a time of the day; otherwise both are dates (the last one
/// included), dates with times by the zone's clock, or timestamps with a zone.
///
/// # Errors
/// What is wrong with it, for people.
pub fn when(given: &[String], from: &str, to: &str) -> Result<When, String> {
    if time(from).is_some() || !given.is_empty() {
        return window(given, from, to);
    }
    let when = if let (Ok(from), Ok(to)) = (from.parse::<Timestamp>(), to.parse::<Timestamp>()) {
        When::Exact { from, to }
    } else {
        When::Local {
            from: local(from, false)?,
            to: local(to, true)?,
        }
    };
    let forward = match &when {
        When::Exact { from, to } => from < to,
        When::Local { from, to } => from < to,
        When::Weekly { .. } => true,
    };
    if forward {
        Ok(when)
    } else {
        Err(format!("ends at {to}, before it begins at {from}"))
    }
}

fn local(text: &str, end: bool) -> Result<DateTime, String> {
    let wrong = || {
        format!(
            "says {text:?}; write both from and to as 22:00, as 2026-12-31, as 2026-12-31T20:00, or as 2026-12-31T20:00:00+08:00"
        )
    };
    // A date parser reads a date out of a longer text, and would drop its zone.
    if text.len() == 10 {
        let date: Date = text.parse().map_err(|_| wrong())?;
        let date = if end {
            date.checked_add(1.day()).map_err(|_| wrong())?
        } else {
            date
        };
        return Ok(date.to_datetime(Time::midnight()));
    }
    let is_plain = text
        .get(10..)
        .is_some_and(|time| !time.contains(['Z', 'z', '+', '-', '[']));
    if is_plain {
        text.parse().map_err(|_| wrong())
    } else {
        Err(wrong())
    }
}
