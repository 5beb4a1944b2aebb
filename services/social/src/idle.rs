//! PURE: computes how long an idle feed rests, so that any number of idle feeds costs the source little.
//!
//! The idle feeds of a source share a rate of polls. Each poll that finds nothing doubles the feed's rest, up to its share of
//! that rate; a poll that finds rows resets it. So a few feeds are polled at the configured interval, and many feeds less often.
//! A feed with slow polls counts as several.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use crate::options::PublisherOptions;

/// The longest rest, unless a longer `idle_poll` is configured. A source that was restored or replaced while nothing is written
/// is found within 30 s, and "caught up" is never older than this.
pub const LONGEST_REST: Duration = Duration::from_secs(15);

/// The duration of a usual poll. At a nearby core a poll takes less, most of which is not work of the core; a longer one counts
/// as several.
const USUAL_POLL: Duration = Duration::from_micros(2_500);

/// The idle feeds of one source. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct IdleFeeds(Arc<AtomicUsize>);

/// One feed of a source: how long it rests, and the cost of its polls.
#[derive(Debug)]
pub struct IdleFeed {
    feeds: IdleFeeds,
    /// The last rest; `None` while the feed is not idle.
    rest: Option<Duration>,
    /// The smoothed duration of a poll that finds nothing; `None` before the first.
    poll: Option<Duration>,
}

impl IdleFeeds {
    /// Adds a feed, which is not idle yet.
    #[must_use]
    pub fn join(&self) -> IdleFeed {
        IdleFeed {
            feeds: self.clone(),
            rest: None,
            poll: None,
        }
    }
}

impl IdleFeed {
    /// Returns the rest after a poll that found nothing and took `poll`. `spread`, from 0 to 1, shortens a long rest by up to a
    /// quarter: chosen at random, it keeps feeds from being polled all at once.
    pub fn rest(&mut self, options: &PublisherOptions, poll: Duration, spread: f64) -> Duration {
        let smoothed = self
            .poll
            .map_or(poll, |before| before.saturating_mul(3).saturating_add(poll) / 4);
        self.poll = Some(smoothed);
        if self.rest.is_none() {
            self.feeds.0.fetch_add(1, Relaxed);
        }
        let longest = longest_rest(options, self.feeds.0.load(Relaxed), smoothed);
        let rest = next_rest(options, self.rest, longest);
        self.rest = Some(rest);
        let grown = rest.saturating_sub(options.idle_poll);
        rest.saturating_sub(grown.mul_f64(spread.clamp(0.0, 1.0) / 4.0))
    }

    /// Notes that the feed is not idle: something was found, or it cannot be polled.
    pub fn wake(&mut self) {
        if self.rest.take().is_some() {
            self.feeds.0.fetch_sub(1, Relaxed);
        }
    }
}

impl Drop for IdleFeed {
    fn drop(&mut self) {
        self.wake();
    }
}

/// Returns the longest rest of a feed that shares the rate with `feeds` idle ones, itself included.
fn longest_rest(options: &PublisherOptions, feeds: usize, poll: Duration) -> Duration {
    let weight = poll.max(USUAL_POLL).as_micros();
    let rate = u128::from(options.idle_poll_rate.max(1)) * USUAL_POLL.as_micros();
    let micros = (feeds as u128).saturating_mul(weight).saturating_mul(1_000_000) / rate;
    let share = Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
    share.clamp(options.idle_poll, LONGEST_REST.max(options.idle_poll))
}

fn next_rest(options: &PublisherOptions, before: Option<Duration>, longest: Duration) -> Duration {
    before
        .map_or(options.idle_poll, |before| before.saturating_mul(2))
        .min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn options() -> PublisherOptions {
        PublisherOptions::default()
    }

    #[test]
    fn idle_rest_doubles_up_to_the_part_of_the_rate() {
        let feeds = IdleFeeds::default();
        let mut others: Vec<IdleFeed> = (0..59).map(|_| feeds.join()).collect();
        for other in &mut others {
            assert_eq!(other.rest(&options(), MS(1), 0.0), MS(500));
        }
        let mut feed = feeds.join();
        let rests = [(); 5].map(|()| feed.rest(&options(), MS(1), 0.0));
        assert_eq!(rests, [500, 1_000, 2_000, 3_000, 3_000].map(MS));
        feed.wake();
        assert_eq!(feed.rest(&options(), MS(1), 0.0), MS(500), "something was found");
        others.clear();
        assert_eq!(feed.rest(&options(), MS(1), 0.0), MS(500), "it is alone now");
    }

    /// 200 feeds at 500 ms made 400 polls a second.
    #[test]
    fn idle_polls_of_all_feeds_keep_to_the_rate() {
        for (feeds, most_polls, longest) in [
            (1_u32, 2.0, MS(500)),
            (10, 20.0, MS(500)),
            (11, 20.0, MS(550)),
            (200, 20.0, MS(10_000)),
            (300, 20.0, LONGEST_REST),
            // Beyond that each is polled as often as a restored source has to be found.
            (1_200, 80.0, LONGEST_REST),
        ] {
            let rest = longest_rest(&options(), feeds as usize, MS(1));
            assert_eq!(rest, longest, "{feeds}");
            assert!(
                f64::from(feeds) / rest.as_secs_f64() <= most_polls + 0.01,
                "{feeds}"
            );
        }
        let rate = PublisherOptions {
            idle_poll_rate: 100,
            ..options()
        };
        assert_eq!(longest_rest(&rate, 200, MS(1)), MS(2_000));
        let seldom = PublisherOptions {
            idle_poll: MS(60_000),
            ..options()
        };
        assert_eq!(longest_rest(&seldom, 200, MS(1)), MS(60_000));
    }

    #[test]
    fn idle_slow_poll_rests_longer_than_others() {
        assert_eq!(longest_rest(&options(), 4, MS(25)), MS(2_000));
        assert_eq!(longest_rest(&options(), 4, MS(1)), MS(500));
        assert_eq!(longest_rest(&options(), 4, Duration::MAX), LONGEST_REST);
        let feeds = IdleFeeds::default();
        let mut feed = feeds.join();
        for _ in 0..20 {
            feed.rest(&options(), MS(1), 0.0);
        }
        assert_eq!(
            feed.rest(&options(), MS(40), 0.0),
            MS(500),
            "one poll that took long is smoothed"
        );
    }

    #[test]
    fn idle_rest_is_spread_where_it_is_long() {
        let feeds = IdleFeeds::default();
        let others: Vec<IdleFeed> = (0..199)
            .map(|_| {
                let mut other = feeds.join();
                other.rest(&options(), MS(1), 0.5);
                other
            })
            .collect();
        let mut feed = feeds.join();
        assert_eq!(
            feed.rest(&options(), MS(1), 1.0),
            MS(500),
            "the first is not shortened"
        );
        for _ in 0..5 {
            feed.rest(&options(), MS(1), 0.0);
        }
        assert_eq!(feed.rest(&options(), MS(1), 0.0), MS(10_000));
        assert_eq!(feed.rest(&options(), MS(1), 1.0), MS(7_625));
        drop(others);
    }
}
