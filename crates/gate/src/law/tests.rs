//! The law by example.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use schemas::load::GateState;

use super::relief::{Reliefs, Trickle, Window};
use super::*;
use crate::limits::Limit;
use crate::orders::Standing;
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

/// A business of 60 ms a tick that waits so many milliseconds while we work and while we rest.
#[derive(Clone, Copy)]
pub(super) struct Business {
    pub(super) working_ms: u64,
    pub(super) resting_ms: u64,
}

/// A gate on a rig: what the signal says, what the business suffers, what was ordered.
pub(super) struct Rig {
    pub(super) now: Moment,
    pub(super) state: Option<LawState>,
    pub(super) limits: Limits,
    pub(super) orders: Orders,
    pub(super) business: Option<Business>,
    pub(super) kernel: bool,
    worked: bool,
}

impl Rig {
    pub(super) fn new() -> Self {
        let now = start();
        Self {
            now,
            state: Some(LawState::new(now, 42)),
            limits: limits(),
            orders: Orders::default(),
            business: None,
            kernel: false,
            worked: false,
        }
    }

    pub(super) fn tick(&mut self, reading: Option<Reading>) -> Verdict {
        self.now = self.now.later(TICK);
        let strain = self.business.map(|business| Strain {
            run: Duration::from_millis(60),
            wait: Duration::from_millis(if self.worked {
                business.working_ms
            } else {
                business.resting_ms
            }),
            slices: 100,
        });
        let tick = Tick {
            strain,
            worked: if self.worked { TICK / 4 } else { Duration::ZERO },
            kernel: self.kernel,
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
        self.worked = verdict.lets_work() && !verdict.rests;
        verdict
    }

    pub(super) fn at(&mut self, percent: f64) -> Verdict {
        self.tick(Some(Reading::Value(percent)))
    }

    /// The last of so many ticks.
    fn after(&mut self, ticks: u32, percent: f64) -> Verdict {
        let mut last = self.at(percent);
        for _ in 1..ticks {
            last = self.at(percent);
        }
        last
    }
}

#[test]
fn idle_means_all_of_the_time_after_probation() {
    let mut rig = Rig::new();
    assert_eq!(rig.after(4, 2.0).state, GateState::Shut);
    let first = rig.at(2.0);
    assert_eq!(
        (first.state, first.reason.kind()),
        (GateState::Limited, ReasonKind::Probation)
    );
    let open = rig.after(3, 2.0);
    assert_eq!((open.state, open.duty_milli()), (GateState::Open, 1_000));
    assert_eq!(open.quantum, rig.limits.law.quantum_idle);
}

#[test]
fn beside_a_business_that_feels_nothing_the_duty_grows_to_its_most() {
    let mut rig = Rig::new();
    rig.business = Some(Business {
        working_ms: 6,
        resting_ms: 6,
    });
    let early = rig.after(12, 30.0);
    assert_eq!(early.state, GateState::Limited);
    assert!(early.duty <= 0.1 && early.quantum == rig.limits.law.quantum_busy);
    assert_eq!(rig.after(600, 30.0).duty_milli(), 100);
    rig.kernel = true;
    assert_eq!(rig.after(600, 30.0).duty_milli(), 450);
    // Without the kernel again, at once.
    rig.kernel = false;
    assert!(rig.at(30.0).duty <= 0.1);
}

#[test]
fn harm_over_the_budget_halves_the_duty_until_the_gate_shuts_for_it() {
    let mut rig = Rig::new();
    rig.business = Some(Business {
        working_ms: 6,
        resting_ms: 6,
    });
    rig.after(600, 30.0);
    rig.business = Some(Business {
        working_ms: 30,
        resting_ms: 6,
    });
    // What was learnt before has to fade first.
    let mut duties = Vec::new();
    let shut = loop {
        let verdict = rig.at(30.0);
        if verdict.state == GateState::Shut {
            break verdict;
        }
        if duties.last() != Some(&verdict.duty_milli()) {
            duties.push(verdict.duty_milli());
        }
        assert!(duties.len() < 100, "{duties:?}");
    };
    assert_eq!(shut.reason.kind(), ReasonKind::OverBudget);
    assert!(duties.windows(2).any(|pair| pair[1] * 2 == pair[0]), "{duties:?}");
    assert_eq!(duties.last(), Some(&10));
    // It stays away, and comes back on probation.
    let law = rig.limits.law;
    let mut away = 0;
    while rig.at(30.0).state == GateState::Shut {
        away += 1;
    }
    assert!(TICK * away >= law.backoff - TICK * 2, "{away}");
}

/// Without knowledge of the harm nobody takes much.
#[test]
fn a_business_that_cannot_be_measured_gets_a_small_fixed_share() {
    let mut rig = Rig::new();
    assert_eq!(rig.after(600, 30.0).duty_milli(), 50);
}

#[test]
fn one_tick_in_five_or_so_is_a_rest() {
    let mut rig = Rig::new();
    rig.after(20, 30.0);
    let rests = (0..1_000).filter(|_| rig.at(30.0).rests).count();
    assert!((150..250).contains(&rests), "{rests}");
}

#[test]
fn a_critical_level_says_to_drop_connections() {
    let mut rig = Rig::new();
    rig.after(20, 2.0);
    let verdict = rig.at(96.0);
    assert!(verdict.critical && verdict.state == GateState::Shut);
    assert_eq!(
        verdict.reason.to_string(),
        "host_cpu 96.0 % >= 95.0 % (critical level)"
    );
    assert!(!rig.at(80.0).critical);
}

fn standing(until: Option<Timestamp>) -> Standing {
    Standing {
        actor: "li".into(),
        reason: "month end".into(),
        until,
    }
}

#[test]
fn a_pause_binds_until_its_time_and_a_limit_caps_the_duty() {
    let mut rig = Rig::new();
    rig.after(20, 2.0);
    rig.orders.pause = Some(standing(Some(rig.now.later(TICK * 10).wall)));
    let paused = rig.at(2.0);
    assert_eq!(
        (
            paused.state,
            paused.reason.to_string().contains("paused by li (month end")
        ),
        (GateState::Shut, true)
    );
    assert_eq!(rig.after(9, 2.0).reason.kind(), ReasonKind::Probation);
    rig.orders.most = Some((0.2, standing(None)));
    let limited = rig.after(10, 2.0);
    assert_eq!(
        (limited.duty_milli(), limited.reason.kind()),
        (200, ReasonKind::Ordered)
    );
}

/// Trap: an operator's pause that a gate without limits does not obey.
#[test]
fn a_gate_fixed_open_obeys_orders_and_nothing_else() {
    let mut rig = Rig::new();
    rig.limits.is_fixed_open = true;
    let open = rig.tick(Some(Reading::Value(f64::NAN)));
    assert_eq!(
        (open.state, open.reason.kind()),
        (GateState::Open, ReasonKind::FixedOpen)
    );
    assert_eq!((open.duty_milli(), open.expires), (1_000, None));
    rig.orders.most = Some((0.2, standing(None)));
    let limited = rig.at(99.0);
    assert_eq!(
        (limited.state, limited.duty_milli(), limited.reason.kind()),
        (GateState::Limited, 200, ReasonKind::Ordered)
    );
    assert_eq!(limited.quantum, rig.limits.law.quantum_busy);
    rig.orders.pause = Some(standing(Some(rig.now.later(TICK * 3).wall)));
    assert_eq!(rig.at(2.0).reason.kind(), ReasonKind::Paused);
    rig.orders.most = None;
    assert_eq!(rig.after(5, 2.0).reason.kind(), ReasonKind::FixedOpen);
    rig.orders = Orders::unread("the exchange does not answer");
    assert_eq!(rig.at(2.0).reason.kind(), ReasonKind::NoOrders);
}

#[test]
fn orders_that_were_never_read_keep_it_shut() {
    let mut rig = Rig::new();
    rig.orders = Orders::unread("the exchange does not answer");
    assert_eq!(rig.after(50, 2.0).reason.kind(), ReasonKind::NoOrders);
}

#[test]
fn a_trickle_comes_after_its_time_and_only_for_load() {
    let mut rig = Rig::new();
    rig.limits.relief.trickle = Some(Trickle {
        after: Duration::from_secs(60),
        duty: 0.01,
        actor: "wang".into(),
        reason: "the insurer waits".into(),
    });
    assert_eq!(rig.after(590, 80.0).state, GateState::Shut);
    let trickle = rig.after(20, 80.0);
    assert_eq!((trickle.state, trickle.duty_milli()), (GateState::Limited, 10));
    let text = trickle.reason.to_string();
    assert!(
        text.contains("trickle by wang") && text.contains("80.0 %"),
        "{text}"
    );
    assert_eq!(rig.at(96.0).state, GateState::Shut);
    assert_eq!(rig.tick(None).state, GateState::Shut);
    assert_eq!(rig.tick(Some(Reading::Value(f64::NAN))).state, GateState::Shut);
    rig.orders.pause = Some(standing(None));
    assert_eq!(rig.at(80.0).state, GateState::Shut);
    rig.orders.pause = None;
    // A moment of idleness ends it.
    rig.after(10, 2.0);
    assert_eq!(rig.at(80.0).state, GateState::Shut);
}

#[test]
fn a_deadlines_window_is_open_within_its_times() {
    let mut rig = Rig::new();
    let (from, until) = (rig.now.later(TICK * 100).wall, rig.now.later(TICK * 200).wall);
    rig.limits.relief.windows = vec![Window {
        from,
        until,
        duty: 0.05,
        actor: "wang".into(),
        reason: "year end".into(),
    }];
    assert_eq!(rig.after(98, 80.0).state, GateState::Shut);
    assert_eq!(rig.after(50, 80.0).reason.kind(), ReasonKind::Relief);
    assert_eq!(rig.after(60, 80.0).state, GateState::Shut);
}

/// A clock that jumps shuts even a pause's end, a window or a trickle.
#[test]
fn a_clock_jump_is_no_way_into_a_window() {
    let mut rig = Rig::new();
    rig.after(20, 2.0);
    rig.now.wall += Duration::from_secs(3_600);
    assert_eq!(rig.at(2.0).reason.kind(), ReasonKind::ClockJump);
}
