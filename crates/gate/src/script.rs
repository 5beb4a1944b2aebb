//! Gates that do not measure: fixed open for benchmarks, scripted for tests.

use std::collections::BTreeMap;

use schemas::load::GateState;

use crate::clock::Clock;
use crate::permit::Gate;
use crate::sample::{Reading, Sample};
use crate::verdict::{Reason, Verdict};

impl Gate {
    /// A gate that is always open, by configuration, and says so. It measures nothing.
    #[must_use]
    pub fn fixed_open() -> Self {
        let gate = Self::shut(Clock::system(), None);
        say(&gate, GateState::Open, Reason::FixedOpen);
        gate
    }

    /// A gate that a test opens and shuts. Shut at first.
    #[must_use]
    pub fn scripted() -> (Self, Script) {
        let gate = Self::shut(Clock::system(), None);
        (gate.clone(), Script { gate })
    }
}

/// The hand on a scripted gate.
#[derive(Debug, Clone)]
pub struct Script {
    gate: Gate,
}

impl Script {
    /// Opens the gate.
    pub fn open(&self) {
        say(
            &self.gate,
            GateState::Open,
            Reason::Scripted("opened by the test".into()),
        );
    }

    /// Shuts the gate with a reason.
    pub fn shut(&self, reason: &str) {
        say(&self.gate, GateState::Shut, Reason::Scripted(reason.into()));
    }

    /// Adds a sample with one reading to the evidence; the verdict stays.
    pub fn sample(&self, signal: &str, value: f64) {
        let verdict = self.gate.verdict();
        let readings = BTreeMap::from([(signal.into(), Reading::Value(value))]);
        let sample = Sample {
            at: self.gate.turnstile.clock.now(),
            readings,
        };
        self.gate.turnstile.publish(Some(&sample), verdict);
    }
}

fn say(gate: &Gate, state: GateState, reason: Reason) {
    let now = gate.turnstile.clock.now();
    let before = gate.verdict();
    let since = if before.state == state { before.since } else { now };
    let said = if state == GateState::Shut {
        Verdict::shut(reason, now, None)
    } else {
        Verdict::open(reason, now, None)
    };
    gate.turnstile.publish(None, Verdict { since, ..said });
}
