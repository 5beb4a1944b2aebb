//! Properties of the policy over all short histories of a small model and many long random ones.

use std::time::Duration;

use proptest::prelude::*;
use schemas::load::GateState::{Closed, Open};

use super::tests::{TICK, limits, sample, start};
use super::*;

/// The readings of the small model: idle, between the limits, over, and two kinds of unknown.
const READINGS: [Option<f64>; 5] = [Some(10.0), Some(60.0), Some(90.0), Some(f64::NAN), None];

/// Replays a history, one step after each gap, and returns the verdicts.
fn replay(history: &[(Option<f64>, Duration)], limits: &Limits) -> Vec<(Moment, Verdict)> {
    let mut now = start();
    let mut state = PolicyState::new(now);
    let mut verdicts = Vec::new();
    for (value, gap) in history {
        now = now.later(*gap);
        let (next, verdict) = step(state, &sample(now, value.map(Reading::Value)), limits, now);
        state = next;
        verdicts.push((now, verdict));
    }
    verdicts
}

fn states(history: &[Option<f64>], limits: &Limits) -> Vec<GateState> {
    let history: Vec<_> = history.iter().map(|value| (*value, TICK)).collect();
    replay(&history, limits)
        .into_iter()
        .map(|(_, verdict)| verdict.state)
        .collect()
}

/// Returns every history of this length.
fn histories(length: u32) -> impl Iterator<Item = Vec<Option<f64>>> {
    (0..READINGS.len().pow(length)).map(move |mut number| {
        (0..length)
            .map(|_| {
                let reading = READINGS[number % READINGS.len()];
                number /= READINGS.len();
                reading
            })
            .collect()
    })
}

/// All 78,125 histories of 7 samples: the gate is open exactly when a second, plain implementation is.
#[test]
fn policy_matches_a_plain_implementation() {
    let limits = limits(2, TICK * 3);
    for history in histories(7) {
        let (mut is_open, mut good, mut bad_at) = (false, 0, 0);
        for (at, (value, state)) in history.iter().zip(states(&history, &limits)).enumerate() {
            let value = value.unwrap_or(f64::NAN);
            good = if value < 50.0 { good + 1 } else { 0 };
            // Everything that is not below the stop limit is bad, unknown readings and the start included.
            if value.is_nan() || value >= 70.0 {
                bad_at = at + 1;
            }
            let held = at + 1 - bad_at >= 3;
            is_open = if is_open { value < 70.0 } else { good >= 2 && held };
            assert_eq!(state == Open, is_open, "{history:?} at {at}");
        }
    }
}

/// Raising any one sample of any history never opens the gate at any point.
#[test]
fn policy_short_histories_are_monotone_in_load() {
    let limits = limits(2, TICK * 2);
    for history in histories(5) {
        let before = states(&history, &limits);
        for at in 0..history.len() {
            let rank = READINGS
                .iter()
                .position(|reading| reading.map(f64::to_bits) == history[at].map(f64::to_bits));
            for worse in &READINGS[rank.unwrap_or(0)..] {
                let mut history = history.clone();
                history[at] = *worse;
                let after = states(&history, &limits);
                assert!(
                    before
                        .iter()
                        .zip(&after)
                        .all(|(before, after)| *before == Open || *after == Closed)
                );
            }
        }
    }
}

fn reading() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        8 => (0.0..120.0_f64).prop_map(Some),
        4 => (0.0..50.0_f64).prop_map(Some),
        1 => Just(Some(f64::NAN)),
        1 => Just(Some(f64::INFINITY)),
        1 => Just(None),
    ]
}

proptest! {
    #[test]
    fn policy_never_opens_on_a_missing_stale_or_high_sample(
        history in prop::collection::vec((reading(), 0_u64..1_000), 1..200),
        good in 1_u32..5,
        hold_ms in 0_u64..3_000,
    ) {
        let limits = limits(good, Duration::from_millis(hold_ms));
        let history: Vec<_> =
            history.into_iter().map(|(value, gap)| (value, Duration::from_millis(gap))).collect();
        let verdicts = replay(&history, &limits);
        for (at, ((value, gap), (_, verdict))) in history.iter().zip(verdicts).enumerate() {
            let is_known = value.is_some_and(|value| value < 70.0);
            let is_fresh = at == 0 || *gap <= limits.stale_after;
            prop_assert!(verdict.state == Closed || (is_known && is_fresh));
        }
    }

    #[test]
    fn policy_reopens_only_after_the_hold(
        history in prop::collection::vec((reading(), 1_u64..600), 1..300),
        good in 1_u32..5,
        hold_ms in 0_u64..3_000,
    ) {
        let hold = Duration::from_millis(hold_ms);
        let limits = limits(good, hold);
        let history: Vec<_> =
            history.into_iter().map(|(value, gap)| (value, Duration::from_millis(gap))).collect();
        let mut closed_at = start();
        let mut previous = Closed;
        for (now, verdict) in replay(&history, &limits) {
            if previous == Closed && verdict.state == Open {
                prop_assert!(now.mono - closed_at.mono >= hold);
            }
            if verdict.state == Closed && previous == Open {
                closed_at = now;
            }
            previous = verdict.state;
        }
    }

    #[test]
    fn policy_is_monotone_in_load(
        history in prop::collection::vec((0.0..100.0_f64, 0.0..40.0_f64), 1..200),
        good in 1_u32..5,
    ) {
        let limits = limits(good, TICK * 4);
        let light: Vec<_> = history.iter().map(|(value, _)| Some(*value)).collect();
        let heavy: Vec<_> = history.iter().map(|(value, more)| Some(value + more)).collect();
        for (light, heavy) in states(&light, &limits).into_iter().zip(states(&heavy, &limits)) {
            prop_assert!(light == Open || heavy == Closed);
        }
    }
}
