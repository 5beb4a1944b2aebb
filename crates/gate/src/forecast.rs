//! PURE: when a backlog will be through, by the recorded idle history.
//!
//! What a future hour brings is what the same hour of the week brought; with fewer than two of
//! those the same hour of the day; failing that, all hours. The middle forecast takes their
//! median, the pessimistic one what four in five of them reached. Hours are UTC's: a fixed
//! shift between a site's time and UTC moves all of them alike.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use schemas::load::GateState;
use serde::Serialize;

use crate::record::Block;

const HOUR_MS: i64 = 3_600_000;

/// An hour that was seen for less than this says nothing.
const LEAST_SEEN_MS: i64 = 15 * 60_000;

/// Longest step between two samples that counts as seen.
const LONGEST_STEP_MS: i64 = 5_000;

/// How far it looks ahead, in hours.
const HORIZON: i64 = 366 * 24;

/// What an hour brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Hour {
    seen_ms: i64,
    /// Milliseconds of work that the duty allowed, in thousandths.
    work: i64,
    rows: i64,
}

/// The idle history by hour since 1970; an hour takes a few bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    hours: BTreeMap<i64, Hour>,
}

/// What a forecast rests on, from the best to the poorest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The same hour of earlier weeks.
    HourOfWeek,
    /// The same hour of earlier days.
    HourOfDay,
    /// All hours together.
    Overall,
}

/// When a backlog will be through.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Forecast {
    /// The backlog.
    pub rows: u64,
    /// From when on.
    pub from: Timestamp,
    /// As likely before as after; none when nothing can be said, or it takes longer than a year.
    pub middle: Option<Timestamp>,
    /// If all hours are as poor as the poorest in five.
    pub pessimistic: Option<Timestamp>,
    /// Rows in a second of full work; none when none ever moved.
    pub rows_per_second: Option<f64>,
    /// The poorest basis that an hour up to the middle time was judged by.
    pub basis: Basis,
    /// Hours of history.
    pub history_hours: usize,
    /// Percent of the seen time that might be worked.
    pub open_percent: f64,
    /// What to know before believing it.
    pub remark: Option<String>,
}

impl History {
    /// Takes in a block. Blocks come oldest first.
    pub fn add(&mut self, block: &Block) {
        let mut turns = block.turns.iter().peekable();
        let mut state = GateState::Shut;
        for (at, pair) in (0_u32..).zip(block.rows.windows(2)) {
            let [row, next] = pair else { continue };
            if let Some(turn) = turns.next_if(|turn| turn.at == at) {
                state = turn.state;
            }
            let step = next.mono_ms.saturating_sub(row.mono_ms);
            if !(0..=LONGEST_STEP_MS).contains(&step) {
                continue;
            }
            let hour = self.hours.entry(row.wall_ms.div_euclid(HOUR_MS)).or_default();
            hour.seen_ms = hour.seen_ms.saturating_add(step);
            if state != GateState::Shut {
                let work = step.saturating_mul(row.duty_milli.clamp(0, 1_000));
                hour.work = hour.work.saturating_add(work);
            }
            let rows = next.moved.saturating_sub(row.moved).max(0);
            hour.rows = hour.rows.saturating_add(rows);
        }
    }

    /// The history of these blocks.
    #[must_use]
    pub fn of(blocks: &[Block]) -> Self {
        let mut history = Self::default();
        blocks.iter().for_each(|block| history.add(block));
        history
    }

    /// Shares of hours that may be worked, of those that were seen for long enough.
    fn shares(&self, wanted: impl Fn(i64) -> bool) -> Vec<f64> {
        let mut shares: Vec<f64> = self
            .hours
            .iter()
            .filter(|(hour, seen)| seen.seen_ms >= LEAST_SEEN_MS && wanted(**hour))
            .map(|(_, seen)| number(seen.work) / number(seen.seen_ms) / 1e3)
            .collect();
        shares.sort_by(f64::total_cmp);
        shares
    }

    fn total(&self) -> Hour {
        self.hours.values().fold(Hour::default(), |sum, hour| Hour {
            seen_ms: sum.seen_ms.saturating_add(hour.seen_ms),
            work: sum.work.saturating_add(hour.work),
            rows: sum.rows.saturating_add(hour.rows),
        })
    }
}

/// When a backlog of so many rows will be through. `rows_per_second` is of full work; when left
/// out it is measured from the history.
#[must_use]
pub fn forecast(history: &History, rows: u64, rows_per_second: Option<f64>, now: Timestamp) -> Forecast {
    let total = history.total();
    let measured =
        (total.rows > 0 && total.work > 0).then(|| number(total.rows) / (number(total.work) / 1e6));
    let given = rows_per_second.filter(|speed| speed.is_finite() && *speed > 0.0);
    let mut told = Forecast {
        rows,
        from: now,
        middle: None,
        pessimistic: None,
        rows_per_second: given.or(measured),
        basis: Basis::HourOfWeek,
        history_hours: history.hours.len(),
        open_percent: if total.seen_ms > 0 {
            number(total.work) / number(total.seen_ms) / 10.0
        } else {
            0.0
        },
        remark: None,
    };
    let shares = Shares::of(history);
    if shares.overall.is_empty() {
        told.remark = Some("too little history: less than a quarter of an hour of samples".to_owned());
        return told;
    }
    let Some(speed) = told.rows_per_second else {
        told.remark = Some(
            "no rows moved in the recording, so the speed is not known: give rows per second".to_owned(),
        );
        return told;
    };
    #[expect(clippy::cast_precision_loss, reason = "a backlog far below 2^52")]
    let work = rows as f64 / speed;
    (told.middle, told.basis) = shares.walk(work, now, 0.5);
    (told.pessimistic, _) = shares.walk(work, now, 0.2);
    let hours = shares.overall.len();
    told.remark = if told.middle.is_none() {
        Some("not within a year: the core is hardly ever idle".to_owned())
    } else if hours < 48 {
        Some(format!(
            "{hours} hours of history: other days and nights may be otherwise"
        ))
    } else if told.pessimistic.is_none() {
        Some("if all hours were as poor as the poorest in five, not within a year".to_owned())
    } else {
        None
    };
    told
}

/// Sorted shares of hours, by the hour of the week, of the day, and all together.
struct Shares {
    week: Vec<Vec<f64>>,
    day: Vec<Vec<f64>>,
    overall: Vec<f64>,
}

impl Shares {
    fn of(history: &History) -> Self {
        let by = |hours: i64| -> Vec<Vec<f64>> {
            (0..hours)
                .map(|at| history.shares(|hour| hour.rem_euclid(hours) == at))
                .collect()
        };
        Self {
            week: by(168),
            day: by(24),
            overall: history.shares(|_| true),
        }
    }

    fn share(&self, hour: i64, rank: f64) -> (f64, Basis) {
        let of = |by: &[Vec<f64>], hours: i64| {
            let at = usize::try_from(hour.rem_euclid(hours)).unwrap_or_default();
            by.get(at)
                .filter(|shares| shares.len() >= 2)
                .map(|shares| ranked(shares, rank))
        };
        if let Some(share) = of(&self.week, 168) {
            (share, Basis::HourOfWeek)
        } else if let Some(share) = of(&self.day, 24) {
            (share, Basis::HourOfDay)
        } else {
            (ranked(&self.overall, rank), Basis::Overall)
        }
    }

    /// When so many seconds of full work are done.
    fn walk(&self, work: f64, now: Timestamp, rank: f64) -> (Option<Timestamp>, Basis) {
        let start = now.as_millisecond();
        let (mut left, mut at, mut basis) = (work, start, Basis::HourOfWeek);
        let first = start.div_euclid(HOUR_MS);
        for hour in first..first + HORIZON {
            let (share, by) = self.share(hour, rank);
            basis = basis.max(by);
            let end = (hour + 1) * HOUR_MS;
            let able = number(end - at) / 1e3 * share;
            if able >= left {
                let took = if share > 0.0 { left / share } else { 0.0 };
                let span = Duration::try_from_secs_f64(took).unwrap_or_default();
                let at = Timestamp::from_millisecond(at).unwrap_or(now);
                return (at.checked_add(span).ok(), basis);
            }
            left -= able;
            at = end;
        }
        (None, basis)
    }
}

/// The value at a rank between 0 and 1 of a sorted list, in between where it falls between two.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a place in a short list"
)]
fn ranked(sorted: &[f64], rank: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let place = last as f64 * rank;
    let low = (place.floor() as usize).min(last);
    let high = (low + 1).min(last);
    match (sorted.get(low), sorted.get(high)) {
        (Some(low), Some(high)) => low + (high - low) * place.fract(),
        _ => 0.0,
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds and rows far below 2^52")]
fn number(value: i64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `days` of history: open for `share` thousandths of each hour, 1000 rows a second of work.
    fn history(days: i64, share: impl Fn(i64) -> i64) -> History {
        let hour = |hour| {
            let work = HOUR_MS * share(hour);
            let seen = Hour {
                seen_ms: HOUR_MS,
                work,
                rows: work / 1_000,
            };
            (hour, seen)
        };
        History {
            hours: (0..days * 24).map(hour).collect(),
        }
    }

    fn hours(forecast: Option<Timestamp>, from: Timestamp) -> f64 {
        forecast.map_or(f64::NAN, |at| at.duration_since(from).as_secs_f64() / 3_600.0)
    }

    fn at_hour(hour: i64) -> Timestamp {
        Timestamp::from_millisecond(hour * HOUR_MS).unwrap_or_default()
    }

    #[test]
    fn nights_do_the_work() {
        // Idle from 0 to 6, busy otherwise: four weeks.
        let history = history(28, |hour| if hour % 24 < 6 { 1_000 } else { 0 });
        let noon = at_hour(28 * 24 + 12);
        let told = forecast(&history, 3_600_000, None, noon);
        assert!((hours(told.middle, noon) - 13.0).abs() < 0.01, "{told:?}");
        assert_eq!((told.middle, told.basis), (told.pessimistic, Basis::HourOfWeek));
        assert_eq!(told.remark, None);
    }

    #[test]
    fn uneven_days_part_the_middle_from_the_pessimistic() {
        let history = history(56, |hour| if hour / 168 % 2 == 0 { 200 } else { 800 });
        let now = at_hour(56 * 24);
        let told = forecast(&history, 3_600_000, None, now);
        assert!(told.pessimistic > told.middle, "{told:?}");
        assert!(hours(told.middle, now) >= 1.0);
    }

    #[test]
    fn little_history_falls_back_and_says_so() {
        let told = forecast(&history(3, |_| 500), 1_000, None, at_hour(80));
        assert_eq!((told.basis, told.remark), (Basis::HourOfDay, None));
        let told = forecast(&history(1, |_| 500), 1_000, None, at_hour(80));
        assert_eq!(told.basis, Basis::Overall);
        assert!(told.remark.is_some_and(|remark| remark.starts_with("24 hours")));
        let told = forecast(&History::default(), 1_000, Some(5.0), at_hour(80));
        assert!(told.middle.is_none() && told.remark.is_some());
    }

    #[test]
    fn what_never_was_idle_is_not_promised() {
        let told = forecast(&history(30, |_| 0), 1_000, Some(50.0), at_hour(800));
        assert_eq!((told.middle, told.pessimistic), (None, None));
        let told = forecast(&history(30, |_| 0), 1_000, None, at_hour(800));
        assert!(
            told.remark
                .is_some_and(|remark| remark.contains("speed is not known"))
        );
        // Nothing to do is done at once, even then.
        let told = forecast(&history(30, |_| 0), 0, Some(50.0), at_hour(800));
        assert_eq!(told.middle, Some(at_hour(800)));
    }
}
