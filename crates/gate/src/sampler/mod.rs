//! Signals -> policy -> watch channel, at a fixed pace, until stopped.
//!
//! Two tasks. The sampler reads and decides. The watchdog only knows when the last verdict
//! expires, and shuts the gate if no other came: a sampler that stalls, panics or starves is a
//! shut gate, with the reason.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::{ConfigError, GateConfig, Mode};
use crate::limits::Limits;
use crate::own::OwnPids;
use crate::permit::Gate;
use crate::policy::{self, PolicyState};
use crate::sample::{Reading, Sample};
use crate::signal::{self, Signal};
use crate::turnstile::Turnstile;
use crate::verdict::{Reason, Verdict};

/// The tasks behind a gate.
#[derive(Debug)]
pub struct Sampling {
    tasks: Vec<JoinHandle<()>>,
}

impl Sampling {
    /// Waits until the tasks have ended, after the token was cancelled.
    pub async fn joined(self) {
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the gate failed");
            }
        }
    }
}

/// How a sampler paces itself.
#[derive(Debug, Clone)]
pub struct Pace {
    /// From one sample to the next.
    pub interval: Duration,
    /// How long one reading may take.
    pub read_timeout: Duration,
}

impl Gate {
    /// The gate of a configuration, with its tasks running until the token is cancelled; after
    /// that the gate is shut. `own_pids` is where the source tells which backends serve us.
    ///
    /// # Errors
    /// When the configuration contradicts itself.
    pub fn start(
        config: &GateConfig,
        own_pids: &OwnPids,
        stop: &CancellationToken,
    ) -> Result<(Self, Sampling), ConfigError> {
        config.validate()?;
        if config.mode == Mode::Open {
            tracing::warn!("gate fixed open by configuration: nothing is measured");
            return Ok((Self::fixed_open(), Sampling { tasks: Vec::new() }));
        }
        let signals = signal::configured(config, own_pids);
        let pace = Pace {
            interval: config.interval.get(),
            read_timeout: config.read_timeout(),
        };
        Ok(Self::run(signals, config.limits(), pace, Clock::system(), stop))
    }

    /// A gate over these signals, limits and clock: for tests, and for signals of one's own.
    #[must_use]
    pub fn run(
        signals: Vec<Box<dyn Signal>>,
        limits: Limits,
        pace: Pace,
        clock: Clock,
        stop: &CancellationToken,
    ) -> (Self, Sampling) {
        let gate = Self::shut(clock, Some(&limits));
        let sampler = Sampler {
            signals,
            limits,
            pace,
            turnstile: Arc::clone(&gate.turnstile),
        };
        let watchdog = watch(Arc::clone(&gate.turnstile), stop.clone());
        let tasks = vec![tokio::spawn(sampler.run(stop.clone())), tokio::spawn(watchdog)];
        (gate, Sampling { tasks })
    }
}

struct Sampler {
    signals: Vec<Box<dyn Signal>>,
    limits: Limits,
    pace: Pace,
    turnstile: Arc<Turnstile>,
}

impl Sampler {
    async fn run(mut self, stop: CancellationToken) {
        let mut state = PolicyState::new(self.turnstile.clock.now());
        let mut ticks = tokio::time::interval(self.pace.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
            }
            let sample = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                sample = self.sample() => sample,
            };
            if self.turnstile.lapse() {
                state = state.interrupted(self.turnstile.clock.now());
            }
            let now = self.turnstile.clock.now();
            let (next, verdict) = policy::step(state, &sample, &self.limits, now);
            state = next;
            self.turnstile.publish(Some(&sample), verdict);
        }
        let now = self.turnstile.clock.now();
        let since = state.interrupted(now).since();
        let reason = Reason::Stopped;
        let verdict = Verdict {
            state: schemas::load::GateState::Shut,
            reason,
            since,
            at: now,
            expires: None,
        };
        self.turnstile.publish(None, verdict);
    }

    async fn sample(&mut self) -> Sample {
        let timeout = self.pace.read_timeout;
        let readings = join_all(self.signals.iter_mut().map(|signal| async move {
            let name = signal.name();
            let reading = match tokio::time::timeout(timeout, signal.read()).await {
                Ok(Ok(value)) => Reading::Value(value),
                Ok(Err(error)) => Reading::Failed(error.to_string().into()),
                Err(_) => Reading::Failed(format!("no answer within {} ms", timeout.as_millis()).into()),
            };
            (name.into(), reading)
        }));
        let readings = readings.await.into_iter().collect();
        Sample {
            at: self.turnstile.clock.now(),
            readings,
        }
    }
}

/// Shuts the gate when its verdict expires.
async fn watch(turnstile: Arc<Turnstile>, stop: CancellationToken) {
    let mut verdicts = turnstile.verdicts.subscribe();
    loop {
        let expires = verdicts.borrow_and_update().expires;
        // An instant past the expiry, as the verdict is still good at the expiry itself.
        let due = expires.map(|mono| turnstile.clock.instant(mono) + Duration::from_millis(1));
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            changed = verdicts.changed() => if changed.is_err() { return },
            () = until(due) => {
                turnstile.lapse();
                // Nothing more to do until the next verdict.
                tokio::select! {
                    () = stop.cancelled() => return,
                    changed = verdicts.changed() => if changed.is_err() { return },
                }
            }
        }
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
