//! The limits that the policy applies to the signals.

use std::collections::BTreeMap;
use std::time::Duration;

use schemas::load::SignalLimit;

use crate::duty_law::DutyLaw;
use crate::relief::Reliefs;
use crate::sample::{SignalName, milli};

/// The limits of one signal, in its unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    /// The gate closes at this reading or above.
    pub stop: f64,
    /// A closed gate opens only below this one; lower than `stop`.
    pub resume: f64,
    /// At this reading or above everything stops and connections are dropped; never below `stop`. `None` disables the
    /// level.
    pub critical: Option<f64>,
    /// Below this reading there is no business to disturb, and work may take all of the time. `None` if the signal
    /// cannot show that.
    pub quiet: Option<f64>,
    /// The unit of all values, for example `percent`.
    pub unit: &'static str,
}

/// All limits of the policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Whether nothing is measured: the gate is open unless an order binds it.
    pub is_fixed_open: bool,
    /// The signals that every sample must contain, and their limits.
    pub signals: BTreeMap<SignalName, Limit>,
    /// Good samples in a row that a closed gate needs to open.
    pub good_samples: u32,
    /// Minimum time since the last bad sample before the gate opens.
    pub hold: Duration,
    /// A sample older than this, or no sample for longer than this, closes the gate.
    pub stale_after: Duration,
    /// How far the two clocks may drift apart between samples.
    pub clock_slack: Duration,
    /// The duty law.
    pub law: DutyLaw,
    /// What may be done although the core is never idle.
    pub relief: Reliefs,
}

impl Limits {
    /// Converts the limits to evidence, in thousandths.
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
