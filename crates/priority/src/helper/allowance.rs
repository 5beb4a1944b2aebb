//! How often one user may ask: an answer costs a privileged process time, and a line in its log.

use std::time::{Duration, Instant};

const BURST: u32 = 64;
const EACH: Duration = Duration::from_millis(125);

/// Requests that one user has left; one more after each [`EACH`], up to [`BURST`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance {
    left: u32,
    since: Instant,
}

impl Allowance {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            left: BURST,
            since: now,
        }
    }

    /// PURE. Takes one request, if there is one left.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.since).as_nanos() / EACH.as_nanos();
        match u32::try_from(elapsed) {
            Ok(gained) if gained < BURST - self.left => {
                self.left += gained;
                self.since += EACH * gained;
            }
            _ => {
                self.left = BURST;
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
    fn allowance_ends_and_comes_back_with_time() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        let taken = |allowance: &mut Allowance, now| (0..BURST * 2).filter(|_| allowance.take(now)).count();
        assert_eq!(taken(&mut allowance, start), 64);
        assert_eq!(taken(&mut allowance, start + EACH / 2), 0);
        assert_eq!(taken(&mut allowance, start + EACH), 1);
        assert_eq!(taken(&mut allowance, start + EACH * 5), 4);
        assert_eq!(taken(&mut allowance, start + EACH * 10_000), 64);
        // A clock that does not advance, or goes back, adds no requests.
        assert_eq!(taken(&mut allowance, start), 0);
    }
}
