//! PURE: when a report is due, and when the note of a watch is read.

use std::time::Duration;

use jiff::Timestamp;
use schemas::status_report::WatchNote;

/// The time between two reports without a watch.
pub const INTERVAL: Duration = Duration::from_secs(15);

/// The time between two reports while an operator watches.
pub const WATCHED_INTERVAL: Duration = Duration::from_secs(1);

/// The promise of a report that is made while an operator watches: more than the interval, so that a slow exchange does not make
/// an agent look lost.
const WATCHED_PROMISE: Duration = Duration::from_secs(3);

/// The time between two reads of the note.
pub const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// The time after a refusal that needs an operator: of the report, or of the note.
pub const REFUSED_INTERVAL: Duration = Duration::from_secs(60);

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Read the note of a watch.
    Look,
    /// Publish a report.
    Publish,
}

/// The result of an exchange's answer, as far as the cadence depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// Done.
    Done,
    /// A later try can succeed without an operator.
    Failed,
    /// An operator must act.
    Refused,
}

/// Times of what is due, since any fixed moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cadence {
    publish_at: Duration,
    look_at: Duration,
    note: Option<WatchNote>,
    is_refused: bool,
}

impl Cadence {
    /// Returns whether an operator watches.
    #[must_use]
    pub fn is_watched(&self, wall: Timestamp) -> bool {
        self.note.is_some_and(|note| note.is_active(wall))
    }

    /// Returns what is due now, or the time until something is.
    ///
    /// # Errors
    /// The time to wait.
    pub fn due(&self, now: Duration) -> Result<Due, Duration> {
        if self.look_at <= now {
            return Ok(Due::Look);
        }
        if self.publish_at <= now {
            return Ok(Due::Publish);
        }
        Err(self.look_at.min(self.publish_at).saturating_sub(now))
    }

    /// Returns what the next report promises: the time until the one after it.
    #[must_use]
    pub fn promise(&self, wall: Timestamp) -> Duration {
        if self.is_watched(wall) {
            WATCHED_PROMISE
        } else {
            INTERVAL
        }
    }

    /// Notes the answer to a read of the note. A watch that begins makes a report due at once, unless reports are refused.
    pub fn looked(&mut self, note: Option<WatchNote>, answered: Answered, now: Duration, wall: Timestamp) {
        let was_watched = self.is_watched(wall);
        self.look_at = now
            + match answered {
                Answered::Refused => REFUSED_INTERVAL,
                Answered::Done | Answered::Failed => LOOK_INTERVAL,
            };
        if answered == Answered::Done {
            self.note = note;
        }
        if self.is_watched(wall) && !was_watched && !self.is_refused {
            self.publish_at = self.publish_at.min(now);
        }
    }

    /// Notes the answer to a report that was published with the promise of [`Cadence::promise`].
    pub fn published(&mut self, answered: Answered, now: Duration, wall: Timestamp) {
        self.is_refused = answered == Answered::Refused;
        self.publish_at = now
            + match answered {
                Answered::Done if self.is_watched(wall) => WATCHED_INTERVAL,
                Answered::Done | Answered::Failed => INTERVAL,
                Answered::Refused => REFUSED_INTERVAL,
            };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn wall(second: u64) -> Timestamp {
        let begin: Timestamp = "2026-01-31T22:00:00Z".parse().unwrap();
        begin + S(second)
    }

    /// Runs for some seconds, with a watch that is renewed from one second to another. Returns when reports were published, with
    /// what each promised.
    fn run(seconds: u64, watched: std::ops::Range<u64>, answered: Answered) -> Vec<(u64, u64)> {
        let (mut cadence, mut published) = (Cadence::default(), Vec::new());
        for second in 0..seconds {
            let (now, wall_now) = (S(second), wall(second));
            while let Ok(due) = cadence.due(now) {
                match due {
                    Due::Look => {
                        let note = WatchNote {
                            until: wall(watched.end),
                        };
                        let note = (second >= watched.start).then_some(note);
                        cadence.looked(note, Answered::Done, now, wall_now);
                    }
                    Due::Publish => {
                        published.push((second, cadence.promise(wall_now).as_secs()));
                        cadence.published(answered, now, wall_now);
                    }
                }
            }
        }
        published
    }

    #[test]
    fn cadence_is_fifteen_seconds_without_a_watch() {
        assert_eq!(
            run(46, 100..101, Answered::Done),
            [(0, 15), (15, 15), (30, 15), (45, 15)]
        );
    }

    #[test]
    fn cadence_is_a_second_within_five_of_a_watch() {
        let published = run(60, 17..30, Answered::Done);
        let seconds: Vec<u64> = published.iter().map(|(second, _)| *second).collect();
        let fast: Vec<u64> = (20..=30).collect();
        assert_eq!(seconds, [&[0, 15][..], &fast, &[45]].concat());
    }

    /// No reader sees a report as overdue: the next one is there within what the last one promised.
    #[test]
    fn cadence_keeps_every_promise() {
        for (begin, end) in [(17, 30), (0, 20), (3, 4), (16, 44)] {
            let published = run(90, begin..end, Answered::Done);
            for pair in published.windows(2) {
                let ((at, promise), (next, _)) = (pair[0], pair[1]);
                assert!(next - at <= promise, "{begin}..{end}: {at} + {promise} < {next}");
            }
        }
    }

    #[test]
    fn cadence_after_a_refusal_is_a_minute_even_if_watched() {
        let published = run(125, 5..120, Answered::Refused);
        let seconds: Vec<u64> = published.iter().map(|(second, _)| *second).collect();
        assert_eq!(seconds, [0, 60, 120]);
        assert_eq!(run(40, 5..120, Answered::Failed).len(), 4, "0, 5, 20, 35");
    }

    #[test]
    fn cadence_keeps_the_note_while_it_cannot_be_read() {
        let mut cadence = Cadence::default();
        let note = WatchNote { until: wall(10) };
        cadence.looked(Some(note), Answered::Done, S(0), wall(0));
        cadence.looked(None, Answered::Failed, S(5), wall(5));
        assert!(cadence.is_watched(wall(5)));
        assert!(!cadence.is_watched(wall(10)));
    }
}
