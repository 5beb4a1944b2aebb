//! PURE: how long to wait before the next attempt.
//!
//! Exponential up to a bound, with jitter, so that agents which lost the same server do not come
//! back at the same moment. The random number is an argument.
//!
//! The `backon` crate is not used: it counts the attempts in an iterator and draws the jitter from a generator of its own.
//! The pure steps of the agents take the number of failures and the random number as arguments.

use std::time::Duration;

/// A bounded exponential backoff.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Before the second attempt, at most.
    pub first: Duration,
    /// Before any attempt, at most.
    pub most: Duration,
}

impl Backoff {
    /// A backoff from `first`, doubling up to `most`.
    #[must_use]
    pub const fn new(first: Duration, most: Duration) -> Self {
        Self { first, most }
    }

    /// How long to wait after this many failures (from 1), for a random number from 0 to 1:
    /// between half and the whole of the step. No failure: no wait. A number outside 0 to 1 is
    /// taken as the nearer end, no number as 1.
    #[must_use]
    pub fn delay(&self, failures: u32, random: f64) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else {
            return Duration::ZERO;
        };
        let factor = 2_u32.checked_pow(doublings).unwrap_or(u32::MAX);
        let step = self.first.saturating_mul(factor).min(self.most);
        let random = if random.is_nan() {
            1.0
        } else {
            random.clamp(0.0, 1.0)
        };
        (step / 2 + (step / 2).mul_f64(random)).min(self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));

    #[test]
    fn doubles_within_its_bound() {
        assert_eq!(BACKOFF.delay(0, 1.0), Duration::ZERO);
        assert_eq!(BACKOFF.delay(1, 1.0), Duration::from_millis(100));
        assert_eq!(BACKOFF.delay(3, 1.0), Duration::from_millis(400));
        assert_eq!(BACKOFF.delay(3, 0.0), Duration::from_millis(200));
        assert_eq!(BACKOFF.delay(u32::MAX, 1.0), Duration::from_secs(5));
    }

    #[test]
    fn any_random_number_keeps_the_bound() {
        for random in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 2.0] {
            for failures in 1..100 {
                let delay = BACKOFF.delay(failures, random);
                assert!(
                    delay >= BACKOFF.first / 2 && delay <= BACKOFF.most,
                    "{failures} {random}"
                );
            }
        }
    }
}
