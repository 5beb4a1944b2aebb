//! PURE: columns of samples <-> bytes.
//!
//! Each column is stored as differences in MessagePack and then compressed, as load changes little between samples.
//! Differences wrap, so no corrupt number panics.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemas::load::{GateState, SignalLimit};
use serde::de::IntoDeserializer as _;
use serde::{Deserialize, Deserializer, Serialize};

use gate::Observation;
use gate::sample::{Reading, SignalName, milli};

/// Maximum samples per block: a minute at the default interval.
pub const MAX_SAMPLES: usize = 600;

/// Maximum bytes of a block before compression; a larger block is refused.
const MAX_DECODED_BYTES: usize = 8 << 20;

const COMPRESSION_LEVEL: i32 = 6;

/// The format version of a block; other versions are refused.
const FORMAT_VERSION: u8 = 1;

/// Samples of one run of an agent, with the same signals, oldest first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Block {
    /// The agent's run: monotonic times are comparable only within one.
    pub run_id: u64,
    /// Samples lost before this block, because recording was too slow or the disk was full.
    pub lost: u64,
    /// The limits in force, at the start of a file and after a change.
    pub limits: Option<BTreeMap<String, SignalLimit>>,
    /// The signals, sorted.
    pub signals: Vec<SignalName>,
    /// One row per sample.
    pub rows: Vec<Row>,
    /// The readings of all samples, in thousandths, by signal within each sample; 0 where it failed.
    pub readings: Vec<i64>,
    /// Failed readings: sample, signal, cause.
    pub failures: Vec<(u32, u32, Arc<str>)>,
    /// The samples at which the state or the kind of reason changed.
    pub changes: Vec<VerdictChange>,
}

/// The data of a sample besides its readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Row {
    /// Wall clock, in Unix milliseconds.
    pub wall_ms: i64,
    /// Monotonic clock of this run, in milliseconds.
    pub mono_ms: i64,
    /// The duty, in thousandths; 0 while closed.
    pub duty_milli: i64,
    /// Rows read from the source so far in this run.
    pub moved: i64,
}

/// A change of the verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictChange {
    /// The index of the sample.
    pub at: u32,
    /// The state.
    #[serde(deserialize_with = "state")]
    pub state: GateState,
    /// The kind of the reason.
    pub kind: String,
    /// The reason as text, at the time of the change.
    pub reason: String,
}

/// Reads a state, also of recordings that name the closed gate `shut`.
fn state<'de, D: Deserializer<'de>>(deserializer: D) -> Result<GateState, D::Error> {
    let name = String::deserialize(deserializer)?;
    let name = if name == "shut" { "closed" } else { &name };
    GateState::deserialize(name.into_deserializer())
}

/// Why bytes are not a valid block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid block of samples: {0}")]
pub struct BlockError(String);

#[derive(Serialize, Deserialize)]
struct Wire {
    format: u8,
    run_id: u64,
    lost: u64,
    limits: Option<BTreeMap<String, SignalLimit>>,
    signals: Vec<SignalName>,
    wall_ms: Vec<i64>,
    mono_ms: Vec<i64>,
    duty_milli: Vec<i64>,
    moved: Vec<i64>,
    readings: Vec<Vec<i64>>,
    failures: Vec<(u32, u32, Arc<str>)>,
    changes: Vec<VerdictChange>,
}

impl Block {
    /// Creates an empty block.
    #[must_use]
    pub fn new(run_id: u64) -> Self {
        Self {
            run_id,
            ..Self::default()
        }
    }

    /// Whether this sample may be added: it has the same signals, and the block has room.
    #[must_use]
    pub fn accepts(&self, seen: &Observation) -> bool {
        self.rows.is_empty()
            || (self.rows.len() < MAX_SAMPLES && self.signals.iter().eq(seen.sample.readings.keys()))
    }

    /// Adds a sample, which [`accepts`](Self::accepts) must have allowed.
    pub fn push(&mut self, seen: &Observation, moved: u64) {
        if self.rows.is_empty() {
            self.signals = seen.sample.readings.keys().cloned().collect();
        }
        let at = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        for (column, reading) in (0_u32..).zip(seen.sample.readings.values()) {
            let why: Arc<str> = match reading {
                Reading::Value(value) if value.is_finite() => {
                    self.readings.push(milli(*value));
                    continue;
                }
                Reading::Value(_) => NOT_A_NUMBER.into(),
                Reading::Failed(why) => why.clone(),
            };
            self.readings.push(0);
            self.failures.push((at, column, why));
        }
        let (sample, verdict) = (&seen.sample.at, &seen.verdict);
        self.rows.push(Row {
            wall_ms: sample.wall.as_millisecond(),
            mono_ms: i64::try_from(sample.mono.as_millis()).unwrap_or(i64::MAX),
            duty_milli: verdict.duty_milli(),
            moved: i64::try_from(moved).unwrap_or(i64::MAX),
        });
        let kind = verdict.reason.kind().name();
        let is_same = |change: &VerdictChange| change.state == verdict.state && change.kind == kind;
        if !self.changes.last().is_some_and(is_same) {
            self.changes.push(VerdictChange {
                at,
                state: verdict.state,
                kind: kind.to_owned(),
                reason: verdict.reason.to_string(),
            });
        }
    }

    /// Encodes the block.
    ///
    /// # Errors
    /// If the compression fails.
    pub fn encode(&self) -> Result<Vec<u8>, BlockError> {
        let width = self.signals.len();
        let column = |at: usize| differences(self.readings.iter().skip(at).step_by(width.max(1)).copied());
        let deltas = |get: fn(&Row) -> i64| differences(self.rows.iter().map(get));
        let second_deltas = |get: fn(&Row) -> i64| differences(deltas(get).into_iter());
        let wire = Wire {
            format: FORMAT_VERSION,
            run_id: self.run_id,
            lost: self.lost,
            limits: self.limits.clone(),
            signals: self.signals.clone(),
            wall_ms: second_deltas(|row| row.wall_ms),
            mono_ms: second_deltas(|row| row.mono_ms),
            duty_milli: deltas(|row| row.duty_milli),
            moved: deltas(|row| row.moved),
            readings: (0..width).map(column).collect(),
            failures: self.failures.clone(),
            changes: self.changes.clone(),
        };
        let plain = rmp_serde::to_vec(&wire).map_err(|error| BlockError(error.to_string()))?;
        zstd::bulk::compress(&plain, COMPRESSION_LEVEL).map_err(|error| BlockError(error.to_string()))
    }

    /// Decodes a block.
    ///
    /// # Errors
    /// If the bytes were not written by [`encode`](Self::encode).
    pub fn decode(bytes: &[u8]) -> Result<Self, BlockError> {
        let invalid = |what: &str| BlockError(what.to_owned());
        let plain = zstd::bulk::decompress(bytes, MAX_DECODED_BYTES)
            .map_err(|error| BlockError(error.to_string()))?;
        let wire: Wire = rmp_serde::from_slice(&plain).map_err(|error| BlockError(error.to_string()))?;
        if wire.format != FORMAT_VERSION {
            return Err(invalid("unsupported format version"));
        }
        let (rows, width) = (wire.wall_ms.len(), wire.signals.len());
        let columns = [&wire.mono_ms, &wire.duty_milli, &wire.moved];
        let fits = columns
            .into_iter()
            .chain(&wire.readings)
            .all(|column| column.len() == rows);
        let is_sorted = wire.signals.is_sorted_by(|one, next| one < next);
        if rows > MAX_SAMPLES || !fits || !is_sorted || wire.readings.len() != width {
            return Err(invalid("columns differ in length"));
        }
        let inside = |at: u32, most: usize| usize::try_from(at).is_ok_and(|at| at < most);
        let failures_fit = wire
            .failures
            .iter()
            .all(|(at, signal, _)| inside(*at, rows) && inside(*signal, width));
        let changes_fit = wire.changes.iter().all(|change| inside(change.at, rows))
            && wire.changes.is_sorted_by(|one, next| one.at < next.at)
            && wire
                .failures
                .is_sorted_by(|one, next| (one.0, one.1) < (next.0, next.1))
            && wire.changes.first().is_none_or(|change| change.at == 0);
        if !failures_fit || !changes_fit {
            return Err(invalid("index out of range"));
        }
        let (wall, mono) = (sums(&sums(&wire.wall_ms)), sums(&sums(&wire.mono_ms)));
        let (duty, moved) = (sums(&wire.duty_milli), sums(&wire.moved));
        let columns: Vec<Vec<i64>> = wire.readings.iter().map(|column| sums(column)).collect();
        let row = |at: usize| Row {
            wall_ms: wall[at],
            mono_ms: mono[at],
            duty_milli: duty[at],
            moved: moved[at],
        };
        Ok(Self {
            run_id: wire.run_id,
            lost: wire.lost,
            limits: wire.limits,
            signals: wire.signals,
            rows: (0..rows).map(row).collect(),
            readings: (0..rows)
                .flat_map(|at| columns.iter().map(move |column| column[at]))
                .collect(),
            failures: wire.failures,
            changes: wire.changes,
        })
    }
}

/// The cause of a reading that was NaN or infinite.
pub const NOT_A_NUMBER: &str = "not a finite number";

fn differences(values: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut last = 0_i64;
    values
        .map(|value| value.wrapping_sub(std::mem::replace(&mut last, value)))
        .collect()
}

fn sums(differences: &[i64]) -> Vec<i64> {
    let mut sum = 0_i64;
    let add = |difference: &i64| {
        sum = sum.wrapping_add(*difference);
        sum
    };
    differences.iter().map(add).collect()
}
