//! PURE: what another policy would have done, over recorded samples.
//!
//! The whole law is replayed with the recorded times as its clock. What cannot be known from a
//! recording stays out: the business's strain was that under the policy of the day, so the
//! candidate's duty is that of a harm that cannot be measured, which is the careful one.
//!
//! Both policies are judged by one yardstick, so that a lax one does not judge itself: busy is a
//! sample in which any signal is at or over the lower of the recorded and the candidate's stop
//! limit.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use schemas::load::{GateState, SignalLimit};
use serde::Serialize;

use crate::clock::Moment;
use crate::law::{self, LawState, Tick};
use crate::limits::Limits;
use crate::orders::Orders;
use crate::record::Block;
use crate::sample::{Reading, Sample, SignalName, milli};

/// What is asked.
#[derive(Debug, Clone)]
pub struct Question {
    /// The policy to try.
    pub limits: Limits,
    /// Rows that move in a second of full work; measured from the recording when left out.
    pub rows_per_second: Option<f64>,
    /// Whether the kernel is to put our work behind the business's.
    pub kernel: bool,
    /// Work is false idleness when the business turns out to be busy within this time.
    pub reaction: Duration,
    /// An opening that is shorter than this is a flap.
    pub flap: Duration,
}

impl Question {
    /// The usual one about this policy.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            rows_per_second: None,
            kernel: false,
            reaction: Duration::from_secs(1),
            flap: Duration::from_secs(10),
        }
    }
}

/// What a policy did, or would have done.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Figures {
    /// Seconds open for all of the time.
    pub open_s: f64,
    /// Seconds open for a part of it.
    pub limited_s: f64,
    /// Seconds shut.
    pub shut_s: f64,
    /// Seconds of work that the duty allowed.
    pub work_s: f64,
    /// Rows that moved, or would have; none where the speed is not known.
    pub rows: Option<f64>,
    /// Seconds open although the business was busy within the reaction time.
    pub false_idle_s: f64,
    /// Times that it opened.
    pub openings: u64,
    /// Openings that were too short to be worth it.
    pub flaps: u64,
    /// Times that it shut, by the kind of reason.
    pub shuts: BTreeMap<String, u64>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Answer {
    /// Samples replayed.
    pub samples: u64,
    /// The first of them.
    pub from: Option<Timestamp>,
    /// The last of them.
    pub until: Option<Timestamp>,
    /// Seconds between samples that nobody saw: the agent was down.
    pub unseen_s: f64,
    /// Samples that the recorder lost.
    pub lost: u64,
    /// Signals of the policy that were not recorded: left out.
    pub not_recorded: Vec<String>,
    /// Recorded signals of which the policy knows nothing: left out.
    pub not_in_policy: Vec<String>,
    /// Rows in a second of full work.
    pub rows_per_second: Option<f64>,
    /// What the gate did.
    pub recorded: Figures,
    /// What the policy would have done.
    pub candidate: Figures,
}

/// Replays the blocks, oldest first.
#[must_use]
pub fn simulate(blocks: &[Block], question: &Question) -> Answer {
    let mut answer = Answer::default();
    let limits = fitting(blocks, question, &mut answer);
    let mut recorded = Judge::new(question);
    let mut candidate = Judge::new(question);
    let mut yardstick = stops(&limits);
    let mut stage: Option<Stage> = None;
    let mut moved = 0.0;
    for block in blocks {
        answer.lost = answer.lost.saturating_add(block.lost);
        if let Some(told) = &block.limits {
            yardstick = stops(&limits);
            for (name, limit) in told {
                lower(&mut yardstick, name, limit);
            }
        }
        let columns: Vec<Option<i64>> = block
            .signals
            .iter()
            .map(|name| yardstick.get(name).copied())
            .collect();
        let known: Vec<bool> = block
            .signals
            .iter()
            .map(|name| limits.signals.contains_key(name))
            .collect();
        let mut failures = block.failures.iter().peekable();
        let mut turns = block.turns.iter().peekable();
        let (mut said, mut why) = (GateState::Shut, "");
        for (at, row) in (0_u32..).zip(&block.rows) {
            let now = moment(row.wall_ms, row.mono_ms);
            let is_new = stage.as_ref().is_none_or(|stage| stage.life != block.life);
            if is_new {
                recorded.interrupted();
                candidate.interrupted();
                stage = Some(Stage::new(block.life, now, row.moved));
            }
            let Some(stage) = &mut stage else { continue };
            let since = now.mono.saturating_sub(stage.last.mono);
            let step = since.min(limits.stale_after);
            answer.unseen_s += (since - step).as_secs_f64();
            let width = block.signals.len();
            let first = usize::try_from(at).unwrap_or(usize::MAX).saturating_mul(width);
            let readings = block.readings.get(first..).unwrap_or_default();
            stage.show(block, &known, readings);
            let is_busy = columns
                .iter()
                .zip(readings)
                .any(|(stop, reading)| stop.is_some_and(|stop| *reading >= stop));
            while let Some((_, column, text)) = failures.next_if(|failure| failure.0 == at) {
                stage.fail(block, *column, text);
            }
            if let Some(turn) = turns.next_if(|turn| turn.at == at) {
                (said, why) = (turn.state, &turn.kind);
            }
            moved += share(row.moved.saturating_sub(stage.moved).max(0));
            stage.moved = row.moved;
            stage.last = now;
            stage.sample.at = now;
            recorded.step(step, is_busy, now);
            recorded.enter(said, share(row.duty_milli) / 1e3, why, now);
            let tick = Tick {
                strain: None,
                worked: step.mul_f64(candidate.duty),
                kernel: question.kernel,
            };
            let verdict = law::advance(&mut stage.law, &stage.sample, &tick, &stage.orders, &limits, now);
            candidate.step(step, is_busy, now);
            candidate.enter(verdict.state, verdict.duty, verdict.reason.kind().name(), now);
            answer.samples += 1;
            answer.from = answer.from.or(Some(now.wall));
            answer.until = Some(now.wall);
        }
    }
    (answer.recorded, answer.candidate) = (recorded.figures, candidate.figures);
    finish(&mut answer, moved, question.rows_per_second);
    answer
}

/// One life of an agent on the stage.
struct Stage {
    life: u64,
    law: LawState,
    sample: Sample,
    orders: Orders,
    last: Moment,
    moved: i64,
}

impl Stage {
    fn new(life: u64, now: Moment, moved: i64) -> Self {
        Self {
            life,
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

    /// Puts the readings of the signals that the policy knows into the sample, in place: the
    /// names of both are sorted.
    fn show(&mut self, block: &Block, known: &[bool], readings: &[i64]) {
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

/// Counts what one policy did.
struct Judge {
    figures: Figures,
    state: GateState,
    duty: f64,
    opened: Duration,
    /// Open spans whose reaction time is not over yet, by when they began.
    pending: VecDeque<(Duration, Duration)>,
    reaction: Duration,
    flap: Duration,
}

impl Judge {
    fn new(question: &Question) -> Self {
        Self {
            figures: Figures::default(),
            state: GateState::Shut,
            duty: 0.0,
            opened: Duration::ZERO,
            pending: VecDeque::new(),
            reaction: question.reaction,
            flap: question.flap,
        }
    }

    /// Another life: nothing is known of the time between.
    fn interrupted(&mut self) {
        self.state = GateState::Shut;
        self.duty = 0.0;
        self.pending.clear();
    }

    /// The time since the last sample was spent as it was entered; now somebody is busy or not.
    fn step(&mut self, spent: Duration, is_busy: bool, now: Moment) {
        let seconds = spent.as_secs_f64();
        match self.state {
            GateState::Open => self.figures.open_s += seconds,
            GateState::Limited => self.figures.limited_s += seconds,
            GateState::Shut => self.figures.shut_s += seconds,
        }
        self.figures.work_s += seconds * self.duty;
        if self.state != GateState::Shut {
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
        let (was, is) = (self.state != GateState::Shut, state != GateState::Shut);
        if is && !was {
            self.figures.openings += 1;
            self.opened = now.mono;
        }
        if was && !is {
            if let Some(count) = self.figures.shuts.get_mut(why) {
                *count += 1;
            } else {
                self.figures.shuts.insert(why.to_owned(), 1);
            }
            self.figures.flaps += u64::from(now.mono.saturating_sub(self.opened) < self.flap);
        }
        self.state = state;
        self.duty = duty.clamp(0.0, 1.0);
    }
}

/// The policy without signals that the recording has not.
fn fitting(blocks: &[Block], question: &Question, answer: &mut Answer) -> Limits {
    let mut limits = question.limits.clone();
    let recorded: std::collections::BTreeSet<&SignalName> =
        blocks.iter().flat_map(|block| &block.signals).collect();
    limits.signals.retain(|name, _| {
        let is_there = recorded.contains(name);
        if !is_there {
            answer.not_recorded.push(name.to_string());
        }
        is_there
    });
    answer.not_in_policy = recorded
        .into_iter()
        .filter(|name| !limits.signals.contains_key(*name))
        .map(ToString::to_string)
        .collect();
    limits
}

fn stops(limits: &Limits) -> BTreeMap<SignalName, i64> {
    let stop = |(name, limit): (&SignalName, &crate::limits::Limit)| (name.clone(), milli(limit.stop));
    limits.signals.iter().map(stop).collect()
}

fn lower(stops: &mut BTreeMap<SignalName, i64>, name: &str, limit: &SignalLimit) {
    let stop = stops.entry(name.into()).or_insert(limit.stop_milli);
    *stop = limit.stop_milli.min(*stop);
}

fn finish(answer: &mut Answer, moved: f64, given: Option<f64>) {
    let measured = (moved > 0.0 && answer.recorded.work_s > 0.0).then(|| moved / answer.recorded.work_s);
    answer.rows_per_second = given.or(measured);
    answer.recorded.rows = Some(moved);
    answer.candidate.rows = answer
        .rows_per_second
        .map(|speed| speed * answer.candidate.work_s);
}

fn moment(wall_ms: i64, mono_ms: i64) -> Moment {
    Moment {
        mono: Duration::from_millis(u64::try_from(mono_ms).unwrap_or_default()),
        wall: Timestamp::from_millisecond(wall_ms).unwrap_or(Timestamp::UNIX_EPOCH),
    }
}

/// A count as a number to calculate with.
#[expect(clippy::cast_precision_loss, reason = "thousandths and counts far below 2^52")]
fn share(value: i64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests;
