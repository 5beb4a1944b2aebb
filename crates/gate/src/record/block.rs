//! PURE: columns of samples <-> bytes.
//!
//! Each column is written as differences, as MessagePack, and then compressed: load changes
//! little from one tenth of a second to the next. Differences wrap, so no spoilt number panics.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemas::load::{GateState, SignalLimit};
use serde::{Deserialize, Serialize};

use crate::sample::{Reading, SignalName, milli};
use crate::turnstile::Observation;

/// Samples in a block at most: a minute of the default pace.
pub const MOST: usize = 600;

/// Bytes of a block before compression at most; more is not a block of ours.
const MOST_BYTES: usize = 8 << 20;

const LEVEL: i32 = 6;

/// The form of what is in a block; another one is refused.
const FORM: u8 = 1;

/// Samples of one life of one agent, all of the same signals, oldest first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Block {
    /// The agent's life: monotonic times compare only within one.
    pub life: u64,
    /// Samples lost before this block, because recording was too slow or the disk full.
    pub lost: u64,
    /// The limits in force, where they are told: at the head of a file and when they changed.
    pub limits: Option<BTreeMap<String, SignalLimit>>,
    /// The signals, in order.
    pub signals: Vec<SignalName>,
    /// One for each sample.
    pub rows: Vec<Row>,
    /// The readings of all samples, in thousandths, by signal within each; 0 where it failed.
    pub readings: Vec<i64>,
    /// Readings that failed: sample, signal, why.
    pub failures: Vec<(u32, u32, Arc<str>)>,
    /// What the gate said from a sample on: where the state or the kind of reason changed.
    pub turns: Vec<Turn>,
}

/// What is kept of a sample beside its readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Row {
    /// By the wall clock, in Unix milliseconds.
    pub wall_ms: i64,
    /// By the monotonic clock of this life, in milliseconds.
    pub mono_ms: i64,
    /// The share of the time that might be worked, in thousandths; 0 while shut.
    pub duty_milli: i64,
    /// Rows read from the source so far, in this life.
    pub moved: i64,
}

/// What the gate said from a sample on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// The sample.
    pub at: u32,
    /// The state.
    pub state: GateState,
    /// The kind of the reason.
    pub kind: String,
    /// The reason in words, as it was when the kind changed.
    pub reason: String,
}

/// Why bytes are no block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no block of samples: {0}")]
pub struct NoBlock(String);

#[derive(Serialize, Deserialize)]
struct Wire {
    form: u8,
    life: u64,
    lost: u64,
    limits: Option<BTreeMap<String, SignalLimit>>,
    signals: Vec<SignalName>,
    wall_ms: Vec<i64>,
    mono_ms: Vec<i64>,
    duty_milli: Vec<i64>,
    moved: Vec<i64>,
    readings: Vec<Vec<i64>>,
    failures: Vec<(u32, u32, Arc<str>)>,
    turns: Vec<Turn>,
}

impl Block {
    /// Nothing yet.
    #[must_use]
    pub fn new(life: u64) -> Self {
        Self {
            life,
            ..Self::default()
        }
    }

    /// Whether this sample may follow: the same signals, and room.
    #[must_use]
    pub fn takes(&self, seen: &Observation) -> bool {
        self.rows.is_empty()
            || (self.rows.len() < MOST && self.signals.iter().eq(seen.sample.readings.keys()))
    }

    /// Adds a sample, which [`takes`](Self::takes) must have allowed.
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
        let is_same = |turn: &Turn| turn.state == verdict.state && turn.kind == kind;
        if !self.turns.last().is_some_and(is_same) {
            self.turns.push(Turn {
                at,
                state: verdict.state,
                kind: kind.to_owned(),
                reason: verdict.reason.to_string(),
            });
        }
    }

    /// As bytes.
    ///
    /// # Errors
    /// When the compressor fails.
    pub fn encode(&self) -> Result<Vec<u8>, NoBlock> {
        let width = self.signals.len();
        let column = |at: usize| differences(self.readings.iter().skip(at).step_by(width.max(1)).copied());
        let of = |get: fn(&Row) -> i64| differences(self.rows.iter().map(get));
        let steady = |get: fn(&Row) -> i64| differences(of(get).into_iter());
        let wire = Wire {
            form: FORM,
            life: self.life,
            lost: self.lost,
            limits: self.limits.clone(),
            signals: self.signals.clone(),
            wall_ms: steady(|row| row.wall_ms),
            mono_ms: steady(|row| row.mono_ms),
            duty_milli: of(|row| row.duty_milli),
            moved: of(|row| row.moved),
            readings: (0..width).map(column).collect(),
            failures: self.failures.clone(),
            turns: self.turns.clone(),
        };
        let plain = rmp_serde::to_vec(&wire).map_err(|error| NoBlock(error.to_string()))?;
        zstd::bulk::compress(&plain, LEVEL).map_err(|error| NoBlock(error.to_string()))
    }

    /// Out of bytes.
    ///
    /// # Errors
    /// When they are not what [`encode`](Self::encode) wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, NoBlock> {
        let no = |what: &str| NoBlock(what.to_owned());
        let plain = zstd::bulk::decompress(bytes, MOST_BYTES).map_err(|error| NoBlock(error.to_string()))?;
        let wire: Wire = rmp_serde::from_slice(&plain).map_err(|error| NoBlock(error.to_string()))?;
        if wire.form != FORM {
            return Err(no("another version wrote it"));
        }
        let (rows, width) = (wire.wall_ms.len(), wire.signals.len());
        let columns = [&wire.mono_ms, &wire.duty_milli, &wire.moved];
        let fits = columns
            .into_iter()
            .chain(&wire.readings)
            .all(|column| column.len() == rows);
        let is_sorted = wire.signals.is_sorted_by(|one, next| one < next);
        if rows > MOST || !fits || !is_sorted || wire.readings.len() != width {
            return Err(no("its columns do not fit"));
        }
        let inside = |at: u32, most: usize| usize::try_from(at).is_ok_and(|at| at < most);
        let failures_fit = wire
            .failures
            .iter()
            .all(|(at, signal, _)| inside(*at, rows) && inside(*signal, width));
        let turns_fit = wire.turns.iter().all(|turn| inside(turn.at, rows))
            && wire.turns.is_sorted_by(|one, next| one.at < next.at)
            && wire
                .failures
                .is_sorted_by(|one, next| (one.0, one.1) < (next.0, next.1))
            && wire.turns.first().is_none_or(|turn| turn.at == 0);
        if !failures_fit || !turns_fit {
            return Err(no("it points outside itself"));
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
            life: wire.life,
            lost: wire.lost,
            limits: wire.limits,
            signals: wire.signals,
            rows: (0..rows).map(row).collect(),
            readings: (0..rows)
                .flat_map(|at| columns.iter().map(move |column| column[at]))
                .collect(),
            failures: wire.failures,
            turns: wire.turns,
        })
    }
}

/// What stands for a reading that was NaN or infinite.
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
