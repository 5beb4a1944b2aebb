//! The load under which rows were read: proof that the core had slack.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The limits, samples and verdicts in force while the rows of a chunk were read, without duplicates.
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
    /// The gate closes at this reading or above.
    pub stop_milli: i64,
    /// The gate may open below this reading.
    pub resume_milli: i64,
    /// The unit, for example `percent`.
    pub unit: String,
}

/// One reading of all signals, in thousandths of their units. Integers round-trip exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LoadSample {
    /// When it was taken, by the publisher's clock.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The reading by signal; `None` if it failed.
    pub readings_milli: BTreeMap<String, Option<i64>>,
}

/// One verdict of the gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LoadVerdict {
    /// Start of the verdict, by the publisher's clock.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The gate's state.
    pub state: GateState,
    /// The reason.
    pub reason: String,
}

/// The state of the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GateState {
    /// Reading is not limited.
    Open,
    /// Reading is limited to a duty cycle.
    Limited,
    /// The source must not be read.
    Closed,
}
