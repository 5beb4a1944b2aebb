//! PURE: simulates another policy over recorded samples.
//!
//! The whole law is replayed with the recorded times as its clock. Effects that a recording cannot show are left out:
//! the scheduler contention was that under the recorded policy, so the candidate gets the conservative duty of a harm
//! that cannot be measured.
//!
//! Both policies are scored against the same limits, so that a lax policy cannot improve its own score: the business is
//! busy in a sample if any signal is at or over the lower of the recorded and the candidate's stop limit.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use schemas::load::{GateState, SignalLimit};
use serde::Serialize;

use crate::Block;
use gate::clock::Moment;
use gate::law::{self, LawState, Tick};
use gate::limits::Limits;
use gate::orders::Orders;
use gate::sample::{Reading, Sample, SignalName, milli};

/// The input of a simulation.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The policy to try.
    pub limits: Limits,
    /// Rows per second of full work; measured from the recording if `None`.
    pub rows_per_second: Option<f64>,
    /// Whether to assume kernel-idle scheduling of our work.
    pub kernel_idle: bool,
    /// Work counts as false idleness if the business is busy within this time.
    pub reaction: Duration,
    /// An opening shorter than this is a flap.
    pub flap: Duration,
}

impl Scenario {
    /// Returns a scenario with the usual parameters for this policy.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            rows_per_second: None,
            kernel_idle: false,
            reaction: Duration::from_secs(1),
            flap: Duration::from_secs(10),
        }
    }
}

/// The results of one policy, recorded or simulated.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct PolicyFigures {
    /// Seconds open with full duty.
    pub open_s: f64,
    /// Seconds open with limited duty.
    pub limited_s: f64,
    /// Seconds closed.
    pub closed_s: f64,
    /// Seconds of work that the duty allowed.
    pub work_s: f64,
    /// Rows published, or estimated; `None` if the rate is not known.
    pub rows: Option<f64>,
    /// Seconds open although the business was busy within the reaction time.
    pub false_idle_s: f64,
    /// Number of openings.
    pub openings: u64,
    /// Number of flaps.
    pub flaps: u64,
    /// Transitions to closed, by reason.
    pub closings: BTreeMap<String, u64>,
}

/// The result of a simulation.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Simulation {
    /// Samples replayed.
    pub samples: u64,
    /// The first of them.
    pub from: Option<Timestamp>,
    /// The last of them.
    pub until: Option<Timestamp>,
    /// Seconds between samples in which nothing was recorded, as the agent was down.
    pub unseen_s: f64,
    /// Samples that the recorder lost.
    pub lost: u64,
    /// Signals of the policy that were not recorded; ignored.
    pub not_recorded: Vec<String>,
    /// Recorded signals that the policy does not contain; ignored.
    pub not_in_policy: Vec<String>,
    /// Rows per second of full work.
    pub rows_per_second: Option<f64>,
    /// Results of the recorded policy.
    pub recorded: PolicyFigures,
    /// Results of the simulated policy.
    pub candidate: PolicyFigures,
}

/// Replays the blocks, oldest first.
#[must_use]
pub fn simulate(blocks: &[Block], scenario: &Scenario) -> Simulation {
    let mut simulation = Simulation::default();
    let limits = shared_limits(blocks, scenario, &mut simulation);
    let mut recorded = PolicyScore::new(scenario);
    let mut candidate = PolicyScore::new(scenario);
    let mut busy_limits = stop_limits(&limits);
    let mut replayed: Option<ReplayedRun> = None;
    let mut moved = 0.0;
    for block in blocks {
        simulation.lost = simulation.lost.saturating_add(block.lost);
        if let Some(recorded_limits) = &block.limits {
            busy_limits = stop_limits(&limits);
            for (name, limit) in recorded_limits {
                lower(&mut busy_limits, name, limit);
            }
        }
        let columns: Vec<Option<i64>> = block
            .signals
            .iter()
            .map(|name| busy_limits.get(name).copied())
            .collect();
        let known: Vec<bool> = block
            .signals
            .iter()
            .map(|name| limits.signals.contains_key(name))
            .collect();
        let mut failures = block.failures.iter().peekable();
        let mut changes = block.changes.iter().peekable();
        let (mut recorded_state, mut why) = (GateState::Closed, "");
        for (at, row) in (0_u32..).zip(&block.rows) {
            let now = moment(row.wall_ms, row.mono_ms);
            let is_new = replayed
                .as_ref()
                .is_none_or(|replayed| replayed.run_id != block.run_id);
            if is_new {
                recorded.interrupted();
                candidate.interrupted();
                replayed = Some(ReplayedRun::new(block.run_id, now, row.moved));
            }
            let Some(replayed) = &mut replayed else { continue };
            let since = now.mono.saturating_sub(replayed.last.mono);
            let step = since.min(limits.stale_after);
            simulation.unseen_s += (since - step).as_secs_f64();
            let width = block.signals.len();
            let first = usize::try_from(at).unwrap_or(usize::MAX).saturating_mul(width);
            let readings = block.readings.get(first..).unwrap_or_default();
            replayed.set_readings(block, &known, readings);
            let is_busy = columns
                .iter()
                .zip(readings)
                .any(|(stop, reading)| stop.is_some_and(|stop| *reading >= stop));
            while let Some((_, column, text)) = failures.next_if(|failure| failure.0 == at) {
                replayed.fail(block, *column, text);
            }
            if let Some(change) = changes.next_if(|change| change.at == at) {
                (recorded_state, why) = (change.state, &change.kind);
            }
            moved += share(row.moved.saturating_sub(replayed.moved).max(0));
            replayed.moved = row.moved;
            replayed.last = now;
            replayed.sample.at = now;
            recorded.step(step, is_busy, now);
            recorded.enter(recorded_state, share(row.duty_milli) / 1e3, why, now);
            let tick = Tick {
                contention: None,
                worked: step.mul_f64(candidate.duty),
                kernel_idle: scenario.kernel_idle,
            };
            let verdict = law::advance(
                &mut replayed.law,
                &replayed.sample,
                &tick,
                &replayed.orders,
                &limits,
                now,
            );
            candidate.step(step, is_busy, now);
            candidate.enter(verdict.state, verdict.duty, verdict.reason.kind().name(), now);
            simulation.samples += 1;
            simulation.from = simulation.from.or(Some(now.wall));
            simulation.until = Some(now.wall);
        }
    }
    (simulation.recorded, simulation.candidate) = (recorded.figures, candidate.figures);
    finish(&mut simulation, moved, scenario.rows_per_second);
    simulation
}

/// One run of an agent under replay.
struct ReplayedRun {
    run_id: u64,
    law: LawState,
    sample: Sample,
    orders: Orders,
    last: Moment,
    moved: i64,
}

impl ReplayedRun {
    fn new(run_id: u64, now: Moment, moved: i64) -> Self {
        Self {
            run_id,
            law: LawState::new(now, 1),
            sample: Sample {
                at: now,
                readings: BTreeMap::new(),
            },
            orders: Orders::default(),
            last: now,
            moved,
        }
    }

    /// Sets the readings of the signals that the policy contains, in place: the names of both are sorted.
    fn set_readings(&mut self, block: &Block, known: &[bool], readings: &[i64]) {
        let wanted = || block.signals.iter().zip(known).filter(|(_, known)| **known);
        if !self.sample.readings.keys().eq(wanted().map(|(name, _)| name)) {
            self.sample.readings = wanted()
                .map(|(name, _)| (name.clone(), Reading::Value(0.0)))
                .collect();
        }
        let values = readings.iter().zip(known).filter(|(_, known)| **known);
        for (reading, (value, _)) in self.sample.readings.values_mut().zip(values) {
            *reading = Reading::Value(share(*value) / 1e3);
        }
    }

    fn fail(&mut self, block: &Block, column: u32, why: &std::sync::Arc<str>) {
        let name = usize::try_from(column)
            .ok()
            .and_then(|column| block.signals.get(column));
        if let Some(reading) = name.and_then(|name| self.sample.readings.get_mut(name)) {
            *reading = Reading::Failed(why.clone());
        }
    }
}

/// Accumulates the results of one policy.
struct PolicyScore {
    figures: PolicyFigures,
    state: GateState,
    duty: f64,
    opened: Duration,
    /// Open periods within the reaction time, as (start, duration).
    pending: VecDeque<(Duration, Duration)>,
    reaction: Duration,
    flap: Duration,
}

impl PolicyScore {
    fn new(scenario: &Scenario) -> Self {
        Self {
            figures: PolicyFigures::default(),
            state: GateState::Closed,
            duty: 0.0,
            opened: Duration::ZERO,
            pending: VecDeque::new(),
            reaction: scenario.reaction,
            flap: scenario.flap,
        }
    }

    /// Begins another run: the time in between is not known.
    fn interrupted(&mut self) {
        self.state = GateState::Closed;
        self.duty = 0.0;
        self.pending.clear();
    }

    /// Accounts the time since the last sample to the current state, and whether the business is busy now.
    fn step(&mut self, spent: Duration, is_busy: bool, now: Moment) {
        let seconds = spent.as_secs_f64();
        match self.state {
            GateState::Open => self.figures.open_s += seconds,
            GateState::Limited => self.figures.limited_s += seconds,
            GateState::Closed => self.figures.closed_s += seconds,
        }
        self.figures.work_s += seconds * self.duty;
        if self.state != GateState::Closed {
            self.pending.push_back((now.mono.saturating_sub(spent), spent));
        }
        while self
            .pending
            .front()
            .is_some_and(|(began, _)| now.mono.saturating_sub(*began) > self.reaction)
        {
            self.pending.pop_front();
        }
        if is_busy {
            let falsely: Duration = self.pending.drain(..).map(|(_, spent)| spent).sum();
            self.figures.false_idle_s += falsely.as_secs_f64();
        }
    }

    fn enter(&mut self, state: GateState, duty: f64, why: &str, now: Moment) {
        let (was_open, is_open) = (self.state != GateState::Closed, state != GateState::Closed);
        if is_open && !was_open {
            self.figures.openings += 1;
            self.opened = now.mono;
        }
        if was_open && !is_open {
            if let Some(count) = self.figures.closings.get_mut(why) {
                *count += 1;
            } else {
                self.figures.closings.insert(why.to_owned(), 1);
            }
            self.figures.flaps += u64::from(now.mono.saturating_sub(self.opened) < self.flap);
        }
        self.state = state;
        self.duty = duty.clamp(0.0, 1.0);
    }
}

/// Returns the limits without signals that are not in the recording.
fn shared_limits(blocks: &[Block], scenario: &Scenario, simulation: &mut Simulation) -> Limits {
    let mut limits = scenario.limits.clone();
    let recorded: std::collections::BTreeSet<&SignalName> =
        blocks.iter().flat_map(|block| &block.signals).collect();
    limits.signals.retain(|name, _| {
        let is_there = recorded.contains(name);
        if !is_there {
            simulation.not_recorded.push(name.to_string());
        }
        is_there
    });
    simulation.not_in_policy = recorded
        .into_iter()
        .filter(|name| !limits.signals.contains_key(*name))
        .map(ToString::to_string)
        .collect();
    limits
}

fn stop_limits(limits: &Limits) -> BTreeMap<SignalName, i64> {
    let stop = |(name, limit): (&SignalName, &gate::limits::Limit)| (name.clone(), milli(limit.stop));
    limits.signals.iter().map(stop).collect()
}

fn lower(stop_limits: &mut BTreeMap<SignalName, i64>, name: &str, limit: &SignalLimit) {
    let stop = stop_limits.entry(name.into()).or_insert(limit.stop_milli);
    *stop = limit.stop_milli.min(*stop);
}

fn finish(simulation: &mut Simulation, moved: f64, given: Option<f64>) {
    let measured =
        (moved > 0.0 && simulation.recorded.work_s > 0.0).then(|| moved / simulation.recorded.work_s);
    simulation.rows_per_second = given.or(measured);
    simulation.recorded.rows = Some(moved);
    simulation.candidate.rows = simulation
        .rows_per_second
        .map(|speed| speed * simulation.candidate.work_s);
}

fn moment(wall_ms: i64, mono_ms: i64) -> Moment {
    Moment {
        mono: Duration::from_millis(u64::try_from(mono_ms).unwrap_or_default()),
        wall: Timestamp::from_millisecond(wall_ms).unwrap_or(Timestamp::UNIX_EPOCH),
    }
}

/// Converts a count to a float.
#[expect(clippy::cast_precision_loss, reason = "thousandths and counts far below 2^52")]
fn share(value: i64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests;
