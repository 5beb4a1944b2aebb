//! PURE: which check of a feed's rows is due.
//!
//! The checks that prove a feed's order and key read more than a quantum does. So they run one at a time, only when everything
//! was read, and each pauses for 100 times its duration.

use std::time::Duration;

use crate::error::{ErrorKind, Result};
use crate::evidence::{CURSOR_UNPROVEN, Evidence};
use crate::nulls;

/// The interval between searches for rows ahead of the clock.
pub(crate) const FUTURE: Duration = Duration::from_secs(15);

/// The interval from the end of a search for cursors of another format to the next.
pub(crate) const FORMATS: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Check {
    /// Rows ahead of the clock.
    Future,
    /// Rows whose cursor has another format.
    Formats,
    /// Whether the key is unique.
    Key,
    /// Rows with a null in the cursor.
    Nulls,
}

const PAUSE_FACTOR: u32 = 100;

/// The checks that a feed needs, and when each is due.
#[derive(Debug, Clone, Default)]
pub(crate) struct CheckSchedule {
    due: Vec<(Check, Duration)>,
}

impl CheckSchedule {
    /// Creates a schedule with these checks, each due at the given time.
    pub(crate) fn new(checks: impl IntoIterator<Item = (Check, Duration)>) -> Self {
        Self {
            due: checks.into_iter().collect(),
        }
    }

    /// Creates the schedule of a feed that was just opened.
    pub(crate) fn for_opened_feed(never_null: bool) -> Self {
        let nulls = (!never_null).then_some((Check::Nulls, nulls::EVERY));
        let others = [
            (Check::Future, Duration::ZERO),
            (Check::Formats, Duration::from_millis(1)),
            (Check::Key, Duration::from_millis(2)),
        ];
        Self::new(others.into_iter().chain(nulls))
    }

    /// Returns the check that has been due for the longest time.
    pub(crate) fn next(&self, now: Duration) -> Option<Check> {
        let due = self.due.iter().filter(|(_, at)| *at <= now);
        due.min_by_key(|(_, at)| *at).map(|(check, _)| *check)
    }

    pub(crate) fn make_due(&mut self, hastened: Check) {
        for (check, at) in &mut self.due {
            if *check == hastened {
                *at = Duration::ZERO;
            }
        }
    }

    /// Records that a check ended at `now`: it is due again after `every` and its pause.
    pub(crate) fn record_run(&mut self, check: Check, now: Duration, took: Duration, every: Duration) {
        let next = now + every.max(took.saturating_mul(PAUSE_FACTOR));
        for (scheduled, at) in &mut self.due {
            if *scheduled == check {
                *at = next;
            }
        }
    }
}

/// Returns the interval to the next run of a check, or `None` if its permit was revoked. A failed search is recorded as
/// unproven.
///
/// # Errors
/// The error that refuses the feed.
pub(crate) fn next_interval(
    check: Check,
    ended: Result<Duration>,
    evidence: &mut Evidence,
) -> Result<Option<Duration>> {
    match ended {
        Ok(every) => Ok(Some(every)),
        Err(error) if error.kind == ErrorKind::Revoked => Ok(None),
        Err(error) if error.kind == ErrorKind::Refused => Err(error),
        Err(error) => {
            if matches!(check, Check::Future | Check::Formats) {
                let what = error.what;
                let detail = format!("search for rows outside the cursor's order failed: {what}");
                evidence.record(CURSOR_UNPROVEN, Some((detail, error.remedy)));
            }
            Ok(Some(nulls::EVERY))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn schedule_runs_the_longest_due_check_then_pauses_it() {
        let mut schedule =
            CheckSchedule::new([(Check::Future, S(0)), (Check::Key, S(1)), (Check::Nulls, S(60))]);
        assert_eq!(schedule.next(S(2)), Some(Check::Future));
        schedule.record_run(Check::Future, S(2), Duration::from_millis(1), S(15));
        assert_eq!(schedule.next(S(2)), Some(Check::Key));
        // A check that takes a second is due again after 100 seconds.
        schedule.record_run(Check::Key, S(3), S(1), S(1));
        assert_eq!(schedule.next(S(16)), None);
        assert_eq!(schedule.next(S(17)), Some(Check::Future));
        schedule.record_run(Check::Future, S(17), S(0), S(1_000));
        assert_eq!(schedule.next(S(60)), Some(Check::Nulls));
        schedule.record_run(Check::Nulls, S(60), S(0), S(1_000));
        assert_eq!(schedule.next(S(102)), None);
        assert_eq!(schedule.next(S(103)), Some(Check::Key));
        schedule.make_due(Check::Nulls);
        assert_eq!(schedule.next(S(103)), Some(Check::Nulls));
    }
}
