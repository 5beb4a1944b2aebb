//! From the gate to the keeper, never in the sampler's way.
//!
//! The gate hands out every sample over a channel that forgets the oldest rather than wait. What
//! was forgotten, and what could not be written, is counted in the next block that is.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemas::load::SignalLimit;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::block::Block;
use super::keeper::{Keeper, day};
use crate::permit::Gate;
use crate::turnstile::Observation;

/// Tells how many rows were read from the source so far. Called at each sample: must be quick.
pub type Rows = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Records every sample of a gate until the token is cancelled or the gate is gone.
#[must_use]
pub fn record(gate: &Gate, keeper: Keeper, rows: Rows, stop: CancellationToken) -> JoinHandle<()> {
    let mut seen = gate.observe();
    let mut recorder = Recorder::new(gate, keeper);
    tokio::spawn(async move {
        loop {
            let one = tokio::select! {
                biased;
                one = seen.recv() => one,
                () = stop.cancelled() => break,
            };
            match one {
                Ok(seen) => recorder.take(&seen, rows()).await,
                Err(RecvError::Lagged(count)) => recorder.lost += count,
                Err(RecvError::Closed) => break,
            }
        }
        recorder.flush().await;
    })
}

/// A number that no other life of an agent is likely to have.
fn life() -> u64 {
    let now = jiff::Timestamp::now().as_microsecond();
    u64::try_from(now).unwrap_or_default() ^ (u64::from(std::process::id()) << 52)
}

pub(super) struct Recorder {
    gate: Gate,
    keeper: Keeper,
    block: Block,
    /// The day and the limits that its file was told last.
    told: Option<(jiff::civil::Date, BTreeMap<String, SignalLimit>)>,
    lost: u64,
    is_failing: bool,
}

impl Recorder {
    pub(super) fn new(gate: &Gate, keeper: Keeper) -> Self {
        Self {
            gate: gate.clone(),
            keeper,
            block: Block::new(life()),
            told: None,
            lost: 0,
            is_failing: false,
        }
    }

    pub(super) async fn take(&mut self, seen: &Observation, rows: u64) {
        let is_next_day = self
            .block
            .rows
            .first()
            .is_some_and(|first| day(first.wall_ms) != day(seen.sample.at.wall.as_millisecond()));
        if is_next_day || !self.block.takes(seen) {
            self.flush().await;
        }
        self.block.push(seen, rows);
    }

    /// Writes the block, elsewhere than on the runtime's threads.
    pub(super) async fn flush(&mut self) {
        let next = Block::new(self.block.life);
        let mut block = std::mem::replace(&mut self.block, next);
        let Some(first) = block.rows.first() else { return };
        let limits = self.gate.status().limits;
        let began = jiff::Timestamp::from_millisecond(first.wall_ms).unwrap_or_default();
        let now = (day(first.wall_ms), limits);
        let is_new_day = self.told.as_ref().is_none_or(|(day, _)| *day != now.0);
        if self.told.as_ref() != Some(&now) {
            block.limits = Some(now.1.clone());
        }
        block.lost = self.lost;
        let samples = block.rows.len() as u64;
        let keeper = self.keeper.clone();
        let written = tokio::task::spawn_blocking(move || {
            keeper.append(&block)?;
            if is_new_day {
                keeper.retain(began)?;
            }
            Ok::<(), std::io::Error>(())
        });
        match written
            .await
            .unwrap_or_else(|error| Err(std::io::Error::other(error)))
        {
            Ok(()) => {
                if self.is_failing {
                    tracing::info!(lost_samples = self.lost, "samples are recorded again");
                }
                self.is_failing = false;
                self.lost = 0;
                self.told = Some(now);
            }
            Err(error) => {
                if !self.is_failing {
                    tracing::warn!(%error, "samples are not recorded for now; the gate goes on");
                }
                self.is_failing = true;
                self.lost += samples;
                self.told = None;
            }
        }
    }
}
