//! What the gate says, and why.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use schemas::load::{GateState, LoadVerdict};
use serde::Serialize;

use crate::clock::Moment;
use crate::law::duty::DutyLaw;
use crate::law::relief::Note;
use crate::orders::Standing;
use crate::sample::{SignalName, milli};

/// What the gate says at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Open, limited or shut.
    pub state: GateState,
    /// Why.
    pub reason: Reason,
    /// Since when the state holds; the reason may have changed since.
    pub since: Moment,
    /// When it was given.
    pub at: Moment,
    /// The share of the time that may be worked: 0 while shut, 1 when there is nobody to disturb.
    pub duty: f64,
    /// Whether no new quantum begins until the next verdict: the control group.
    pub rests: bool,
    /// How long a quantum should take.
    pub quantum: Duration,
    /// How long a quantum is put off at most while somebody else runs.
    pub patience: Duration,
    /// Whether connections are to be dropped.
    pub critical: bool,
    /// Until when it may be believed, by the monotonic clock; none for ever. After that the
    /// gate is shut, whatever the verdict says.
    pub expires: Option<Duration>,
}

impl Verdict {
    /// Shut from now on.
    #[must_use]
    pub fn shut(reason: Reason, now: Moment, expires: Option<Duration>) -> Self {
        Self {
            state: GateState::Shut,
            reason,
            since: now,
            at: now,
            duty: 0.0,
            rests: false,
            quantum: Duration::ZERO,
            patience: Duration::ZERO,
            critical: false,
            expires,
        }
    }

    /// Open from now on, for all of the time.
    #[must_use]
    pub fn open(reason: Reason, now: Moment, expires: Option<Duration>) -> Self {
        Self {
            state: GateState::Open,
            duty: 1.0,
            quantum: DutyLaw::default().quantum_idle,
            ..Self::shut(reason, now, expires)
        }
    }

    /// The duty in thousandths.
    #[must_use]
    pub fn duty_milli(&self) -> i64 {
        milli(self.duty)
    }

    /// Whether work may be done under it, were it fresh.
    #[must_use]
    pub fn lets_work(&self) -> bool {
        self.state != GateState::Shut
    }

    /// Whether it is too old to be believed at this monotonic time.
    #[must_use]
    pub fn is_expired(&self, mono: Duration) -> bool {
        self.expires.is_some_and(|expires| mono > expires)
    }

    /// As evidence.
    #[must_use]
    pub fn evidence(&self) -> LoadVerdict {
        LoadVerdict {
            at: self.at.wall,
            state: self.state,
            reason: self.reason.to_string(),
        }
    }
}

/// Why the gate says what it says. `Display` is a sentence for people.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// No sample was taken yet.
    NoSample,
    /// All signals are below their limits.
    Idle,
    /// The gate has just opened.
    Probation,
    /// All signals are below their limits, and a business is at work.
    Beside,
    /// An operator allows less than the policy would.
    Ordered(Standing),
    /// The core is never idle, and somebody answers for working nevertheless.
    Relief(Note),
    /// A signal is at or over its critical level.
    Critical(Measure),
    /// An operator paused it.
    Paused(Standing),
    /// What operators ordered could not be read yet, and why.
    NoOrders(Arc<str>),
    /// The business is harmed beyond the budget even at the least duty.
    OverBudget {
        /// The harm, as a share.
        harm: f64,
        /// The budget, as a share.
        budget: f64,
        /// For how much longer nothing is tried.
        left: Duration,
    },
    /// A signal is at or over its stop limit.
    OverLimit(Measure),
    /// A signal is between its limits while the gate is shut.
    NotYetIdle(Measure),
    /// The load is gone; the gate waits whether it stays away.
    Holding {
        /// For this much longer, if the samples stay good.
        left: Duration,
        /// For this many more good samples.
        samples_left: u32,
    },
    /// A signal is in the limits and not in the sample.
    Missing(SignalName),
    /// A signal could not be read.
    Failed(SignalName, Arc<str>),
    /// A signal's value is not a finite number.
    NotANumber(SignalName),
    /// A signal is in the sample and not in the limits.
    Unknown(SignalName),
    /// There is no signal to go by.
    NoSignal,
    /// The sample is this old, or no sample came for this long.
    Stale(Duration),
    /// The clock went back.
    ClockBack,
    /// The wall clock moved by this many milliseconds against the monotonic one: it was set, or
    /// the machine was suspended.
    ClockJump(i64),
    /// The sampler has ended.
    Stopped,
    /// The configuration says so.
    FixedOpen,
    /// A test says so.
    Scripted(Arc<str>),
}

/// A signal's value beside the limit that it is held to.
#[derive(Debug, Clone, PartialEq)]
pub struct Measure {
    /// Which signal.
    pub signal: SignalName,
    /// What it said.
    pub value: f64,
    /// What it should have stayed below.
    pub limit: f64,
    /// The unit of both.
    pub unit: &'static str,
}

/// The kind of a reason: few, stable, fit for a metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is documented at the reason of the same name")]
pub enum ReasonKind {
    NoSample,
    Idle,
    Probation,
    Beside,
    Ordered,
    Relief,
    Critical,
    Paused,
    NoOrders,
    OverBudget,
    OverLimit,
    NotYetIdle,
    Holding,
    Missing,
    Failed,
    NotANumber,
    Unknown,
    NoSignal,
    Stale,
    ClockBack,
    ClockJump,
    Stopped,
    FixedOpen,
    Scripted,
}

impl ReasonKind {
    /// Its name in metrics and statuses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoSample => "no_sample",
            Self::Idle => "idle",
            Self::Probation => "probation",
            Self::Beside => "beside",
            Self::Ordered => "ordered",
            Self::Relief => "relief",
            Self::Critical => "critical",
            Self::Paused => "paused",
            Self::NoOrders => "no_orders",
            Self::OverBudget => "over_budget",
            Self::OverLimit => "over_limit",
            Self::NotYetIdle => "not_yet_idle",
            Self::Holding => "holding",
            Self::Missing => "missing",
            Self::Failed => "failed",
            Self::NotANumber => "not_a_number",
            Self::Unknown => "unknown",
            Self::NoSignal => "no_signal",
            Self::Stale => "stale",
            Self::ClockBack => "clock_back",
            Self::ClockJump => "clock_jump",
            Self::Stopped => "stopped",
            Self::FixedOpen => "fixed_open",
            Self::Scripted => "scripted",
        }
    }
}

impl Reason {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> ReasonKind {
        match self {
            Self::NoSample => ReasonKind::NoSample,
            Self::Idle => ReasonKind::Idle,
            Self::Probation => ReasonKind::Probation,
            Self::Beside => ReasonKind::Beside,
            Self::Ordered(_) => ReasonKind::Ordered,
            Self::Relief(_) => ReasonKind::Relief,
            Self::Critical(_) => ReasonKind::Critical,
            Self::Paused(_) => ReasonKind::Paused,
            Self::NoOrders(_) => ReasonKind::NoOrders,
            Self::OverBudget { .. } => ReasonKind::OverBudget,
            Self::OverLimit(_) => ReasonKind::OverLimit,
            Self::NotYetIdle(_) => ReasonKind::NotYetIdle,
            Self::Holding { .. } => ReasonKind::Holding,
            Self::Missing(_) => ReasonKind::Missing,
            Self::Failed(..) => ReasonKind::Failed,
            Self::NotANumber(_) => ReasonKind::NotANumber,
            Self::Unknown(_) => ReasonKind::Unknown,
            Self::NoSignal => ReasonKind::NoSignal,
            Self::Stale(_) => ReasonKind::Stale,
            Self::ClockBack => ReasonKind::ClockBack,
            Self::ClockJump(_) => ReasonKind::ClockJump,
            Self::Stopped => ReasonKind::Stopped,
            Self::FixedOpen => ReasonKind::FixedOpen,
            Self::Scripted(_) => ReasonKind::Scripted,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSample => f.write_str("no sample yet"),
            Self::Idle => f.write_str("all signals below their limits"),
            Self::Probation => f.write_str("on probation: the gate has just opened"),
            Self::Beside => f.write_str("all signals below their limits, a business at work"),
            Self::Ordered(standing) => write!(f, "limited by {standing}"),
            Self::Relief(note) => note.fmt(f),
            Self::Critical(measure) => write!(f, "{measure} (critical level)"),
            Self::Paused(standing) => write!(f, "paused by {standing}"),
            Self::NoOrders(why) => write!(f, "orders not read yet: {why}"),
            Self::OverBudget { harm, budget, left } => write!(
                f,
                "the business is {:.1} % worse off at the least duty, the budget is {:.1} %; tried again in {:.0} s",
                harm * 100.0,
                budget * 100.0,
                left.as_secs_f64().ceil()
            ),
            Self::OverLimit(measure) => write!(f, "{measure} (stop limit)"),
            Self::NotYetIdle(measure) => write!(f, "{measure} (resume limit)"),
            Self::Holding {
                left,
                samples_left: 0,
            } => {
                write!(f, "holding {:.1} s more", left.as_secs_f64())
            }
            Self::Holding { left, samples_left } => {
                write!(
                    f,
                    "holding {:.1} s and {samples_left} good samples more",
                    left.as_secs_f64()
                )
            }
            Self::Missing(signal) => write!(f, "signal {signal} is missing from the sample"),
            Self::Failed(signal, why) => write!(f, "signal {signal} could not be read: {why}"),
            Self::NotANumber(signal) => write!(f, "signal {signal} is not a finite number"),
            Self::Unknown(signal) => write!(f, "signal {signal} has no limit"),
            Self::NoSignal => f.write_str("no signal is configured"),
            Self::Stale(age) => write!(f, "no fresh sample for {:.1} s", age.as_secs_f64()),
            Self::ClockBack => f.write_str("the clock went back"),
            Self::ClockJump(by_ms) => {
                write!(
                    f,
                    "the wall clock jumped by {by_ms} ms: it was set, or the machine was suspended"
                )
            }
            Self::Stopped => f.write_str("the sampler has stopped"),
            Self::FixedOpen => f.write_str("fixed open by configuration"),
            Self::Scripted(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = if self.unit == "percent" { "%" } else { self.unit };
        let (signal, value, limit) = (&self.signal, self.value, self.limit);
        write!(f, "{signal} {value:.1} {unit} >= {limit:.1} {unit}")
    }
}
