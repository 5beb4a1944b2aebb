//! The limits that the policy holds the signals to.

use std::collections::BTreeMap;
use std::time::Duration;

use schemas::load::SignalLimit;

use crate::law::duty::DutyLaw;
use crate::law::relief::Reliefs;
use crate::sample::{SignalName, milli};

/// The limits of one signal, in its unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    /// The gate shuts at this reading or above.
    pub stop: f64,
    /// A shut gate opens only below this one; lower than `stop`.
    pub resume: f64,
    /// At this reading or above everything stops and connections are dropped; never below
    /// `stop`. None: there is no such level.
    pub critical: Option<f64>,
    /// Below this one the signal says that there is no business to disturb: then work may take
    /// all of the time. None: it says nothing about that.
    pub quiet: Option<f64>,
    /// The unit of all, for example `percent`.
    pub unit: &'static str,
}

/// Everything the policy compares against.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Whether nothing is measured: the gate is open but for what operators order.
    pub is_fixed_open: bool,
    /// The signals that must speak in every sample, and their limits.
    pub signals: BTreeMap<SignalName, Limit>,
    /// How many good samples in a row a shut gate needs.
    pub good_samples: u32,
    /// How long the last sample that was not good must be past.
    pub hold: Duration,
    /// A sample older than this, or a silence longer than this, shuts the gate.
    pub stale_after: Duration,
    /// The two clocks may drift apart by this much from one sample to the next.
    pub clock_slack: Duration,
    /// How much of the time may be worked.
    pub law: DutyLaw,
    /// What may be worked although the core is never idle.
    pub relief: Reliefs,
}

impl Limits {
    /// As evidence, in thousandths.
    #[must_use]
    pub fn evidence(&self) -> BTreeMap<String, SignalLimit> {
        self.signals
            .iter()
            .map(|(name, limit)| {
                let limit = SignalLimit {
                    stop_milli: milli(limit.stop),
                    resume_milli: milli(limit.resume),
                    unit: limit.unit.to_owned(),
                };
                (name.to_string(), limit)
            })
            .collect()
    }
}
