//! The tasks that record the gate's history and publish the reports.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use exchange::Error;
use jiff::Timestamp;
use runtime::log_dedup::LogDedup;
use schemas::status_report::{AgentRole, WatchNote};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::cadence::{Answered, Cadence, Due};
use crate::history::{GateReading, History};
use crate::parts::ReporterParts;
use crate::publication::{Publication, describe};
use crate::report;

/// The time between two readings of the gate.
const READING_INTERVAL: Duration = Duration::from_secs(1);

/// What is published: both are called often and must not block.
pub struct Sources {
    /// Returns the document of the agent's page `/status`.
    pub page: Box<dyn Fn() -> Value + Send + Sync>,
    /// Returns the gate's counters; `None` for an agent without a gate.
    pub gate: Option<Box<dyn Fn() -> GateReading + Send + Sync>>,
}

/// Publishes the status of one agent.
pub struct Reporter {
    parts: ReporterParts,
    sources: Sources,
    publication: Publication,
    history: Arc<Mutex<History>>,
}

impl Reporter {
    /// Creates a reporter that does nothing yet. `publication` shows how it goes.
    #[must_use]
    pub fn new(parts: ReporterParts, sources: Sources, publication: Publication) -> Self {
        publication.begin(&parts.writer);
        Self {
            parts,
            sources,
            publication,
            history: Arc::default(),
        }
    }

    /// Starts the task, until `stop`. It never ends the agent: a failure is shown and logged once.
    #[must_use]
    pub fn start(mut self, stop: CancellationToken) -> JoinHandle<()> {
        tokio::spawn(async move {
            let gate = self.sources.gate.take();
            let history = Arc::clone(&self.history);
            // The exchange may take long to answer; the readings must not wait for it.
            let recording = async move {
                match gate {
                    Some(gate) => record(gate, history).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = recording => {}
                () = self.publish() => {}
            }
        })
    }

    async fn publish(&self) {
        let (mut cadence, mut log, begun) = (Cadence::default(), LogDedup::default(), Instant::now());
        let mut is_restored = self.parts.role != AgentRole::Social;
        loop {
            match cadence.due(begun.elapsed()) {
                Err(wait) => tokio::time::sleep(wait).await,
                Ok(Due::Look) => {
                    let (note, answered) = self.look().await;
                    let wall = Timestamp::now();
                    cadence.looked(note, answered, begun.elapsed(), wall);
                    self.publication.watched(cadence.is_watched(wall));
                }
                Ok(Due::Publish) => {
                    if !is_restored {
                        is_restored = self.restore().await;
                    }
                    let promise =
                        u32::try_from(cadence.promise(Timestamp::now()).as_secs()).unwrap_or(u32::MAX);
                    let answered = self.publish_one(promise, &mut log).await;
                    cadence.published(answered, begun.elapsed(), Timestamp::now());
                }
            }
        }
    }

    /// Takes over the history of the process before. Returns whether that was decided.
    async fn restore(&self) -> bool {
        let Ok(all) = self.parts.exchange.statuses(&self.parts.party).await else {
            return false;
        };
        let earlier = report::earlier_history(&self.parts, &all);
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.restore(earlier, Timestamp::now());
        true
    }

    async fn look(&self) -> (Option<WatchNote>, Answered) {
        match self.parts.exchange.last_watch(&self.parts.party).await {
            Ok(stored) => {
                let note = stored.and_then(|stored| WatchNote::read(&stored.bytes));
                (note, Answered::Done)
            }
            // A report fails for the same reason, and shows it.
            Err(error) => {
                tracing::debug!(%error, "note of a watch not read");
                (None, answered(&error))
            }
        }
    }

    async fn publish_one(&self, next_within_s: u32, log: &mut LogDedup) -> Answered {
        let now = Timestamp::now();
        let history = self
            .history
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .buckets();
        let page = (self.sources.page)();
        let (why, answered) = match report::signed(&self.parts, &page, history, next_within_s, now) {
            Ok(bytes) => match self.store(bytes).await {
                Ok(()) => {
                    self.publication.stored(Timestamp::now());
                    if log.recovered().is_some() {
                        tracing::info!("status is published again");
                    }
                    return Answered::Done;
                }
                Err(error) => (describe(&error), answered(&error)),
            },
            Err(why) => (why, Answered::Refused),
        };
        if log.is_new(&why) {
            tracing::warn!(error = why, "status not published");
        }
        self.publication.failed(why, now);
        answered
    }

    async fn store(&self, bytes: Bytes) -> exchange::Result<()> {
        let (party, writer) = (&self.parts.party, &self.parts.writer);
        self.parts
            .exchange
            .publish_status(party, writer, bytes)
            .await
            .map(|_| ())
    }
}

fn answered(error: &Error) -> Answered {
    if error.kind.is_transient() {
        Answered::Failed
    } else {
        Answered::Refused
    }
}

/// Records the gate's history, until it is dropped.
async fn record(gate: Box<dyn Fn() -> GateReading + Send + Sync>, history: Arc<Mutex<History>>) {
    let mut tick = tokio::time::interval(READING_INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let reading = gate();
        let mut history = history.lock().unwrap_or_else(PoisonError::into_inner);
        history.record(reading, Timestamp::now());
    }
}

#[cfg(test)]
mod tests;
