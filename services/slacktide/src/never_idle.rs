//! The alarm of a core that never has slack: logged when raised, again each hour, and when it ends.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use gate::Gate;
use jiff::{SignedDuration, Timestamp};
use social::conditions::{FeedCondition, FeedConditions};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const INTERVAL: Duration = Duration::from_secs(1);
const REPEAT_INTERVAL: SignedDuration = SignedDuration::from_hours(1);

/// The time without slack after which the alarm is raised; a reload changes it.
pub(crate) type AlarmAfter = Arc<RwLock<Duration>>;

/// The log action of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
enum AlarmEvent {
    None,
    Raised,
    Ended,
}

/// The time of the last log entry.
#[derive(Debug, Default)]
struct Alarm {
    logged_at: Option<Timestamp>,
}

impl Alarm {
    fn step(&mut self, is_due: bool, now: Timestamp) -> AlarmEvent {
        match (is_due, self.logged_at) {
            (false, None) => AlarmEvent::None,
            (false, Some(_)) => {
                self.logged_at = None;
                AlarmEvent::Ended
            }
            // The absolute difference: a clock that was set back must not silence the alarm for longer than an hour.
            (true, Some(logged_at)) if now.duration_since(logged_at).abs() < REPEAT_INTERVAL => {
                AlarmEvent::None
            }
            (true, _) => {
                self.logged_at = Some(now);
                AlarmEvent::Raised
            }
        }
    }
}

/// Returns for how long a feed was not known to be drained: an upper bound of its lag. A feed that was never drained
/// counts from the start of the process.
pub(crate) fn undrained(caught_up_at: Option<Timestamp>, started: Timestamp, now: Timestamp) -> Duration {
    span(caught_up_at.unwrap_or(started), now)
}

fn span(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

/// PURE: returns the reason of the alarm, or `None`. `not_idle` is since when the core has not been idle, and why.
fn reason(
    not_idle: Option<(Timestamp, String)>,
    feeds: &FeedConditions,
    started: Timestamp,
    after: Duration,
    now: Timestamp,
) -> Option<String> {
    if let Some((since, why)) = not_idle
        && span(since, now) >= after
    {
        return Some(format!("the core has not been idle since {since:.0}: {why}"));
    }
    let undrained = |(name, feed): (_, &FeedCondition)| (name, undrained(feed.caught_up_at, started, now));
    let (feed, longest) = feeds.iter().map(undrained).max_by_key(|(_, since)| *since)?;
    (longest >= after).then(|| {
        let since = now.checked_sub(SignedDuration::try_from(longest).unwrap_or_default());
        let since = since.map_or_else(|_| "long ago".to_owned(), |since| format!("{since:.0}"));
        format!("feed {feed} has not been drained since {since}: the core changes faster than its slack allows to read")
    })
}

/// Watches until the token is cancelled.
pub(crate) fn watch(
    gate: Gate,
    feeds: watch::Receiver<FeedConditions>,
    after: AlarmAfter,
    started: Timestamp,
    stop: CancellationToken,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut alarm = Alarm::default();
        let mut tick = tokio::time::interval(INTERVAL);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = stop.cancelled() => return,
            }
            let after = after.read().map_or_else(|held| **held.get_ref(), |held| *held);
            let now = Timestamp::now();
            let not_idle = gate
                .not_idle_since()
                .map(|since| (since, gate.verdict().reason.to_string()));
            let why = reason(not_idle, &feeds.borrow(), started, after, now);
            let event = alarm.step(why.is_some(), now);
            match (&event, &why) {
                (AlarmEvent::Raised, Some(why)) => tracing::warn!(%why, "core is never idle"),
                (AlarmEvent::Ended, _) => tracing::info!("core is idle again, alarm ended"),
                _ => {}
            }
            gate.set_alarm(why);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::name::FeedName;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn alarm_is_logged_when_raised_each_hour_and_when_ended() {
        let mut alarm = Alarm::default();
        let events: Vec<AlarmEvent> = [
            (false, 0),
            (true, 1),
            (true, 2),
            (true, 3_601),
            (true, 3_602),
            (false, 3_603),
            (false, 3_604),
        ]
        .map(|(due, second)| alarm.step(due, at(second)))
        .into();
        use AlarmEvent::{Ended, Raised};
        assert_eq!(
            events,
            [
                AlarmEvent::None,
                Raised,
                AlarmEvent::None,
                Raised,
                AlarmEvent::None,
                Ended,
                AlarmEvent::None
            ]
        );
    }

    #[test]
    fn alarm_counts_closed_gate_and_undrained_feed_from_start() {
        let feed: FeedName = "claim".parse().unwrap();
        let mut feeds = FeedConditions::from([(feed.clone(), FeedCondition::default())]);
        let hour = Duration::from_secs(3_600);
        let closed = || Some((at(0), "load".to_owned()));
        assert_eq!(reason(closed(), &feeds, at(0), hour, at(3_599)), None);
        assert!(
            reason(closed(), &feeds, at(0), hour, at(3_600))
                .is_some_and(|why| why.contains("not been idle since"))
        );
        assert!(reason(None, &feeds, at(0), hour, at(3_600)).is_some_and(|why| why.contains("feed claim")));
        assert_eq!(undrained(None, at(10), at(70)), Duration::from_secs(60));
        if let Some(feed) = feeds.get_mut(&feed) {
            feed.caught_up_at = Some(at(3_000));
        }
        assert_eq!(reason(None, &feeds, at(0), hour, at(3_600)), None);
    }
}
