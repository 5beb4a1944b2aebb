//! Records a gate's samples without delaying the sampler.
//!
//! The gate sends every sample over a channel that drops the oldest instead of waiting. Samples that were dropped, or
//! could not be written, are counted in the next block.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemas::load::SignalLimit;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::archive::{SampleArchive, day};
use crate::block::Block;
use gate::Gate;
use gate::Observation;

/// Returns how many rows were read from the source so far. Called at each sample: must be fast.
pub type RowCounter = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Records every sample of a gate until the token is cancelled or the gate is dropped.
#[must_use]
pub fn record(
    gate: &Gate,
    archive: SampleArchive,
    rows: RowCounter,
    stop: CancellationToken,
) -> JoinHandle<()> {
    let mut seen = gate.observe();
    let mut recorder = Recorder::new(gate, archive);
    tokio::spawn(async move {
        loop {
            let one = tokio::select! {
                biased;
                one = seen.recv() => one,
                () = stop.cancelled() => break,
            };
            match one {
                Ok(seen) => recorder.add(&seen, rows()).await,
                Err(RecvError::Lagged(count)) => recorder.lost += count,
                Err(RecvError::Closed) => break,
            }
        }
        recorder.flush().await;
    })
}

/// Returns a number that is unlikely to equal that of another run of an agent.
fn run_id() -> u64 {
    let now = jiff::Timestamp::now().as_microsecond();
    u64::try_from(now).unwrap_or_default() ^ (u64::from(std::process::id()) << 52)
}

pub(crate) struct Recorder {
    gate: Gate,
    archive: SampleArchive,
    block: Block,
    /// The day and limits that were last written to its file.
    last_written: Option<(jiff::civil::Date, BTreeMap<String, SignalLimit>)>,
    lost: u64,
    is_failing: bool,
}

impl Recorder {
    pub(crate) fn new(gate: &Gate, archive: SampleArchive) -> Self {
        Self {
            gate: gate.clone(),
            archive,
            block: Block::new(run_id()),
            last_written: None,
            lost: 0,
            is_failing: false,
        }
    }

    pub(crate) async fn add(&mut self, seen: &Observation, rows: u64) {
        let is_next_day = self
            .block
            .rows
            .first()
            .is_some_and(|first| day(first.wall_ms) != day(seen.sample.at.wall.as_millisecond()));
        if is_next_day || !self.block.accepts(seen) {
            self.flush().await;
        }
        self.block.push(seen, rows);
    }

    /// Writes the block on a blocking thread.
    pub(crate) async fn flush(&mut self) {
        let next = Block::new(self.block.run_id);
        let mut block = std::mem::replace(&mut self.block, next);
        let Some(first) = block.rows.first() else { return };
        let limits = self.gate.status().limits;
        let began = jiff::Timestamp::from_millisecond(first.wall_ms).unwrap_or_default();
        let now = (day(first.wall_ms), limits);
        let is_new_day = self.last_written.as_ref().is_none_or(|(day, _)| *day != now.0);
        if self.last_written.as_ref() != Some(&now) {
            block.limits = Some(now.1.clone());
        }
        block.lost = self.lost;
        let samples = block.rows.len() as u64;
        let archive = self.archive.clone();
        let written = tokio::task::spawn_blocking(move || {
            archive.append(&block)?;
            if is_new_day {
                archive.delete_expired(began)?;
            }
            Ok::<(), std::io::Error>(())
        });
        match written
            .await
            .unwrap_or_else(|error| Err(std::io::Error::other(error)))
        {
            Ok(()) => {
                if self.is_failing {
                    tracing::info!(lost_samples = self.lost, "recording of samples resumed");
                }
                self.is_failing = false;
                self.lost = 0;
                self.last_written = Some(now);
            }
            Err(error) => {
                if !self.is_failing {
                    tracing::warn!(%error, "recording of samples failed, the gate continues");
                }
                self.is_failing = true;
                self.lost += samples;
                self.last_written = None;
            }
        }
    }
}
