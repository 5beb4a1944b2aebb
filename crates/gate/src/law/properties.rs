//! Properties of the law over random steps.

use proptest::prelude::*;
use schemas::load::GateState::{Closed, Limited, Open};

use super::tests::{Business, SimulatedGate, TICK};
use super::*;
use crate::sample::Reading;

#[derive(Debug, Clone, Copy)]
struct Step {
    reading: Option<f64>,
    working_ms: u64,
    control_ms: u64,
    seen: bool,
    kernel_idle: bool,
}

fn any_step() -> impl Strategy<Value = Step> {
    let reading = prop_oneof![
        6 => (0.0..60.0_f64).prop_map(Some),
        3 => (0.0..10.0_f64).prop_map(Some),
        2 => (0.0..130.0_f64).prop_map(Some),
        1 => Just(Some(f64::NAN)),
        1 => Just(Some(f64::INFINITY)),
        1 => Just(None),
    ];
    (reading, 0_u64..200, 0_u64..200, any::<bool>(), any::<bool>()).prop_map(
        |(reading, working_ms, control_ms, seen, kernel_idle)| Step {
            reading,
            working_ms,
            control_ms,
            seen,
            kernel_idle,
        },
    )
}

fn apply_step(gate: &mut SimulatedGate, one: Step) -> Verdict {
    gate.business = one.seen.then_some(Business {
        working_ms: one.working_ms,
        control_ms: one.control_ms,
    });
    gate.kernel_idle = one.kernel_idle;
    gate.tick(one.reading.map(Reading::Value))
}

proptest! {
    #[test]
    fn duty_is_bounded_and_matches_the_state(steps in prop::collection::vec(any_step(), 1..400)) {
        let mut gate = SimulatedGate::new();
        let law = gate.limits.law;
        for one in steps {
            let verdict = apply_step(&mut gate, one);
            match verdict.state {
                Closed => prop_assert_eq!(verdict.duty_milli(), 0),
                Limited => prop_assert!(verdict.duty >= law.min_duty && verdict.duty < 1.0),
                Open => prop_assert!(verdict.duty_milli() == 1_000 && !verdict.is_control_tick),
            }
            // Never open on a sample that is missing, not finite or over the limit.
            let good = one.reading.is_some_and(|value| value < 70.0);
            prop_assert!(good || verdict.state == Closed);
            // Full duty only if the signal shows no business activity.
            let quiet = one.reading.is_some_and(|value| value < 10.0);
            prop_assert!(quiet || verdict.state != Open);
            // In normal mode and during business activity, never above the maximum.
            if verdict.reason.kind() == ReasonKind::BusinessActive && !one.kernel_idle {
                prop_assert!(verdict.duty <= law.max_duty);
            }
        }
    }

    #[test]
    fn gate_reopens_only_after_the_hold(steps in prop::collection::vec(any_step(), 1..400)) {
        let mut gate = SimulatedGate::new();
        let hold = gate.limits.hold;
        let mut closed_at = gate.now;
        let mut was_working = false;
        for one in steps {
            let verdict = apply_step(&mut gate, one);
            // A closing by the budget is not load; it has its own, longer back-off.
            if verdict.permits_work() && !was_working {
                prop_assert!(gate.now.mono.saturating_sub(closed_at.mono) >= hold.min(TICK * 5));
            }
            if !verdict.permits_work() && was_working {
                closed_at = gate.now;
            }
            was_working = verdict.permits_work();
        }
    }

    /// More harm never gives a larger duty: two businesses, one slowed more, under the same signal.
    #[test]
    fn duty_decreases_with_harm(more in 1_u64..100, ticks in 50_u32..600) {
        let duty = |extra: u64| {
            let mut gate = SimulatedGate::new();
            gate.business = Some(Business { working_ms: 5 + extra, control_ms: 5 });
            let mut sum = 0.0;
            for _ in 0..ticks {
                sum += gate.tick_at(30.0).duty;
            }
            sum
        };
        prop_assert!(duty(more) <= duty(0) + 1e-9);
    }
}

/// Our own load causes no oscillation: the signal excludes it, and a signal that still rises with the duty by less than
/// the gap between its limits changes nothing.
#[test]
fn own_load_causes_no_oscillation() {
    let mut gate = SimulatedGate::new();
    let mut duty = 0.0;
    let mut closings = 0;
    let mut was_working = false;
    for _ in 0..6_000 {
        let verdict = gate.tick_at(45.0 + 20.0 * duty);
        duty = verdict.duty;
        closings += u32::from(was_working && !verdict.permits_work());
        was_working = verdict.permits_work();
    }
    assert_eq!(closings, 0);
    assert!(was_working);
}

/// A quarter of a second between two transactions is not idleness.
#[test]
fn single_quiet_tick_is_not_idleness() {
    let mut gate = SimulatedGate::new();
    for at in 0..1_000_u32 {
        let verdict = gate.tick_at(if at % 2 == 0 { 2.0 } else { 30.0 });
        assert_ne!(verdict.state, Open);
    }
}
