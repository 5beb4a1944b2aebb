//! Samples the signals at a fixed interval, applies the law and publishes the verdict, until stopped.
//!
//! Two tasks. The sampler reads and decides. The watchdog closes the gate when the last verdict expires without a
//! successor, so a sampler that stalls, panics or starves causes a closed gate, with the reason.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use schemas::load::GateState;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::admission::AdmissionControl;
use crate::clock::Clock;
use crate::config::{GateConfig, Mode};
use crate::config_error::ConfigError;
use crate::foreground::SchedulerContention;
use crate::law::{self, LawState, Tick};
use crate::limits::Limits;
use crate::orders::Orders;
use crate::own::OwnPids;
use crate::permit::Gate;
use crate::plan::{Pace, Plan};
use crate::sample::{Reading, Sample};
use crate::signal::Signal;
use crate::verdict::{Reason, Verdict};

/// The tasks of a gate.
#[derive(Debug)]
pub struct SamplerTasks {
    tasks: Vec<JoinHandle<()>>,
}

impl SamplerTasks {
    /// Waits until the tasks have ended, after the token was cancelled.
    pub async fn join(self) {
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the gate failed");
            }
        }
    }
}

impl Gate {
    /// Starts the gate of a configuration. Its tasks run until the token is cancelled; after that the gate is closed. The
    /// source registers the backends that serve us in `own_pids`. `extra_signals` are signals other than the host's.
    /// `orders` are in force from the first verdict on.
    ///
    /// # Errors
    /// If the configuration contradicts itself.
    pub fn start(
        config: &GateConfig,
        own_pids: &OwnPids,
        extra_signals: Vec<Box<dyn Signal>>,
        orders: Orders,
        stop: &CancellationToken,
    ) -> Result<(Self, SamplerTasks), ConfigError> {
        config.validate()?;
        if config.mode == Mode::Open {
            tracing::warn!("gate fixed open by configuration: nothing is measured, only orders apply");
        }
        let plan = Plan::from_config(config, own_pids, extra_signals);
        Ok(Self::spawn_sampler(plan, Clock::system(), orders, stop))
    }

    /// Puts another policy in force with the next sample. A signal that needs two readings for a value keeps the gate
    /// closed until then.
    ///
    /// # Errors
    /// If the configuration contradicts itself; then the old one stays in force, and the status shows why.
    pub fn reload(
        &self,
        config: &GateConfig,
        own_pids: &OwnPids,
        extra_signals: Vec<Box<dyn Signal>>,
    ) -> Result<(), ConfigError> {
        if let Err(error) = config.validate() {
            self.reject_policy(error.to_string());
            return Err(error);
        }
        self.admission
            .set_next_plan(Plan::from_config(config, own_pids, extra_signals));
        Ok(())
    }

    /// Starts a gate over these signals, limits and clock: for tests and custom signals.
    #[must_use]
    pub fn start_with_signals(
        signals: Vec<Box<dyn Signal>>,
        limits: Limits,
        pace: Pace,
        clock: Clock,
        stop: &CancellationToken,
    ) -> (Self, SamplerTasks) {
        let plan = Plan {
            signals,
            limits,
            pace,
            foreground: None,
        };
        Self::spawn_sampler(plan, clock, Orders::default(), stop)
    }

    fn spawn_sampler(
        plan: Plan,
        clock: Clock,
        orders: Orders,
        stop: &CancellationToken,
    ) -> (Self, SamplerTasks) {
        let gate = Self::new_closed(clock, Some(&plan.limits));
        gate.set_orders(orders);
        let sampler = Sampler {
            plan,
            admission: Arc::clone(&gate.admission),
        };
        let watchdog = watch(Arc::clone(&gate.admission), stop.clone());
        let tasks = vec![tokio::spawn(sampler.run(stop.clone())), tokio::spawn(watchdog)];
        (gate, SamplerTasks { tasks })
    }
}

struct Sampler {
    plan: Plan,
    admission: Arc<AdmissionControl>,
}

impl Sampler {
    async fn run(mut self, stop: CancellationToken) {
        let start = self.admission.clock.now();
        // The control ticks must not correlate with anything; the seed needs no secrecy.
        let seed = u64::from(std::process::id()).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut state = LawState::new(start, seed);
        let mut ticks = ticker(self.plan.pace.interval);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
            }
            if let Some(plan) = self.admission.take_next_plan() {
                self.plan = plan;
                ticks = ticker(self.plan.pace.interval);
                ticks.reset();
                self.admission.set_limits(&self.plan.limits);
                state = state.interrupted(self.admission.clock.now());
                tracing::info!(signals = self.plan.signals.len(), "policy reloaded");
            }
            let sample = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                sample = self.sample() => sample,
            };
            if self.admission.expire_stale() {
                state = state.interrupted(self.admission.clock.now());
            }
            let (orders, kernel_idle) = self.admission.orders_and_priority();
            let tick = Tick {
                contention: self.contention(),
                worked: self.admission.take_worked(),
                kernel_idle,
            };
            let now = self.admission.clock.now();
            let verdict = law::advance(&mut state, &sample, &tick, &orders, &self.plan.limits, now);
            let due = now.mono.saturating_add(self.plan.pace.interval);
            self.admission
                .set_estimate(state.harm(), self.plan.limits.law.harm_budget, due);
            // A gate that measures nothing has no sample to publish.
            let shown = (!self.plan.limits.is_fixed_open).then_some(&sample);
            self.admission.publish(shown, verdict);
        }
        let now = self.admission.clock.now();
        let verdict = Verdict {
            since: state.interrupted(now).since(),
            ..Verdict::closed(Reason::Stopped, now, None)
        };
        self.admission.publish(None, verdict);
    }

    /// Measures the business's scheduler contention since the previous tick, only while we work during business
    /// activity: otherwise there is nothing to compare.
    fn contention(&mut self) -> Option<SchedulerContention> {
        let foreground = self.plan.foreground.as_mut()?;
        if self.admission.verdicts.borrow().state == GateState::Limited {
            foreground.contention()
        } else {
            foreground.reset();
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
            at: self.admission.clock.now(),
            readings,
        }
    }
}

fn ticker(interval: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Closes the gate when its verdict expires.
async fn watch(admission: Arc<AdmissionControl>, stop: CancellationToken) {
    let mut verdicts = admission.verdicts.subscribe();
    loop {
        let expires = verdicts.borrow_and_update().expires;
        // One instant past the expiry, as the verdict is still valid at the expiry itself.
        let due = expires.map(|mono| admission.clock.instant(mono) + Duration::from_millis(1));
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            changed = verdicts.changed() => if changed.is_err() { return },
            () = until(due) => {
                admission.expire_stale();
                // Waits for the next verdict.
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
