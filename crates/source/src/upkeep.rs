//! PURE: which check of a feed's rows is due.
//!
//! The checks that prove a feed's order and key read more than a quantum does, so they run one at a time, only when everything
//! was read, and each rests for a hundred times as long as it took.

use std::time::Duration;

use crate::error::{ErrorKind, Result};
use crate::evidence::{CURSOR_UNPROVEN, Evidence};
use crate::nulls;

/// From one look for rows ahead of the clock to the next.
pub(crate) const FUTURE: Duration = Duration::from_secs(15);

/// From the end of one search for cursors of another form to the next.
pub(crate) const FORMS: Duration = Duration::from_secs(60);

/// A check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Check {
    /// Rows ahead of the clock.
    Future,
    /// Rows whose cursor has another form.
    Forms,
    /// Whether the key is unique.
    Key,
    /// Rows with a null in the cursor.
    Nulls,
}

const RESTS: u32 = 100;

/// The checks that a feed needs, and when each is due.
#[derive(Debug, Clone, Default)]
pub(crate) struct Upkeep {
    due: Vec<(Check, Duration)>,
}

impl Upkeep {
    /// With these checks, due from the given times on.
    pub(crate) fn new(checks: impl IntoIterator<Item = (Check, Duration)>) -> Self {
        Self {
            due: checks.into_iter().collect(),
        }
    }

    /// With those of a feed that was just opened.
    pub(crate) fn of_opened(never_null: bool) -> Self {
        let nulls = (!never_null).then_some((Check::Nulls, nulls::EVERY));
        let others = [
            (Check::Future, Duration::ZERO),
            (Check::Forms, Duration::from_millis(1)),
            (Check::Key, Duration::from_millis(2)),
        ];
        Self::new(others.into_iter().chain(nulls))
    }

    /// The check that is due, and for the longest time.
    pub(crate) fn next(&self, now: Duration) -> Option<Check> {
        let due = self.due.iter().filter(|(_, at)| *at <= now);
        due.min_by_key(|(_, at)| *at).map(|(check, _)| *check)
    }

    /// Makes a check due at once.
    pub(crate) fn hasten(&mut self, hastened: Check) {
        for (check, at) in &mut self.due {
            if *check == hastened {
                *at = Duration::ZERO;
            }
        }
    }

    /// Notes that a check ended at `now`: it is due again after `every`, and not before it has rested.
    pub(crate) fn ran(&mut self, ran: Check, now: Duration, took: Duration, every: Duration) {
        let next = now + every.max(took.saturating_mul(RESTS));
        for (check, at) in &mut self.due {
            if *check == ran {
                *at = next;
            }
        }
    }
}

/// When a check is due again that ended so; `None`: as before, for its permit was revoked. What could not be searched for is
/// noted as not proven.
///
/// # Errors
/// What refuses the feed.
pub(crate) fn due_again(
    check: Check,
    ended: Result<Duration>,
    evidence: &mut Evidence,
) -> Result<Option<Duration>> {
    match ended {
        Ok(every) => Ok(Some(every)),
        Err(error) if error.kind == ErrorKind::Revoked => Ok(None),
        Err(error) if error.kind == ErrorKind::Refused => Err(error),
        Err(error) => {
            if matches!(check, Check::Future | Check::Forms) {
                let what = error.what;
                let detail = format!("rows outside of the cursor's order were not searched for: {what}");
                evidence.note(CURSOR_UNPROVEN, Some((detail, error.remedy)));
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
    fn upkeep_runs_the_check_that_waits_longest_and_lets_it_rest() {
        let mut upkeep = Upkeep::new([(Check::Future, S(0)), (Check::Key, S(1)), (Check::Nulls, S(60))]);
        assert_eq!(upkeep.next(S(2)), Some(Check::Future));
        upkeep.ran(Check::Future, S(2), Duration::from_millis(1), S(15));
        assert_eq!(upkeep.next(S(2)), Some(Check::Key));
        // One that takes a second is due again after a hundred.
        upkeep.ran(Check::Key, S(3), S(1), S(1));
        assert_eq!(upkeep.next(S(16)), None);
        assert_eq!(upkeep.next(S(17)), Some(Check::Future));
        upkeep.ran(Check::Future, S(17), S(0), S(1_000));
        assert_eq!(upkeep.next(S(60)), Some(Check::Nulls));
        upkeep.ran(Check::Nulls, S(60), S(0), S(1_000));
        assert_eq!(upkeep.next(S(102)), None);
        assert_eq!(upkeep.next(S(103)), Some(Check::Key));
        upkeep.hasten(Check::Nulls);
        assert_eq!(upkeep.next(S(103)), Some(Check::Nulls));
    }
}
