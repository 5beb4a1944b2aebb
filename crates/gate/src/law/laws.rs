//! What holds whatever happens.

use proptest::prelude::*;
use schemas::load::GateState::{Limited, Open, Shut};

use super::tests::{Business, Rig, TICK};
use super::*;
use crate::sample::Reading;

#[derive(Debug, Clone, Copy)]
struct Step {
    reading: Option<f64>,
    working_ms: u64,
    resting_ms: u64,
    seen: bool,
    kernel: bool,
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
        |(reading, working_ms, resting_ms, seen, kernel)| Step {
            reading,
            working_ms,
            resting_ms,
            seen,
            kernel,
        },
    )
}

fn play(rig: &mut Rig, one: Step) -> Verdict {
    rig.business = one.seen.then_some(Business {
        working_ms: one.working_ms,
        resting_ms: one.resting_ms,
    });
    rig.kernel = one.kernel;
    rig.tick(one.reading.map(Reading::Value))
}

proptest! {
    #[test]
    fn the_duty_is_bounded_and_fits_the_state(steps in prop::collection::vec(any_step(), 1..400)) {
        let mut rig = Rig::new();
        let law = rig.limits.law;
        for one in steps {
            let verdict = play(&mut rig, one);
            match verdict.state {
                Shut => prop_assert_eq!(verdict.duty_milli(), 0),
                Limited => prop_assert!(verdict.duty >= law.least && verdict.duty < 1.0),
                Open => prop_assert!(verdict.duty_milli() == 1_000 && !verdict.rests),
            }
            // Never open on a sample that is missing, no number or over.
            let good = one.reading.is_some_and(|value| value < 70.0);
            prop_assert!(good || verdict.state == Shut);
            // All of the time only where the signal says that there is nobody.
            let quiet = one.reading.is_some_and(|value| value < 10.0);
            prop_assert!(quiet || verdict.state != Open);
            // Without the kernel's help, and beside a business, never more than the most.
            if verdict.reason.kind() == ReasonKind::Beside && !one.kernel {
                prop_assert!(verdict.duty <= law.most_bare);
            }
        }
    }

    #[test]
    fn never_flaps_faster_than_the_hold(steps in prop::collection::vec(any_step(), 1..400)) {
        let mut rig = Rig::new();
        let hold = rig.limits.hold;
        let mut shut_at = rig.now;
        let mut was = false;
        for one in steps {
            let verdict = play(&mut rig, one);
            // The budget's own shut is no load; it has its own, longer wait.
            if verdict.lets_work() && !was {
                prop_assert!(rig.now.mono.saturating_sub(shut_at.mono) >= hold.min(TICK * 5));
            }
            if !verdict.lets_work() && was {
                shut_at = rig.now;
            }
            was = verdict.lets_work();
        }
    }

    /// More harm never gives a larger duty: two businesses, one hurt more, under the same signal.
    #[test]
    fn monotone_in_harm(more in 1_u64..100, ticks in 50_u32..600) {
        let duty = |extra: u64| {
            let mut rig = Rig::new();
            rig.business = Some(Business { working_ms: 5 + extra, resting_ms: 5 });
            let mut sum = 0.0;
            for _ in 0..ticks {
                sum += rig.at(30.0).duty;
            }
            sum
        };
        prop_assert!(duty(more) <= duty(0) + 1e-9);
    }
}

/// Its own load cannot make it oscillate: what the signal says of us is already taken off, and
/// a signal that still rises with our duty by less than the gap between its limits changes
/// nothing.
#[test]
fn our_own_load_makes_no_oscillation() {
    let mut rig = Rig::new();
    let mut duty = 0.0;
    let mut shuts = 0;
    let mut was = false;
    for _ in 0..6_000 {
        let verdict = rig.at(45.0 + 20.0 * duty);
        duty = verdict.duty;
        shuts += u32::from(was && !verdict.lets_work());
        was = verdict.lets_work();
    }
    assert_eq!(shuts, 0);
    assert!(was);
}

/// A quarter of a second of silence between two transactions is not idleness.
#[test]
fn a_single_quiet_tick_is_no_silence() {
    let mut rig = Rig::new();
    for at in 0..1_000_u32 {
        let verdict = rig.at(if at % 2 == 0 { 2.0 } else { 30.0 });
        assert_ne!(verdict.state, Open);
    }
}
