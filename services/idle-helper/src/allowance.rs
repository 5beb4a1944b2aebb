//! The request rate of one user: a request costs a privileged process time and a log line.

use std::time::{Duration, Instant};

/// The burst size, and the interval that adds one request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    pub(crate) burst: u32,
    pub(crate) each: Duration,
}

impl Default for Rate {
    fn default() -> Self {
        Self {
            burst: 64,
            each: Duration::from_millis(125),
        }
    }
}

/// The remaining requests of one user.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    rate: Rate,
    left: u32,
    since: Instant,
}

impl Allowance {
    pub(crate) fn new(rate: Rate, now: Instant) -> Self {
        Self {
            rate,
            left: rate.burst,
            since: now,
        }
    }

    /// PURE. Takes one request, if one is left.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let Rate { burst, each } = self.rate;
        let elapsed = now.saturating_duration_since(self.since).as_nanos() / each.as_nanos().max(1);
        match u32::try_from(elapsed) {
            Ok(gained) if gained < burst - self.left => {
                self.left += gained;
                self.since += each * gained;
            }
            _ => {
                self.left = burst;
                self.since = now;
            }
        }
        let is_left = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allowance_is_used_up_and_refilled_with_time() {
        let start = Instant::now();
        let rate = Rate::default();
        let each = rate.each;
        let mut allowance = Allowance::new(rate, start);
        let taken = |allowance: &mut Allowance, now| (0..200).filter(|_| allowance.take(now)).count();
        assert_eq!(taken(&mut allowance, start), 64);
        assert_eq!(taken(&mut allowance, start + each / 2), 0);
        assert_eq!(taken(&mut allowance, start + each), 1);
        assert_eq!(taken(&mut allowance, start + each * 5), 4);
        assert_eq!(taken(&mut allowance, start + each * 10_000), 64);
        // A clock that stops or goes backwards adds no requests.
        assert_eq!(taken(&mut allowance, start), 0);
    }
}
