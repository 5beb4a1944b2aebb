//! Examples of the policy, and each implausible sample.

use std::time::Duration;

use jiff::Timestamp;
use schemas::load::GateState::{Closed, Open};

use super::*;
use crate::limits::Limit;
use crate::verdict::ReasonKind;

pub(super) const TICK: Duration = Duration::from_millis(250);

pub(super) fn limits(good_samples: u32, hold: Duration) -> Limits {
    let limit = Limit {
        stop: 70.0,
        resume: 50.0,
        critical: Some(90.0),
        quiet: Some(10.0),
        unit: "percent",
    };
    Limits {
        is_fixed_open: false,
        law: crate::duty_law::DutyLaw::default(),
        relief: crate::relief::Reliefs::default(),
        signals: [("host_cpu".into(), limit)].into(),
        good_samples,
        hold,
        stale_after: TICK * 3,
        clock_slack: Duration::from_secs(1),
    }
}

pub(super) fn start() -> Moment {
    Moment {
        mono: Duration::from_secs(10),
        wall: Timestamp::UNIX_EPOCH,
    }
}

pub(super) fn sample(at: Moment, reading: Option<Reading>) -> Sample {
    Sample {
        at,
        readings: reading
            .map(|reading| ("host_cpu".into(), reading))
            .into_iter()
            .collect(),
    }
}

/// A policy that is stepped once per tick.
struct Stepped {
    state: Option<PolicyState>,
    limits: Limits,
    now: Moment,
}

impl Stepped {
    fn new() -> Self {
        let now = start();
        Self {
            state: Some(PolicyState::new(now)),
            limits: limits(3, TICK * 4),
            now,
        }
    }

    fn open() -> Self {
        let mut this = Self::new();
        while this.value(10.0).state != Open {}
        this
    }

    fn step(&mut self, sample: &Sample) -> Verdict {
        let state = self.state.take().unwrap_or_else(|| PolicyState::new(self.now));
        let (state, verdict) = step(state, sample, &self.limits, self.now);
        self.state = Some(state);
        verdict
    }

    fn value(&mut self, value: f64) -> Verdict {
        self.reading(Some(Reading::Value(value)))
    }

    fn reading(&mut self, reading: Option<Reading>) -> Verdict {
        self.now = self.now.later(TICK);
        self.step(&sample(self.now, reading))
    }
}

#[test]
fn gate_opens_after_good_samples_and_closes_at_once() {
    let mut policy = Stepped::new();
    let verdicts: Vec<_> = (0..4).map(|_| policy.value(10.0)).collect();
    let states: Vec<_> = verdicts.iter().map(|verdict| verdict.state).collect();
    assert_eq!(states, [Closed, Closed, Closed, Open]);
    assert_eq!(
        verdicts[0].reason,
        Reason::Holding {
            left: TICK * 3,
            samples_left: 2
        }
    );
    assert_eq!(
        verdicts[0].reason.to_string(),
        "holding 0.8 s and 2 good samples more"
    );
    assert_eq!(verdicts[3].since, policy.now);
    let closed = policy.value(83.04);
    assert_eq!((closed.state, closed.since), (Closed, policy.now));
    assert_eq!(
        closed.reason.to_string(),
        "host_cpu 83.0 % >= 70.0 % (stop limit)"
    );
}

/// Trap: one threshold for stop and start flaps.
#[test]
fn gate_between_the_limits_keeps_its_state() {
    let mut policy = Stepped::open();
    assert!((0..20).all(|_| policy.value(60.0).state == Open));
    assert_eq!(policy.value(70.0).state, Closed);
    let verdicts: Vec<_> = (0..20).map(|_| policy.value(60.0)).collect();
    assert!(
        verdicts
            .iter()
            .all(|verdict| verdict.reason.kind() == ReasonKind::NotYetIdle)
    );
    let opens = (0..).find(|_| policy.value(49.9).state == Open);
    // The hold continued meanwhile; the good samples are still required.
    assert_eq!(opens, Some(2));
}

/// Trap: a probe error read as "not loaded".
#[test]
fn unknown_reading_closes_the_gate_with_its_reason() {
    for (reading, kind) in [
        (None, ReasonKind::Missing),
        (Some(Reading::Failed("timeout".into())), ReasonKind::Failed),
        (Some(Reading::Value(f64::NAN)), ReasonKind::NotANumber),
        (Some(Reading::Value(f64::NEG_INFINITY)), ReasonKind::NotANumber),
    ] {
        let mut policy = Stepped::open();
        let verdict = policy.reading(reading);
        assert_eq!((verdict.state, verdict.reason.kind()), (Closed, kind));
    }
}

/// Trap: a misspelt metric throttles permanently, or never.
#[test]
fn signal_without_limits_and_empty_limits_close_the_gate() {
    let mut policy = Stepped::open();
    policy.now = policy.now.later(TICK);
    let mut unknown = sample(policy.now, Some(Reading::Value(1.0)));
    unknown.readings.insert("host_cqu".into(), Reading::Value(1.0));
    assert_eq!(policy.step(&unknown).reason, Reason::Unknown("host_cqu".into()));
    let mut policy = Stepped::open();
    policy.limits.signals.clear();
    assert_eq!(policy.reading(None).reason, Reason::NoSignal);
}

#[test]
fn stale_sample_or_missing_samples_close_the_gate() {
    let mut policy = Stepped::open();
    let old = sample(policy.now.later(TICK), Some(Reading::Value(1.0)));
    policy.now = policy.now.later(TICK * 5);
    assert_eq!(policy.step(&old).reason, Reason::Stale(TICK * 4));
    // A fresh sample after a long gap: the load in between is not known.
    let mut policy = Stepped::open();
    policy.now = policy.now.later(TICK * 4);
    let verdict = policy.step(&sample(policy.now, Some(Reading::Value(1.0))));
    assert_eq!(verdict.reason, Reason::Stale(TICK * 4));
    assert_eq!(policy.value(1.0).reason.kind(), ReasonKind::Holding);
}

#[test]
fn clock_backwards_or_jumping_closes_the_gate_for_a_while() {
    let mut policy = Stepped::open();
    let back = Moment {
        mono: policy.now.mono.saturating_sub(TICK),
        ..policy.now
    };
    policy.now = back;
    assert_eq!(
        policy.step(&sample(back, Some(Reading::Value(1.0)))).reason,
        Reason::ClockBack
    );
    for hour in [3_600_000_i64, -3_600_000] {
        let mut policy = Stepped::open();
        policy.now = policy.now.later(TICK);
        policy.now.wall += jiff::SignedDuration::from_millis(hour);
        let verdict = policy.step(&sample(policy.now, Some(Reading::Value(1.0))));
        assert_eq!((verdict.state, verdict.reason), (Closed, Reason::ClockJump(hour)));
        let opens = (0..).find(|_| policy.value(1.0).state == Open);
        assert_eq!(opens, Some(3));
    }
    // A sample from the future.
    let mut policy = Stepped::open();
    let future = sample(policy.now.later(TICK), Some(Reading::Value(1.0)));
    assert_eq!(policy.step(&future).reason, Reason::ClockBack);
}

#[test]
fn interruption_restarts_the_hold() {
    let mut policy = Stepped::open();
    policy.state = policy.state.take().map(|state| state.interrupted(policy.now));
    let opens = (0..).find(|_| policy.value(1.0).state == Open);
    assert_eq!(opens, Some(3));
}
