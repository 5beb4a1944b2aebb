//! Gates that measure nothing: fixed open for benchmarks, scripted for tests.

use std::collections::BTreeMap;

use schemas::load::GateState;

use crate::clock::Clock;
use crate::permit::Gate;
use crate::sample::{Reading, Sample};
use crate::verdict::{Reason, Verdict};

impl Gate {
    /// Returns a gate that is fixed open, with that reason.
    #[must_use]
    pub fn fixed_open() -> Self {
        let gate = Self::new_closed(Clock::system(), None);
        publish_state(&gate, GateState::Open, Reason::FixedOpen);
        gate
    }

    /// Returns a gate that a test opens and closes. Closed at first.
    #[must_use]
    pub fn scripted() -> (Self, Script) {
        let gate = Self::new_closed(Clock::system(), None);
        (gate.clone(), Script { gate })
    }
}

/// Controls a scripted gate.
#[derive(Debug, Clone)]
pub struct Script {
    gate: Gate,
}

impl Script {
    /// Opens the gate.
    pub fn open(&self) {
        publish_state(
            &self.gate,
            GateState::Open,
            Reason::Scripted("opened by the test".into()),
        );
    }

    /// Closes the gate with this reason.
    pub fn close(&self, reason: &str) {
        publish_state(&self.gate, GateState::Closed, Reason::Scripted(reason.into()));
    }

    /// Adds a sample with one reading to the evidence; the verdict stays.
    pub fn sample(&self, signal: &str, value: f64) {
        let verdict = self.gate.verdict();
        let readings = BTreeMap::from([(signal.into(), Reading::Value(value))]);
        let sample = Sample {
            at: self.gate.admission.clock.now(),
            readings,
        };
        self.gate.admission.publish(Some(&sample), verdict);
    }
}

fn publish_state(gate: &Gate, state: GateState, reason: Reason) {
    let now = gate.admission.clock.now();
    let before = gate.verdict();
    let since = if before.state == state { before.since } else { now };
    let verdict = if state == GateState::Closed {
        Verdict::closed(reason, now, None)
    } else {
        Verdict::open(reason, now, None)
    };
    gate.admission.publish(None, Verdict { since, ..verdict });
}
