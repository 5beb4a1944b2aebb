//! Suppresses repeated log messages.
//!
//! A lasting error recurs with every attempt. It is logged when it begins and when it changes, not with each attempt; on recovery
//! the number of occurrences is logged.
//!
//! An intermittent error is logged twice, and then at increasing intervals while it recurs, so that alternating errors do not fill
//! the log. The status shows every change.

use std::time::{Duration, Instant};

/// The maximum number of distinct errors; one outage shows fewer.
const MAX_ERRORS: usize = 8;

/// How often a recurring error is logged at once.
const IMMEDIATE_REPEATS: u32 = 2;

/// The interval between log messages of a recurring error; doubled each time.
const REPEAT_INTERVAL: Duration = Duration::from_secs(60);

/// The maximum of these intervals.
const MAX_REPEAT_INTERVAL: Duration = Duration::from_secs(3_600);

/// An error that did not occur for this long counts as new.
const EXPIRY: Duration = Duration::from_secs(600);

/// The errors that were logged, and those that occurred since the last recovery.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogDedup {
    errors: Vec<LoggedError>,
    /// Occurrences since the last reported recovery.
    occurrences: u32,
    /// Whether an error was logged since then.
    has_logged: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct LoggedError {
    /// The message without digits.
    text: String,
    /// Whether it was logged and has not recovered.
    is_active: bool,
    times: u32,
    logged_at: Instant,
    occurred_at: Instant,
}

impl LogDedup {
    /// Records an error and returns whether to log it. Digits in it (times, sequences) do not make it a different error.
    pub fn is_new(&mut self, what: &str) -> bool {
        self.is_new_at(what, Instant::now())
    }

    /// PURE: [`LogDedup::is_new`] at a given time.
    pub fn is_new_at(&mut self, what: &str, now: Instant) -> bool {
        self.occurrences = self.occurrences.saturating_add(1);
        let since = |at: Instant| now.saturating_duration_since(at);
        self.errors
            .retain(|error| error.is_active || since(error.occurred_at) < EXPIRY);
        let text: String = what.split(|character: char| character.is_ascii_digit()).collect();
        let is_full = self.errors.len() >= MAX_ERRORS;
        let is_new = match self.errors.iter_mut().find(|error| error.text == text) {
            Some(error) => {
                error.occurred_at = now;
                let is_due =
                    error.times < IMMEDIATE_REPEATS || since(error.logged_at) >= repeat_interval(error.times);
                let is_new = !error.is_active && is_due;
                if is_new {
                    (error.is_active, error.logged_at) = (true, now);
                    error.times = error.times.saturating_add(1);
                }
                is_new
            }
            None if is_full => false,
            None => {
                self.errors.push(LoggedError {
                    text,
                    is_active: true,
                    times: 1,
                    logged_at: now,
                    occurred_at: now,
                });
                true
            }
        };
        self.has_logged |= is_new;
        is_new
    }

    /// Records a recovery. Returns the number of occurrences if an error was logged since the last reported recovery.
    pub fn recovered(&mut self) -> Option<u32> {
        for error in &mut self.errors {
            error.is_active = false;
        }
        std::mem::take(&mut self.has_logged).then(|| std::mem::take(&mut self.occurrences))
    }
}

/// Returns how long an error that was logged this often is not logged again.
fn repeat_interval(times: u32) -> Duration {
    let doubled = times.saturating_sub(IMMEDIATE_REPEATS).min(16);
    REPEAT_INTERVAL
        .saturating_mul(1 << doubled)
        .min(MAX_REPEAT_INTERVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_dedup_error_is_new_once_until_recovery() {
        let mut log_dedup = LogDedup::default();
        assert_eq!(log_dedup.recovered(), None);
        assert!(log_dedup.is_new("no connection since 08:00:01"));
        assert!(!log_dedup.is_new("no connection since 08:00:02"));
        assert!(log_dedup.is_new("permission denied"));
        assert!(!log_dedup.is_new("no connection since 08:00:03"));
        assert_eq!(log_dedup.recovered(), Some(4));
        assert_eq!(log_dedup.recovered(), None);
        assert!(log_dedup.is_new("permission denied"));
    }

    #[test]
    fn log_dedup_endless_different_errors_are_bounded() {
        let mut log_dedup = LogDedup::default();
        let logged = (0..100_u8)
            .filter(|at| log_dedup.is_new(&"x".repeat(usize::from(*at))))
            .count();
        assert_eq!(logged, MAX_ERRORS);
    }

    #[test]
    fn log_dedup_intermittent_error_is_logged_less_and_less() {
        let (mut log_dedup, start) = (LogDedup::default(), Instant::now());
        let (mut logged, mut recoveries) = (Vec::new(), 0);
        // Every other second, for an hour.
        for second in (0..3_600).step_by(2) {
            if log_dedup.is_new_at("the source is unreachable", start + Duration::from_secs(second)) {
                logged.push(second);
            }
            recoveries += u32::from(log_dedup.recovered().is_some());
        }
        assert_eq!(logged, [0, 2, 62, 182, 422, 902, 1_862]);
        assert_eq!(recoveries, 7);
    }

    #[test]
    fn log_dedup_lasting_recurring_error_is_logged_eventually() {
        let (mut log_dedup, start) = (LogDedup::default(), Instant::now());
        let at = |second| start + Duration::from_secs(second);
        for second in 0..10 {
            log_dedup.is_new_at("unreachable", at(second));
            log_dedup.recovered();
        }
        let logged = (10..200).filter(|second| log_dedup.is_new_at("unreachable", at(*second)));
        assert_eq!(logged.collect::<Vec<_>>(), [61]);
        assert_eq!(log_dedup.recovered(), Some(8 + 190));
        // After a long time it counts as new.
        assert!(log_dedup.is_new_at("unreachable", at(2_000)));
    }
}
