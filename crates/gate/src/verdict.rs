//! The gate's verdict and its reason.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use schemas::load::{GateState, LoadVerdict};
use serde::Serialize;

use crate::clock::Moment;
use crate::orders::ActiveOrder;
use crate::sample::{SignalName, milli};

/// Target duration of a quantum without business activity, unless the duty law sets another.
pub const DEFAULT_QUANTUM: Duration = Duration::from_millis(20);

/// The gate's verdict at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Open, limited or closed.
    pub state: GateState,
    /// Why.
    pub reason: Reason,
    /// Since when the state holds; the reason may have changed since.
    pub since: Moment,
    /// When it was given.
    pub at: Moment,
    /// The duty cycle: 0 while closed, 1 when there is no business to disturb.
    pub duty: f64,
    /// Whether this tick is a control tick: no new quantum begins until the next verdict.
    pub is_control_tick: bool,
    /// Target duration of a quantum.
    pub quantum: Duration,
    /// How long a quantum is deferred at most while another process runs.
    pub max_deferral: Duration,
    /// Whether connections must be dropped.
    pub critical: bool,
    /// Monotonic time at which the verdict expires; `None` if it never does. After that the gate is closed.
    pub expires: Option<Duration>,
}

impl Verdict {
    /// Returns a verdict that is closed from `now` on.
    #[must_use]
    pub fn closed(reason: Reason, now: Moment, expires: Option<Duration>) -> Self {
        Self {
            state: GateState::Closed,
            reason,
            since: now,
            at: now,
            duty: 0.0,
            is_control_tick: false,
            quantum: Duration::ZERO,
            max_deferral: Duration::ZERO,
            critical: false,
            expires,
        }
    }

    /// Returns a verdict that is open from `now` on with full duty.
    #[must_use]
    pub fn open(reason: Reason, now: Moment, expires: Option<Duration>) -> Self {
        Self {
            state: GateState::Open,
            duty: 1.0,
            quantum: DEFAULT_QUANTUM,
            ..Self::closed(reason, now, expires)
        }
    }

    /// Returns the duty in thousandths.
    #[must_use]
    pub fn duty_milli(&self) -> i64 {
        milli(self.duty)
    }

    /// Whether the verdict permits work, regardless of its age.
    #[must_use]
    pub fn permits_work(&self) -> bool {
        self.state != GateState::Closed
    }

    /// Whether the verdict has expired at this monotonic time.
    #[must_use]
    pub fn is_expired(&self, mono: Duration) -> bool {
        self.expires.is_some_and(|expires| mono > expires)
    }

    /// Converts the verdict to evidence.
    #[must_use]
    pub fn evidence(&self) -> LoadVerdict {
        LoadVerdict {
            at: self.at.wall,
            state: self.state,
            reason: self.reason.to_string(),
        }
    }
}

/// The reason of a verdict. `Display` is a sentence for operators.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// No sample was taken yet.
    NoSample,
    /// All signals are below their limits.
    Idle,
    /// The gate has just opened.
    Probation,
    /// All signals are below their limits and the business is active.
    BusinessActive,
    /// An operator's order allows less than the policy would.
    Ordered(ActiveOrder),
    /// The core is never idle, and a named person accepted work anyway.
    Relief(ReliefNote),
    /// A signal is at or over its critical level.
    Critical(Measure),
    /// An operator paused the gate.
    Paused(ActiveOrder),
    /// Operators' orders have not been read yet, with the cause.
    OrdersUnread(Arc<str>),
    /// The business is harmed beyond the budget even at the minimum duty.
    OverBudget {
        /// The harm, as a share.
        harm: f64,
        /// The budget, as a share.
        budget: f64,
        /// Time until the next attempt.
        left: Duration,
    },
    /// A signal is at or over its stop limit.
    OverLimit(Measure),
    /// A signal is between its limits while the gate is closed.
    NotYetIdle(Measure),
    /// The load is gone; the gate waits for the hold to pass.
    Holding {
        /// Remaining time, if the samples stay good.
        left: Duration,
        /// Remaining good samples.
        samples_left: u32,
    },
    /// A signal has limits but is not in the sample.
    Missing(SignalName),
    /// A signal could not be read.
    Failed(SignalName, Arc<str>),
    /// A signal's value is not a finite number.
    NotANumber(SignalName),
    /// A signal is in the sample but has no limits.
    Unknown(SignalName),
    /// No signal is configured.
    NoSignal,
    /// Age of the sample, or time since the last sample.
    Stale(Duration),
    /// The clock went backwards.
    ClockBack,
    /// Milliseconds by which the wall clock moved against the monotonic clock: it was set, or the machine was
    /// suspended.
    ClockJump(i64),
    /// The sampler has ended.
    Stopped,
    /// The configuration fixes the gate open.
    FixedOpen,
    /// A test set the verdict.
    Scripted(Arc<str>),
}

/// The kind of an exception.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReliefKind {
    /// A trickle.
    Trickle,
    /// A deadline's window.
    Deadline,
}

/// An exception and the closing reason that it overrules.
#[derive(Debug, Clone, PartialEq)]
pub struct ReliefNote {
    /// Which kind.
    pub kind: ReliefKind,
    /// Who is accountable.
    pub actor: Arc<str>,
    /// The stated reason.
    pub reason: Arc<str>,
    /// The overruled reason.
    pub overrules: Arc<str>,
}

/// A signal's value and the limit it violates.
#[derive(Debug, Clone, PartialEq)]
pub struct Measure {
    /// The signal's name.
    pub signal: SignalName,
    /// The measured value.
    pub value: f64,
    /// The limit.
    pub limit: f64,
    /// The unit of both.
    pub unit: &'static str,
}

/// The kind of a reason: a small stable set, usable as a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is documented at the reason of the same name")]
pub enum ReasonKind {
    NoSample,
    Idle,
    Probation,
    BusinessActive,
    Ordered,
    Relief,
    Critical,
    Paused,
    OrdersUnread,
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
    /// Returns the name used in metrics and statuses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoSample => "no_sample",
            Self::Idle => "idle",
            Self::Probation => "probation",
            Self::BusinessActive => "business_active",
            Self::Ordered => "ordered",
            Self::Relief => "relief",
            Self::Critical => "critical",
            Self::Paused => "paused",
            Self::OrdersUnread => "orders_unread",
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
    /// Returns the kind of the reason.
    #[must_use]
    pub fn kind(&self) -> ReasonKind {
        match self {
            Self::NoSample => ReasonKind::NoSample,
            Self::Idle => ReasonKind::Idle,
            Self::Probation => ReasonKind::Probation,
            Self::BusinessActive => ReasonKind::BusinessActive,
            Self::Ordered(_) => ReasonKind::Ordered,
            Self::Relief(_) => ReasonKind::Relief,
            Self::Critical(_) => ReasonKind::Critical,
            Self::Paused(_) => ReasonKind::Paused,
            Self::OrdersUnread(_) => ReasonKind::OrdersUnread,
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
            Self::BusinessActive => f.write_str("all signals below their limits, the business is active"),
            Self::Ordered(order) => write!(f, "limited by {order}"),
            Self::Relief(note) => note.fmt(f),
            Self::Critical(measure) => write!(f, "{measure} (critical level)"),
            Self::Paused(order) => write!(f, "paused by {order}"),
            Self::OrdersUnread(why) => write!(f, "orders not read yet: {why}"),
            Self::OverBudget { harm, budget, left } => write!(
                f,
                "work slows the business by {:.1} % at the minimum duty, the budget is {:.1} %; retried in {:.0} s",
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

impl fmt::Display for ReliefNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An auditor recognises the accountable person by this beginning: `crates/verification/src/load.rs`.
        let kind = match self.kind {
            ReliefKind::Trickle => "a trickle",
            ReliefKind::Deadline => "a deadline window",
        };
        write!(
            f,
            "{kind} by {} ({}) despite: {}",
            self.actor, self.reason, self.overrules
        )
    }
}
