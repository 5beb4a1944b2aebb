//! The alarm of a core that never has slack: raised once, said again each hour, ended by slack.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use gate::Gate;
use jiff::{SignedDuration, Timestamp};
use social::SocialStatus;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const EACH: Duration = Duration::from_secs(1);
const SAID_AGAIN: SignedDuration = SignedDuration::from_hours(1);

/// How long it may be quiet about it; changed by a reload.
pub(crate) type AlarmAfter = Arc<RwLock<Duration>>;

/// What is to be said now.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Say {
    Nothing,
    Raised,
    Ended,
}

/// Remembers when it was said last.
#[derive(Debug, Default)]
struct Alarm {
    said: Option<Timestamp>,
}

impl Alarm {
    fn step(&mut self, is_due: bool, now: Timestamp) -> Say {
        match (is_due, self.said) {
            (false, None) => Say::Nothing,
            (false, Some(_)) => {
                self.said = None;
                Say::Ended
            }
            // A clock that was set back is no reason to be quiet for longer than an hour.
            (true, Some(said)) if now.duration_since(said).abs() < SAID_AGAIN => Say::Nothing,
            (true, _) => {
                self.said = Some(now);
                Say::Raised
            }
        }
    }
}

/// For how long each feed was not known to be drained: an upper bound of its lag. A feed that never
/// was counts from the start of the process.
pub(crate) fn undrained(
    status: &SocialStatus,
    started: Timestamp,
    now: Timestamp,
) -> Vec<(String, Duration)> {
    let feeds = status.feeds.iter();
    feeds
        .map(|(name, feed)| {
            let since = feed.caught_up_at.unwrap_or(started);
            (name.clone(), span(since, now))
        })
        .collect()
}

fn span(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

/// PURE: the alarm's sentence, where there is reason for one.
fn reason(status: &SocialStatus, started: Timestamp, after: Duration, now: Timestamp) -> Option<String> {
    if let Some(since) = status.gate.not_idle_since
        && span(since, now) >= after
    {
        return Some(format!(
            "the core has not been idle since {since:.0}: {}",
            status.gate.reason
        ));
    }
    let all = undrained(status, started, now);
    let (feed, longest) = all.into_iter().max_by_key(|(_, since)| *since)?;
    (longest >= after).then(|| {
        let since = now.checked_sub(SignedDuration::try_from(longest).unwrap_or_default());
        let since = since.map_or_else(|_| "long ago".to_owned(), |since| format!("{since:.0}"));
        format!("feed {feed} has not been drained since {since}: the slack of the core is less than what changes in it")
    })
}

/// Watches until the token is cancelled.
pub(crate) fn watch(
    gate: Gate,
    status: impl Fn() -> SocialStatus + Send + 'static,
    after: AlarmAfter,
    started: Timestamp,
    stop: CancellationToken,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut alarm = Alarm::default();
        let mut tick = tokio::time::interval(EACH);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = stop.cancelled() => return,
            }
            let after = after.read().map_or_else(|held| **held.get_ref(), |held| *held);
            let now = Timestamp::now();
            let why = reason(&status(), started, after, now);
            let said = alarm.step(why.is_some(), now);
            match (&said, &why) {
                (Say::Raised, Some(why)) => tracing::warn!(%why, "never idle"),
                (Say::Ended, _) => tracing::info!("idle again: the alarm is over"),
                _ => {}
            }
            gate.alarm(why);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn an_alarm_is_said_once_again_each_hour_and_when_it_ends() {
        let mut alarm = Alarm::default();
        let said: Vec<Say> = [
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
        use Say::{Ended, Nothing, Raised};
        assert_eq!(said, [Nothing, Raised, Nothing, Raised, Nothing, Ended, Nothing]);
    }

    #[tokio::test]
    async fn a_shut_gate_and_an_undrained_feed_keep_counting_from_the_start() {
        let (gate, _script) = Gate::scripted();
        let mut status = SocialStatus {
            orders: social::witness::Witness::default().status(),
            instance: "a".into(),
            gate: gate.status(),
            lease: social::status::LeaseStatus::default(),
            feeds: [("claim".to_owned(), social::status::FeedStatus::default())].into(),
            lanes: [].into(),
            requests: None,
            blocklist: None,
            driver: source::port::DriverCount::default(),
        };
        let hour = Duration::from_secs(3_600);
        status.gate.not_idle_since = Some(at(0));
        assert_eq!(reason(&status, at(0), hour, at(3_599)), None);
        assert!(
            reason(&status, at(0), hour, at(3_600)).is_some_and(|why| why.contains("not been idle since"))
        );
        status.gate.not_idle_since = None;
        assert!(reason(&status, at(0), hour, at(3_600)).is_some_and(|why| why.contains("feed claim")));
        assert_eq!(
            undrained(&status, at(10), at(70)),
            [("claim".to_owned(), Duration::from_secs(60))]
        );
        if let Some(feed) = status.feeds.get_mut("claim") {
            feed.caught_up_at = Some(at(3_000));
        }
        assert_eq!(reason(&status, at(0), hour, at(3_600)), None);
    }
}
