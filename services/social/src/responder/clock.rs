//! PURE: estimates the exchange's time, by which deadlines are judged.
//!
//! The exchange reports the time only as the storage time of a message. The lease is stored again and again, so its record is
//! at most some seconds old; the freshest record seen gives the best estimate. Between two polls the local monotonic clock
//! advances it. The estimate is never later than the exchange's time, so nothing expires too early.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// The estimated time of the exchange. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct ExchangeClock(Arc<Mutex<Option<Anchor>>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Anchor {
    stored_at: Timestamp,
    seen: Instant,
}

impl Anchor {
    fn at(self, now: Instant) -> Timestamp {
        let gone = SignedDuration::try_from(now.saturating_duration_since(self.seen));
        let later = gone.ok().and_then(|gone| self.stored_at.checked_add(gone).ok());
        later.unwrap_or(self.stored_at)
    }
}

impl ExchangeClock {
    /// Takes a record that the exchange stored at `stored_at` and that was seen at `seen`, at most `max_age` later.
    pub fn observe(&self, stored_at: Timestamp, seen: Instant, max_age: Duration) {
        let mut anchor = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *anchor = Some(newer_anchor(*anchor, Anchor { stored_at, seen }, max_age));
    }

    /// Returns the exchange's time; `None` before the first record.
    #[must_use]
    pub fn now(&self, at: Instant) -> Option<Timestamp> {
        let anchor = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        anchor.map(|anchor| anchor.at(at))
    }
}

/// Returns the anchor with the later time. If that exceeds `max_age`, the exchange's clock was set back and the new one wins.
fn newer_anchor(before: Option<Anchor>, seen: Anchor, max_age: Duration) -> Anchor {
    let Some(before) = before else { return seen };
    let ahead = before.at(seen.seen).duration_since(seen.stored_at);
    if ahead.is_negative() || ahead.unsigned_abs() > max_age {
        seen
    } else {
        before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milli: i64) -> Timestamp {
        Timestamp::from_millisecond(1_769_860_800_000 + milli).unwrap()
    }

    #[test]
    fn clock_follows_the_freshest_record_and_a_step_back() {
        let (clock, begin) = (ExchangeClock::default(), Instant::now());
        let most = Duration::from_secs(5);
        let after = |milli: u64| begin + Duration::from_millis(milli);
        assert_eq!(clock.now(begin), None);
        clock.observe(at(0), begin, most);
        assert_eq!(clock.now(after(700)), Some(at(700)));
        // The same record again adds nothing.
        clock.observe(at(0), after(1_000), most);
        assert_eq!(clock.now(after(1_000)), Some(at(1_000)));
        // A fresher record moves the clock.
        clock.observe(at(1_300), after(1_100), most);
        assert_eq!(clock.now(after(1_100)), Some(at(1_300)));
        clock.observe(at(-90_000), after(2_000), most);
        assert_eq!(clock.now(after(2_000)), Some(at(-90_000)));
    }
}
