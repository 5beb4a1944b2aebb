//! Examples of the law.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use schemas::load::GateState;

use super::*;
use crate::limits::Limit;
use crate::orders::ActiveOrder;
use crate::relief::{Reliefs, Trickle, Window};
use crate::sample::Reading;

pub(super) const TICK: Duration = Duration::from_millis(100);

pub(super) fn start() -> Moment {
    Moment {
        mono: Duration::from_secs(1),
        wall: Timestamp::UNIX_EPOCH,
    }
}

/// One signal in percent: stop 70, resume 50, critical 95, quiet 10; a hold of half a second.
pub(super) fn limits() -> Limits {
    let limit = Limit {
        stop: 70.0,
        resume: 50.0,
        critical: Some(95.0),
        quiet: Some(10.0),
        unit: "percent",
    };
    Limits {
        is_fixed_open: false,
        signals: BTreeMap::from([("host_cpu".into(), limit)]),
        good_samples: 2,
        hold: TICK * 5,
        stale_after: TICK * 5,
        clock_slack: Duration::from_secs(1),
        law: DutyLaw::default(),
        relief: Reliefs::default(),
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

/// A business of 60 ms per tick that waits this many milliseconds in working and in control ticks.
#[derive(Clone, Copy)]
pub(super) struct Business {
    pub(super) working_ms: u64,
    pub(super) control_ms: u64,
}

/// A gate with a simulated signal, business and orders.
pub(super) struct SimulatedGate {
    pub(super) now: Moment,
    pub(super) state: Option<LawState>,
    pub(super) limits: Limits,
    pub(super) orders: Orders,
    pub(super) business: Option<Business>,
    pub(super) kernel_idle: bool,
    worked: bool,
}

impl SimulatedGate {
    pub(super) fn new() -> Self {
        let now = start();
        Self {
            now,
            state: Some(LawState::new(now, 42)),
            limits: limits(),
            orders: Orders::default(),
            business: None,
            kernel_idle: false,
            worked: false,
        }
    }

    pub(super) fn tick(&mut self, reading: Option<Reading>) -> Verdict {
        self.now = self.now.later(TICK);
        let contention = self.business.map(|business| SchedulerContention {
            run: Duration::from_millis(60),
            wait: Duration::from_millis(if self.worked {
                business.working_ms
            } else {
                business.control_ms
            }),
            slices: 100,
        });
        let tick = Tick {
            contention,
            worked: if self.worked { TICK / 4 } else { Duration::ZERO },
            kernel_idle: self.kernel_idle,
        };
        let state = self.state.take().unwrap_or_else(|| LawState::new(self.now, 42));
        let (state, verdict) = step(
            state,
            &sample(self.now, reading),
            &tick,
            &self.orders,
            &self.limits,
            self.now,
        );
        self.state = Some(state);
        self.worked = verdict.permits_work() && !verdict.is_control_tick;
        verdict
    }

    pub(super) fn tick_at(&mut self, percent: f64) -> Verdict {
        self.tick(Some(Reading::Value(percent)))
    }

    /// Runs this many ticks and returns the last verdict.
    fn after(&mut self, ticks: u32, percent: f64) -> Verdict {
        let mut last = self.tick_at(percent);
        for _ in 1..ticks {
            last = self.tick_at(percent);
        }
        last
    }
}

#[test]
fn idle_gate_has_full_duty_after_probation() {
    let mut gate = SimulatedGate::new();
    assert_eq!(gate.after(4, 2.0).state, GateState::Closed);
    let first = gate.tick_at(2.0);
    assert_eq!(
        (first.state, first.reason.kind()),
        (GateState::Limited, ReasonKind::Probation)
    );
    let open = gate.after(3, 2.0);
    assert_eq!((open.state, open.duty_milli()), (GateState::Open, 1_000));
    assert_eq!(open.quantum, gate.limits.law.quantum_idle);
}

#[test]
fn duty_without_harm_grows_to_its_maximum() {
    let mut gate = SimulatedGate::new();
    gate.business = Some(Business {
        working_ms: 6,
        control_ms: 6,
    });
    let early = gate.after(12, 30.0);
    assert_eq!(early.state, GateState::Limited);
    assert!(early.duty <= 0.1 && early.quantum == gate.limits.law.quantum_busy);
    assert_eq!(gate.after(600, 30.0).duty_milli(), 100);
    gate.kernel_idle = true;
    assert_eq!(gate.after(600, 30.0).duty_milli(), 450);
    // Back in normal mode, the limit applies at once.
    gate.kernel_idle = false;
    assert!(gate.tick_at(30.0).duty <= 0.1);
}

#[test]
fn harm_over_budget_halves_the_duty_then_closes_the_gate() {
    let mut gate = SimulatedGate::new();
    gate.business = Some(Business {
        working_ms: 6,
        control_ms: 6,
    });
    gate.after(600, 30.0);
    gate.business = Some(Business {
        working_ms: 30,
        control_ms: 6,
    });
    // Earlier observations have to decay first.
    let mut duties = Vec::new();
    let closed = loop {
        let verdict = gate.tick_at(30.0);
        if verdict.state == GateState::Closed {
            break verdict;
        }
        if duties.last() != Some(&verdict.duty_milli()) {
            duties.push(verdict.duty_milli());
        }
        assert!(duties.len() < 100, "{duties:?}");
    };
    assert_eq!(closed.reason.kind(), ReasonKind::OverBudget);
    assert!(duties.windows(2).any(|pair| pair[1] * 2 == pair[0]), "{duties:?}");
    assert_eq!(duties.last(), Some(&10));
    // The gate stays closed for the back-off and reopens on probation.
    let law = gate.limits.law;
    let mut away = 0;
    while gate.tick_at(30.0).state == GateState::Closed {
        away += 1;
    }
    assert!(TICK * away >= law.backoff - TICK * 2, "{away}");
}

/// Without a measurement of harm the duty stays small.
#[test]
fn duty_without_harm_measurement_is_small_and_fixed() {
    let mut gate = SimulatedGate::new();
    assert_eq!(gate.after(600, 30.0).duty_milli(), 50);
}

#[test]
fn about_one_tick_in_five_is_a_control_tick() {
    let mut gate = SimulatedGate::new();
    gate.after(20, 30.0);
    let control_ticks = (0..1_000).filter(|_| gate.tick_at(30.0).is_control_tick).count();
    assert!((150..250).contains(&control_ticks), "{control_ticks}");
}

#[test]
fn critical_level_requires_dropping_connections() {
    let mut gate = SimulatedGate::new();
    gate.after(20, 2.0);
    let verdict = gate.tick_at(96.0);
    assert!(verdict.critical && verdict.state == GateState::Closed);
    assert_eq!(
        verdict.reason.to_string(),
        "host_cpu 96.0 % >= 95.0 % (critical level)"
    );
    assert!(!gate.tick_at(80.0).critical);
}

fn order(until: Option<Timestamp>) -> ActiveOrder {
    ActiveOrder {
        actor: "li".into(),
        reason: "month end".into(),
        until,
    }
}

#[test]
fn pause_binds_until_its_end_and_limit_caps_the_duty() {
    let mut gate = SimulatedGate::new();
    gate.after(20, 2.0);
    gate.orders.pause = Some(order(Some(gate.now.later(TICK * 10).wall)));
    let paused = gate.tick_at(2.0);
    assert_eq!(
        (
            paused.state,
            paused.reason.to_string().contains("paused by li (month end")
        ),
        (GateState::Closed, true)
    );
    assert_eq!(gate.after(9, 2.0).reason.kind(), ReasonKind::Probation);
    gate.orders.max_duty = Some((0.2, order(None)));
    let limited = gate.after(10, 2.0);
    assert_eq!(
        (limited.duty_milli(), limited.reason.kind()),
        (200, ReasonKind::Ordered)
    );
}

/// Trap: an operator's pause that a gate without limits does not obey.
#[test]
fn fixed_open_gate_obeys_orders_only() {
    let mut gate = SimulatedGate::new();
    gate.limits.is_fixed_open = true;
    let open = gate.tick(Some(Reading::Value(f64::NAN)));
    assert_eq!(
        (open.state, open.reason.kind()),
        (GateState::Open, ReasonKind::FixedOpen)
    );
    assert_eq!((open.duty_milli(), open.expires), (1_000, None));
    gate.orders.max_duty = Some((0.2, order(None)));
    let limited = gate.tick_at(99.0);
    assert_eq!(
        (limited.state, limited.duty_milli(), limited.reason.kind()),
        (GateState::Limited, 200, ReasonKind::Ordered)
    );
    assert_eq!(limited.quantum, gate.limits.law.quantum_busy);
    gate.orders.pause = Some(order(Some(gate.now.later(TICK * 3).wall)));
    assert_eq!(gate.tick_at(2.0).reason.kind(), ReasonKind::Paused);
    gate.orders.max_duty = None;
    assert_eq!(gate.after(5, 2.0).reason.kind(), ReasonKind::FixedOpen);
    gate.orders = Orders::unread("the exchange does not answer");
    assert_eq!(gate.tick_at(2.0).reason.kind(), ReasonKind::OrdersUnread);
}

#[test]
fn unread_orders_keep_the_gate_closed() {
    let mut gate = SimulatedGate::new();
    gate.orders = Orders::unread("the exchange does not answer");
    assert_eq!(gate.after(50, 2.0).reason.kind(), ReasonKind::OrdersUnread);
}

#[test]
fn trickle_begins_after_its_time_and_only_for_load() {
    let mut gate = SimulatedGate::new();
    gate.limits.relief.trickle = Some(Trickle {
        after: Duration::from_secs(60),
        duty: 0.01,
        actor: "wang".into(),
        reason: "the insurer waits".into(),
    });
    assert_eq!(gate.after(590, 80.0).state, GateState::Closed);
    let trickle = gate.after(20, 80.0);
    assert_eq!((trickle.state, trickle.duty_milli()), (GateState::Limited, 10));
    let text = trickle.reason.to_string();
    assert!(
        text.starts_with("a trickle by wang") && text.contains("80.0 %"),
        "{text}"
    );
    assert_eq!(gate.tick_at(96.0).state, GateState::Closed);
    assert_eq!(gate.tick(None).state, GateState::Closed);
    assert_eq!(gate.tick(Some(Reading::Value(f64::NAN))).state, GateState::Closed);
    gate.orders.pause = Some(order(None));
    assert_eq!(gate.tick_at(80.0).state, GateState::Closed);
    gate.orders.pause = None;
    // A moment of idleness ends it.
    gate.after(10, 2.0);
    assert_eq!(gate.tick_at(80.0).state, GateState::Closed);
}

#[test]
fn deadline_window_opens_within_its_times() {
    let mut gate = SimulatedGate::new();
    let (from, until) = (gate.now.later(TICK * 100).wall, gate.now.later(TICK * 200).wall);
    gate.limits.relief.windows = vec![Window {
        from,
        until,
        duty: 0.05,
        actor: "wang".into(),
        reason: "year end".into(),
    }];
    assert_eq!(gate.after(98, 80.0).state, GateState::Closed);
    let window = gate.after(50, 80.0).reason;
    assert_eq!(window.kind(), ReasonKind::Relief);
    assert!(
        window.to_string().starts_with("a deadline window by wang"),
        "{window}"
    );
    assert_eq!(gate.after(60, 80.0).state, GateState::Closed);
}

/// A clock jump closes the gate even if it ends a pause or begins a window.
#[test]
fn clock_jump_does_not_open_a_window() {
    let mut gate = SimulatedGate::new();
    gate.after(20, 2.0);
    gate.now.wall += Duration::from_secs(3_600);
    assert_eq!(gate.tick_at(2.0).reason.kind(), ReasonKind::ClockJump);
}
