//! The load under which rows were read: evidence that the core had slack.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Limits, samples and verdicts in force while the rows of a chunk were read, each once.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Load {
    /// The limits in force, by signal.
    pub limits: BTreeMap<String, SignalLimit>,
    /// The samples taken, oldest first.
    pub samples: Vec<LoadSample>,
    /// The verdicts in force, oldest first.
    pub verdicts: Vec<LoadVerdict>,
}

/// The limits of one signal, in thousandths of its unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignalLimit {
    /// The gate shuts at this reading or above.
    pub stop_milli: i64,
    /// It may open below this one.
    pub resume_milli: i64,
    /// The unit, for example `percent`.
    pub unit: String,
}

/// One reading of all signals, in thousandths of their units: integers, so that the evidence
/// reads back as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LoadSample {
    /// When, by the publisher's clock.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Reading by signal; none where it failed.
    pub readings_milli: BTreeMap<String, Option<i64>>,
}

/// One verdict of the gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LoadVerdict {
    /// Since when, by the publisher's clock.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// What it says.
    pub state: GateState,
    /// Why.
    pub reason: String,
}

/// What the gate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GateState {
    /// Work at will.
    Open,
    /// Work at a duty cycle.
    Limited,
    /// Do not touch the source.
    Shut,
}
