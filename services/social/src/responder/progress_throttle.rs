//! PURE: decides when the progress of a waiting request is worth a message.
//!
//! Every answer moves thousands of requests up in the queue. A message is sent for a change that matters to its reader: another
//! state at once, a queue position or forecast when it differs considerably from the last message.

use jiff::Timestamp;
use schemas::progress::{EarlierState, MAX_EARLIER_STATES, Progress, Waiting};

/// The last progress message of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentProgress {
    /// The state.
    pub state: Waiting,
    /// When the state began.
    pub since: Timestamp,
    /// When the request was first queued.
    pub taken_at: Timestamp,
    /// The earlier states.
    pub earlier: Vec<EarlierState>,
    /// The queue position.
    pub place: Option<u64>,
    /// The forecast.
    pub forecast: Option<Timestamp>,
    /// When the message was sent.
    pub at: Timestamp,
}

impl From<Progress> for SentProgress {
    fn from(progress: Progress) -> Self {
        Self {
            state: progress.state,
            since: progress.since,
            taken_at: progress.taken_at,
            earlier: progress.earlier,
            place: progress.place,
            forecast: progress.forecast,
            at: progress.at,
        }
    }
}

/// The times at which the states of a request began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateHistory {
    /// When the current state began.
    pub since: Timestamp,
    /// When the request was first queued.
    pub taken_at: Timestamp,
    /// The earlier states, each once, with its first time.
    pub earlier: Vec<EarlierState>,
}

/// Returns the history of a request that is now in `state`. The times of the last message are kept.
#[must_use]
pub fn state_history(last: Option<&SentProgress>, state: &Waiting, now: Timestamp) -> StateHistory {
    let Some(last) = last else {
        return StateHistory {
            since: now,
            taken_at: now,
            earlier: Vec::new(),
        };
    };
    if last.state.is_same_step(state) {
        return StateHistory {
            since: last.since,
            taken_at: last.taken_at,
            earlier: last.earlier.clone(),
        };
    }
    let mut earlier = last.earlier.clone();
    let is_known = earlier.iter().any(|one| one.state.is_same_step(&last.state));
    if !is_known && earlier.len() < MAX_EARLIER_STATES {
        earlier.push(EarlierState {
            state: last.state.clone(),
            since: last.since,
        });
    }
    let was_taken = last.state.is_taken() || last.earlier.iter().any(|one| one.state.is_taken());
    StateHistory {
        since: now,
        taken_at: if was_taken { last.taken_at } else { now },
        earlier,
    }
}

/// How urgent a progress message is, from urgent to needless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Another state, or the first message.
    StateChanged,
    /// The same state with other values.
    ValuesMoved,
    /// No relevant change.
    NoChange,
}

/// Compares the current state with the last message.
#[must_use]
pub fn urgency(
    last: Option<&SentProgress>,
    state: &Waiting,
    place: Option<u64>,
    forecast: Option<Timestamp>,
) -> Urgency {
    let Some(last) = last else {
        return Urgency::StateChanged;
    };
    match (&last.state, state) {
        (
            Waiting::Answering { attempt: a, rows, .. },
            Waiting::Answering {
                attempt: b,
                rows: now,
                ..
            },
        ) => {
            return if a != b {
                Urgency::StateChanged
            } else if now / 2 > *rows {
                Urgency::ValuesMoved
            } else {
                Urgency::NoChange
            };
        }
        (before, now) if before != now => return Urgency::StateChanged,
        _ => {}
    }
    if is_off(last.place, place) || is_late(last, forecast) {
        Urgency::ValuesMoved
    } else {
        Urgency::NoChange
    }
}

/// Returns whether a queue position differs by more than half of the last one; up to 3 places do not count.
fn is_off(last: Option<u64>, now: Option<u64>) -> bool {
    match (last, now) {
        (Some(last), Some(now)) => last.abs_diff(now) > (last / 2).max(3),
        (last, now) => last.is_some() != now.is_some(),
    }
}

/// Returns whether a forecast differs by more than a quarter of the announced wait, and by more than a minute.
fn is_late(last: &SentProgress, now: Option<Timestamp>) -> bool {
    match (last.forecast, now) {
        (Some(before), Some(now)) => {
            let wait = before.duration_since(last.at).unsigned_abs();
            let off = now.duration_since(before).unsigned_abs();
            off > (wait / 4).max(std::time::Duration::from_secs(60))
        }
        (before, now) => before.is_some() != now.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_769_860_800 + second).unwrap()
    }

    fn sent(state: Waiting, place: Option<u64>, forecast: Option<i64>) -> SentProgress {
        SentProgress {
            state,
            since: at(0),
            taken_at: at(0),
            earlier: Vec::new(),
            place,
            forecast: forecast.map(at),
            at: at(0),
        }
    }

    #[test]
    fn progress_new_state_is_urgent_and_small_moves_are_not() {
        let taken = sent(Waiting::Taken, Some(1_000), Some(3_600));
        let now = |place, second| urgency(Some(&taken), &Waiting::Taken, Some(place), Some(at(second)));
        assert_eq!(urgency(None, &Waiting::Taken, None, None), Urgency::StateChanged);
        assert_eq!(now(600, 3_600), Urgency::NoChange);
        assert_eq!(now(400, 3_600), Urgency::ValuesMoved);
        assert_eq!(now(1_000, 4_400), Urgency::NoChange);
        assert_eq!(now(1_000, 4_600), Urgency::ValuesMoved);
        let held = Waiting::Held { reason: "x".into() };
        assert_eq!(urgency(Some(&taken), &held, None, None), Urgency::StateChanged);
        let one = sent(
            Waiting::WaitsForApproval {
                granted: 0,
                needed: 2,
            },
            None,
            None,
        );
        let two = Waiting::WaitsForApproval {
            granted: 1,
            needed: 2,
        };
        assert_eq!(urgency(Some(&one), &two, None, None), Urgency::StateChanged);
    }

    #[test]
    fn progress_history_keeps_the_first_time_of_each_state() {
        let waits = |granted| Waiting::WaitsForApproval { granted, needed: 2 };
        let answering = |attempt, rows| Waiting::Answering {
            attempt,
            parts: 0,
            rows,
        };
        let held = Waiting::Held { reason: "x".into() };
        let mut last: Option<SentProgress> = None;
        for (second, state) in [
            (0, waits(0)),
            (10, waits(1)),
            (20, Waiting::Taken),
            (30, held.clone()),
            (40, Waiting::Taken),
            (50, held),
            (60, answering(1, 5)),
            (70, answering(1, 9)),
        ] {
            let state_history = state_history(last.as_ref(), &state, at(second));
            last = Some(SentProgress {
                state,
                since: state_history.since,
                taken_at: state_history.taken_at,
                earlier: state_history.earlier,
                place: None,
                forecast: None,
                at: at(second),
            });
        }
        let last = last.unwrap();
        assert_eq!((last.since, last.taken_at), (at(60), at(20)));
        let seconds: Vec<i64> = last
            .earlier
            .iter()
            .map(|one| one.since.as_second() - at(0).as_second())
            .collect();
        assert_eq!(seconds, [0, 10, 20, 30]);
        assert_eq!(last.earlier[1].state, waits(1));
    }

    /// A million rows in two hundred parts make a dozen messages.
    #[test]
    fn progress_of_a_long_answer_is_sent_whenever_it_doubles() {
        let answering = |rows| Waiting::Answering {
            attempt: 1,
            parts: 1,
            rows,
        };
        let mut last = sent(answering(1), None, None);
        let mut count = 0;
        for rows in (0..1_000_000).step_by(5_000) {
            if urgency(Some(&last), &answering(rows), None, None) != Urgency::NoChange {
                last = sent(answering(rows), None, None);
                count += 1;
            }
        }
        assert!(count < 15, "{count}");
    }
}
