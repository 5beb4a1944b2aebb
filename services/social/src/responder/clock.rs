//! PURE: what time it is at the exchange, by whose clock deadlines are judged.
//!
//! The exchange tells no time by itself, but the time at which it stored something. The lease is stored
//! again and again, so its record is never old: it tells the time but for that age, and the freshest one
//! seen tells it best. Between two looks our own steady clock goes on. What is told is never later than
//! the exchange's time, so nothing is called expired too early.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// The exchange's time as far as it is known. Clones are the same.
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
    /// A record that the exchange stored at `stored_at`, seen at `seen`, at most so old by then.
    pub fn saw(&self, stored_at: Timestamp, seen: Instant, most_age: Duration) {
        let mut anchor = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *anchor = Some(better(*anchor, Anchor { stored_at, seen }, most_age));
    }

    /// The time there; none while nothing was seen.
    #[must_use]
    pub fn now(&self, at: Instant) -> Option<Timestamp> {
        let anchor = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        anchor.map(|anchor| anchor.at(at))
    }
}

/// The later time wins, unless it cannot be: then the exchange's clock was set back.
fn better(before: Option<Anchor>, seen: Anchor, most_age: Duration) -> Anchor {
    let Some(before) = before else { return seen };
    let ahead = before.at(seen.seen).duration_since(seen.stored_at);
    if ahead.is_negative() || ahead.unsigned_abs() > most_age {
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
    fn the_freshest_record_tells_the_time_and_a_clock_that_was_set_back_is_followed() {
        let (clock, begin) = (ExchangeClock::default(), Instant::now());
        let most = Duration::from_secs(5);
        let after = |milli: u64| begin + Duration::from_millis(milli);
        assert_eq!(clock.now(begin), None);
        clock.saw(at(0), begin, most);
        assert_eq!(clock.now(after(700)), Some(at(700)));
        // Another look at a record that is a second old tells nothing new.
        clock.saw(at(0), after(1_000), most);
        assert_eq!(clock.now(after(1_000)), Some(at(1_000)));
        // A fresher one does.
        clock.saw(at(1_300), after(1_100), most);
        assert_eq!(clock.now(after(1_100)), Some(at(1_300)));
        clock.saw(at(-90_000), after(2_000), most);
        assert_eq!(clock.now(after(2_000)), Some(at(-90_000)));
    }
}
