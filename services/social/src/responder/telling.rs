//! PURE: what a recipient is told of a request that waits, and when it is worth a message.
//!
//! Ten thousand requests move up with every one that is answered. Told is what changes what somebody would do:
//! another state at once; a place or a forecast when it is off by a good part of what was told.

use jiff::Timestamp;
use schemas::progress::{EarlierState, MOST_EARLIER, Progress, Waiting};

/// What stands in the last message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The state.
    pub state: Waiting,
    /// Since when.
    pub since: Timestamp,
    /// When it was first taken.
    pub taken_at: Timestamp,
    /// The states before this one.
    pub earlier: Vec<EarlierState>,
    /// Its place.
    pub place: Option<u64>,
    /// Its forecast.
    pub forecast: Option<Timestamp>,
    /// When it was told.
    pub at: Timestamp,
}

impl From<Progress> for Told {
    fn from(said: Progress) -> Self {
        Self {
            state: said.state,
            since: said.since,
            taken_at: said.taken_at,
            earlier: said.earlier,
            place: said.place,
            forecast: said.forecast,
            at: said.at,
        }
    }
}

/// When the states of a request began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trail {
    /// The state now.
    pub since: Timestamp,
    /// The first time in the queue.
    pub taken_at: Timestamp,
    /// The states before, each once, with its first time.
    pub earlier: Vec<EarlierState>,
}

/// The trail of a request that is in this state now. What was told before keeps its times, whatever follows.
#[must_use]
pub fn trail(told: Option<&Told>, state: &Waiting, now: Timestamp) -> Trail {
    let Some(told) = told else {
        return Trail {
            since: now,
            taken_at: now,
            earlier: Vec::new(),
        };
    };
    if told.state.is_same_step(state) {
        return Trail {
            since: told.since,
            taken_at: told.taken_at,
            earlier: told.earlier.clone(),
        };
    }
    let mut earlier = told.earlier.clone();
    let is_known = earlier.iter().any(|one| one.state.is_same_step(&told.state));
    if !is_known && earlier.len() < MOST_EARLIER {
        earlier.push(EarlierState {
            state: told.state.clone(),
            since: told.since,
        });
    }
    let was_taken = told.state.is_taken() || told.earlier.iter().any(|one| one.state.is_taken());
    Trail {
        since: now,
        taken_at: if was_taken { told.taken_at } else { now },
        earlier,
    }
}

/// How much something is worth telling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Worth {
    /// Another state, or the first word.
    News,
    /// The same state, with numbers that have moved.
    Moved,
    /// Nothing that anybody would want to know.
    Nothing,
}

/// Weighs what stands now against what was told.
#[must_use]
pub fn worth(told: Option<&Told>, state: &Waiting, place: Option<u64>, forecast: Option<Timestamp>) -> Worth {
    let Some(told) = told else { return Worth::News };
    match (&told.state, state) {
        (
            Waiting::Answering { attempt: a, rows, .. },
            Waiting::Answering {
                attempt: b,
                rows: now,
                ..
            },
        ) => {
            return if a != b {
                Worth::News
            } else if now / 2 > *rows {
                Worth::Moved
            } else {
                Worth::Nothing
            };
        }
        (before, now) if before != now => return Worth::News,
        _ => {}
    }
    if is_off(told.place, place) || is_late(told, forecast) {
        Worth::Moved
    } else {
        Worth::Nothing
    }
}

/// By more than half of what was told; a place among the first few is always exact enough.
fn is_off(told: Option<u64>, now: Option<u64>) -> bool {
    match (told, now) {
        (Some(told), Some(now)) => told.abs_diff(now) > (told / 2).max(3),
        (told, now) => told.is_some() != now.is_some(),
    }
}

/// By more than a quarter of the wait that was told, and a minute.
fn is_late(told: &Told, now: Option<Timestamp>) -> bool {
    match (told.forecast, now) {
        (Some(before), Some(now)) => {
            let wait = before.duration_since(told.at).unsigned_abs();
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

    fn told(state: Waiting, place: Option<u64>, forecast: Option<i64>) -> Told {
        Told {
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
    fn another_state_is_news_and_small_moves_are_nothing() {
        let taken = told(Waiting::Taken, Some(1_000), Some(3_600));
        let now = |place, second| worth(Some(&taken), &Waiting::Taken, Some(place), Some(at(second)));
        assert_eq!(worth(None, &Waiting::Taken, None, None), Worth::News);
        assert_eq!(now(600, 3_600), Worth::Nothing);
        assert_eq!(now(400, 3_600), Worth::Moved);
        assert_eq!(now(1_000, 4_400), Worth::Nothing);
        assert_eq!(now(1_000, 4_600), Worth::Moved);
        let held = Waiting::Held { reason: "x".into() };
        assert_eq!(worth(Some(&taken), &held, None, None), Worth::News);
        let one = told(
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
        assert_eq!(worth(Some(&one), &two, None, None), Worth::News);
    }

    #[test]
    fn trail_keeps_the_first_time_of_each_step() {
        let waits = |granted| Waiting::WaitsForApproval { granted, needed: 2 };
        let answering = |attempt, rows| Waiting::Answering {
            attempt,
            parts: 0,
            rows,
        };
        let held = Waiting::Held { reason: "x".into() };
        let mut last: Option<Told> = None;
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
            let trail = trail(last.as_ref(), &state, at(second));
            last = Some(Told {
                state,
                since: trail.since,
                taken_at: trail.taken_at,
                earlier: trail.earlier,
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

    /// A million rows in two hundred parts are a dozen messages.
    #[test]
    fn a_long_answer_is_told_whenever_it_has_doubled() {
        let answering = |rows| Waiting::Answering {
            attempt: 1,
            parts: 1,
            rows,
        };
        let mut last = told(answering(1), None, None);
        let mut count = 0;
        for rows in (0..1_000_000).step_by(5_000) {
            if worth(Some(&last), &answering(rows), None, None) != Worth::Nothing {
                last = told(answering(rows), None, None);
                count += 1;
            }
        }
        assert!(count < 15, "{count}");
    }
}
