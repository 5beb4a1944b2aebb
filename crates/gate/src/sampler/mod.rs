//! Signals -> policy -> watch channel, at a fixed pace, until stopped.
//!
//! Two tasks. The sampler reads and decides. The watchdog only knows when the last verdict
//! expires, and shuts the gate if no other came: a sampler that stalls, panics or starves is a
//! shut gate, with the reason.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use schemas::load::GateState;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::{ConfigError, GateConfig, Mode};
use crate::foreground::Strain;
use crate::law::{self, LawState, Tick};
use crate::limits::Limits;
use crate::orders::Orders;
use crate::own::OwnPids;
use crate::permit::Gate;
use crate::plan::{Pace, Plan};
use crate::sample::{Reading, Sample};
use crate::signal::Signal;
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

impl Gate {
    /// The gate of a configuration, with its tasks running until the token is cancelled; after
    /// that the gate is shut. `own_pids` is where the source tells which backends serve us,
    /// `more` are the signals that are not the host's. `orders` are in force from its first verdict on.
    ///
    /// # Errors
    /// When the configuration contradicts itself.
    pub fn start(
        config: &GateConfig,
        own_pids: &OwnPids,
        more: Vec<Box<dyn Signal>>,
        orders: Orders,
        stop: &CancellationToken,
    ) -> Result<(Self, Sampling), ConfigError> {
        config.validate()?;
        if config.mode == Mode::Open {
            tracing::warn!("gate fixed open by configuration: nothing is measured, only orders bind it");
        }
        let plan = Plan::of(config, own_pids, more);
        Ok(Self::sampled(plan, Clock::system(), orders, stop))
    }

    /// Puts another policy in force from the next sample on. A signal that needs two readings
    /// before it can speak keeps the gate shut until then.
    ///
    /// # Errors
    /// When the configuration contradicts itself; then the old one stays, and the status says so.
    pub fn reload(
        &self,
        config: &GateConfig,
        own_pids: &OwnPids,
        more: Vec<Box<dyn Signal>>,
    ) -> Result<(), ConfigError> {
        if let Err(error) = config.validate() {
            self.refused(error.to_string());
            return Err(error);
        }
        self.turnstile.replace(Plan::of(config, own_pids, more));
        Ok(())
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
        let plan = Plan {
            signals,
            limits,
            pace,
            foreground: None,
        };
        Self::sampled(plan, clock, Orders::default(), stop)
    }

    fn sampled(plan: Plan, clock: Clock, orders: Orders, stop: &CancellationToken) -> (Self, Sampling) {
        let gate = Self::shut(clock, Some(&plan.limits));
        gate.give(orders);
        let sampler = Sampler {
            plan,
            turnstile: Arc::clone(&gate.turnstile),
        };
        let watchdog = watch(Arc::clone(&gate.turnstile), stop.clone());
        let tasks = vec![tokio::spawn(sampler.run(stop.clone())), tokio::spawn(watchdog)];
        (gate, Sampling { tasks })
    }
}

struct Sampler {
    plan: Plan,
    turnstile: Arc<Turnstile>,
}

impl Sampler {
    async fn run(mut self, stop: CancellationToken) {
        let start = self.turnstile.clock.now();
        // Where the rests fall must not beat with anything; it needs no secrecy.
        let seed = u64::from(std::process::id()).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut state = LawState::new(start, seed);
        let mut ticks = ticker(self.plan.pace.interval);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
            }
            if let Some(plan) = self.turnstile.next_plan() {
                self.plan = plan;
                ticks = ticker(self.plan.pace.interval);
                ticks.reset();
                self.turnstile.reloaded(&self.plan.limits);
                state = state.interrupted(self.turnstile.clock.now());
                tracing::info!(signals = self.plan.signals.len(), "policy loaded anew");
            }
            let sample = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                sample = self.sample() => sample,
            };
            if self.turnstile.lapse() {
                state = state.interrupted(self.turnstile.clock.now());
            }
            let (orders, kernel) = self.turnstile.standing();
            let tick = Tick {
                strain: self.strain(),
                worked: self.turnstile.take_worked(),
                kernel,
            };
            let now = self.turnstile.clock.now();
            let verdict = law::advance(&mut state, &sample, &tick, &orders, &self.plan.limits, now);
            let due = now.mono.saturating_add(self.plan.pace.interval);
            self.turnstile
                .note(state.harm(), self.plan.limits.law.harm_budget, due);
            // A gate that measures nothing has no sample to show.
            let shown = (!self.plan.limits.is_fixed_open).then_some(&sample);
            self.turnstile.publish(shown, verdict);
        }
        let now = self.turnstile.clock.now();
        let verdict = Verdict {
            since: state.interrupted(now).since(),
            ..Verdict::shut(Reason::Stopped, now, None)
        };
        self.turnstile.publish(None, verdict);
    }

    /// What the business's processes got of the processors since the tick before. Looked at
    /// only while we work beside a business: otherwise there is nothing to compare.
    fn strain(&mut self) -> Option<Strain> {
        let foreground = self.plan.foreground.as_mut()?;
        if self.turnstile.verdicts.borrow().state == GateState::Limited {
            foreground.strain()
        } else {
            foreground.forget();
            None
        }
    }

    async fn sample(&mut self) -> Sample {
        let timeout = self.plan.pace.read_timeout;
        let readings = join_all(self.plan.signals.iter_mut().map(|signal| async move {
            let name = signal.name();
            let reading = match tokio::time::timeout(timeout, signal.read()).await {
                Ok(Ok(value)) => Reading::Value(value),
                Ok(Err(error)) => Reading::Failed(error.to_string().into()),
                Err(_) => Reading::Failed(format!("no answer within {} ms", timeout.as_millis()).into()),
            };
            (name, reading)
        }));
        let readings = readings.await.into_iter().collect();
        Sample {
            at: self.turnstile.clock.now(),
            readings,
        }
    }
}

fn ticker(interval: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
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
mod pacing;
#[cfg(test)]
mod tests;
