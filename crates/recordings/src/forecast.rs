//! PURE: predicts when a backlog will be finished, from the recorded idle history.
//!
//! The prediction for an hour uses the same hour of the week; with fewer than two of those, the same hour of the day;
//! otherwise all hours. The median forecast uses their median, the pessimistic one the level that four in five of them
//! reached. Hours are in UTC: a fixed offset of the site shifts all of them alike.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use schemas::load::GateState;
use serde::Serialize;

use crate::Block;

const HOUR_MS: i64 = 3_600_000;

/// An hour with less recorded time than this is ignored.
const MIN_SEEN_MS: i64 = 15 * 60_000;

/// Longest step between two samples that counts as recorded.
const MAX_STEP_MS: i64 = 5_000;

/// Maximum length of a forecast, in hours.
const HORIZON_HOURS: i64 = 366 * 24;

/// The recorded totals of one hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Hour {
    seen_ms: i64,
    /// Duty-weighted milliseconds, in thousandths.
    work: i64,
    rows: i64,
}

/// The idle history by hour since 1970; an hour takes a few bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    hours: BTreeMap<i64, Hour>,
}

/// The data that a forecast is based on, from the best to the poorest.
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

/// The predicted end of a backlog.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Forecast {
    /// The backlog.
    pub rows: u64,
    /// The start of the forecast.
    pub from: Timestamp,
    /// The median prediction; `None` if there is no prediction, or it takes longer than a year.
    pub median: Option<Timestamp>,
    /// The prediction if all hours are as poor as the poorest in five.
    pub pessimistic: Option<Timestamp>,
    /// Rows per second of full work; `None` if no rows were recorded.
    pub rows_per_second: Option<f64>,
    /// The poorest basis of an hour before the median prediction.
    pub basis: Basis,
    /// Number of hours in the history.
    pub history_hours: usize,
    /// Percent of the recorded time in which work was permitted.
    pub open_percent: f64,
    /// A caveat.
    pub remark: Option<String>,
}

impl History {
    /// Adds a block. Blocks must be added oldest first.
    pub fn add(&mut self, block: &Block) {
        let mut changes = block.changes.iter().peekable();
        let mut state = GateState::Closed;
        for (at, pair) in (0_u32..).zip(block.rows.windows(2)) {
            let [row, next] = pair else { continue };
            if let Some(change) = changes.next_if(|change| change.at == at) {
                state = change.state;
            }
            let step = next.mono_ms.saturating_sub(row.mono_ms);
            if !(0..=MAX_STEP_MS).contains(&step) {
                continue;
            }
            let hour = self.hours.entry(row.wall_ms.div_euclid(HOUR_MS)).or_default();
            hour.seen_ms = hour.seen_ms.saturating_add(step);
            if state != GateState::Closed {
                let work = step.saturating_mul(row.duty_milli.clamp(0, 1_000));
                hour.work = hour.work.saturating_add(work);
            }
            let rows = next.moved.saturating_sub(row.moved).max(0);
            hour.rows = hour.rows.saturating_add(rows);
        }
    }

    /// Returns the history of these blocks.
    #[must_use]
    pub fn from_blocks(blocks: &[Block]) -> Self {
        let mut history = Self::default();
        blocks.iter().for_each(|block| history.add(block));
        history
    }

    /// Returns the sorted duty shares of the hours with enough recorded time.
    fn shares(&self, wanted: impl Fn(i64) -> bool) -> Vec<f64> {
        let mut shares: Vec<f64> = self
            .hours
            .iter()
            .filter(|(hour, seen)| seen.seen_ms >= MIN_SEEN_MS && wanted(**hour))
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

/// Predicts the end of a backlog. `rows_per_second` is at full duty; if `None`, it is measured from the history.
#[must_use]
pub fn forecast(history: &History, rows: u64, rows_per_second: Option<f64>, now: Timestamp) -> Forecast {
    let total = history.total();
    let measured =
        (total.rows > 0 && total.work > 0).then(|| number(total.rows) / (number(total.work) / 1e6));
    let given = rows_per_second.filter(|speed| speed.is_finite() && *speed > 0.0);
    let mut result = Forecast {
        rows,
        from: now,
        median: None,
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
    let shares = Shares::from_history(history);
    if shares.overall.is_empty() {
        result.remark = Some("too little history: less than 15 minutes of samples".to_owned());
        return result;
    }
    let Some(speed) = result.rows_per_second else {
        result.remark = Some(
            "no rows were published in the recording, so the rate is not known; give --rows-per-second"
                .to_owned(),
        );
        return result;
    };
    #[expect(clippy::cast_precision_loss, reason = "a backlog far below 2^52")]
    let work = rows as f64 / speed;
    (result.median, result.basis) = shares.walk(work, now, 0.5);
    (result.pessimistic, _) = shares.walk(work, now, 0.2);
    let hours = shares.overall.len();
    result.remark = if result.median.is_none() {
        Some("not within a year: the core is rarely idle".to_owned())
    } else if hours < 48 {
        Some(format!(
            "only {hours} hours of history: other days and nights may differ"
        ))
    } else if result.pessimistic.is_none() {
        Some("not within a year if all hours are as poor as the poorest in five".to_owned())
    } else {
        None
    };
    result
}

/// Sorted shares of the hours, by hour of the week, by hour of the day, and overall.
struct Shares {
    week: Vec<Vec<f64>>,
    day: Vec<Vec<f64>>,
    overall: Vec<f64>,
}

impl Shares {
    fn from_history(history: &History) -> Self {
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
        let quantile_of = |by: &[Vec<f64>], hours: i64| {
            let at = usize::try_from(hour.rem_euclid(hours)).unwrap_or_default();
            by.get(at)
                .filter(|shares| shares.len() >= 2)
                .map(|shares| quantile(shares, rank))
        };
        if let Some(share) = quantile_of(&self.week, 168) {
            (share, Basis::HourOfWeek)
        } else if let Some(share) = quantile_of(&self.day, 24) {
            (share, Basis::HourOfDay)
        } else {
            (quantile(&self.overall, rank), Basis::Overall)
        }
    }

    /// Returns when this many seconds of full work are finished.
    fn walk(&self, work: f64, now: Timestamp, rank: f64) -> (Option<Timestamp>, Basis) {
        let start = now.as_millisecond();
        let (mut left, mut at, mut basis) = (work, start, Basis::HourOfWeek);
        let first = start.div_euclid(HOUR_MS);
        for hour in first..first + HORIZON_HOURS {
            let (share, by) = self.share(hour, rank);
            basis = basis.max(by);
            let end = (hour + 1) * HOUR_MS;
            let available = number(end - at) / 1e3 * share;
            if available >= left {
                let took = if share > 0.0 { left / share } else { 0.0 };
                let span = Duration::try_from_secs_f64(took).unwrap_or_default();
                let at = Timestamp::from_millisecond(at).unwrap_or(now);
                return (at.checked_add(span).ok(), basis);
            }
            left -= available;
            at = end;
        }
        (None, basis)
    }
}

/// Returns the value at a rank between 0 and 1 of a sorted list, interpolated.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a position in a short list"
)]
fn quantile(sorted: &[f64], rank: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let position = last as f64 * rank;
    let low = (position.floor() as usize).min(last);
    let high = (low + 1).min(last);
    match (sorted.get(low), sorted.get(high)) {
        (Some(low), Some(high)) => low + (high - low) * position.fract(),
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

    /// `days` of history: open for `share` thousandths of each hour, 1000 rows per second of work.
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
    fn forecast_uses_the_idle_nights() {
        // Idle from 0 to 6, busy otherwise: four weeks.
        let history = history(28, |hour| if hour % 24 < 6 { 1_000 } else { 0 });
        let noon = at_hour(28 * 24 + 12);
        let result = forecast(&history, 3_600_000, None, noon);
        assert!((hours(result.median, noon) - 13.0).abs() < 0.01, "{result:?}");
        assert_eq!(
            (result.median, result.basis),
            (result.pessimistic, Basis::HourOfWeek)
        );
        assert_eq!(result.remark, None);
    }

    #[test]
    fn forecast_uneven_days_separate_median_and_pessimistic() {
        let history = history(56, |hour| if hour / 168 % 2 == 0 { 200 } else { 800 });
        let now = at_hour(56 * 24);
        let result = forecast(&history, 3_600_000, None, now);
        assert!(result.pessimistic > result.median, "{result:?}");
        assert!(hours(result.median, now) >= 1.0);
    }

    #[test]
    fn forecast_with_little_history_falls_back_and_remarks() {
        let result = forecast(&history(3, |_| 500), 1_000, None, at_hour(80));
        assert_eq!((result.basis, result.remark), (Basis::HourOfDay, None));
        let result = forecast(&history(1, |_| 500), 1_000, None, at_hour(80));
        assert_eq!(result.basis, Basis::Overall);
        assert!(
            result
                .remark
                .is_some_and(|remark| remark.starts_with("only 24 hours"))
        );
        let result = forecast(&History::default(), 1_000, Some(5.0), at_hour(80));
        assert!(result.median.is_none() && result.remark.is_some());
    }

    #[test]
    fn forecast_of_a_core_never_idle_has_no_end() {
        let result = forecast(&history(30, |_| 0), 1_000, Some(50.0), at_hour(800));
        assert_eq!((result.median, result.pessimistic), (None, None));
        let result = forecast(&history(30, |_| 0), 1_000, None, at_hour(800));
        assert!(
            result
                .remark
                .is_some_and(|remark| remark.contains("rate is not known"))
        );
        // An empty backlog is finished at once, even then.
        let result = forecast(&history(30, |_| 0), 0, Some(50.0), at_hour(800));
        assert_eq!(result.median, Some(at_hour(800)));
    }
}
