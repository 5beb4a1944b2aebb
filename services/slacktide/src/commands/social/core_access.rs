//! The gate, the source, and the tasks around them.

use std::sync::{Arc, RwLock};

use gate::{Gate, Orders, OwnPids, SamplerTasks};
use jiff::Timestamp;
use runtime::config::Loaded;
use social::SocialView;
use source::Source;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::compose;
use crate::failure::Failure;
use crate::never_idle::{self, AlarmAfter};
use crate::reload;
use crate::settings::SocialFile;

/// The gate and the source. They outlive the stop signal: running work ends under the gate's control.
pub(super) struct CoreAccess {
    /// Permits work on the source.
    pub(super) gate: Gate,
    /// The system of record.
    pub(super) source: Arc<dyn Source>,
    /// When the gate was started.
    pub(super) started: Timestamp,
    alarm_after: AlarmAfter,
    sampling: SamplerTasks,
    tasks: Vec<JoinHandle<()>>,
    stop: CancellationToken,
}

impl CoreAccess {
    /// Starts the gate, and the tasks that reload the policy, report our backends, and record samples.
    pub(super) fn start(loaded: &Loaded<SocialFile>) -> Result<Self, Failure> {
        let (own, stop, started) = (OwnPids::new(), CancellationToken::new(), Timestamp::now());
        let probes = crate::probes::signals(loaded)?;
        // The gate may be paused by an order.
        let unread = Orders::unread("the exchange was not reached yet");
        let (gate, sampling) = Gate::start(&compose::gate(loaded), &own, probes, unread, &stop)
            .map_err(|error| Failure::usage(error.to_string()))?;
        let alarm_after: AlarmAfter = Arc::new(RwLock::new(loaded.value.gate.never_idle.alarm_after.get()));
        let reloading = reload::watch(
            loaded.clone(),
            gate.clone(),
            own.clone(),
            Arc::clone(&alarm_after),
            stop.clone(),
        );
        let source = compose::source(loaded, gate.closed_flag())?;
        let mut tasks = vec![
            compose::report_backend_pids(Arc::clone(&source), own, stop.clone()),
            compose::kernel_help(loaded, gate.clone(), Arc::clone(&source), stop.clone()),
            reloading,
        ];
        tasks.extend(compose::record(loaded, &gate, Arc::clone(&source), stop.clone()));
        Ok(Self {
            gate,
            source,
            started,
            alarm_after,
            sampling,
            tasks,
            stop,
        })
    }

    /// Watches that the core is idle often enough, until [`CoreAccess::stop`].
    pub(super) fn watch_idle_alarm(&self, view: &SocialView) -> JoinHandle<()> {
        never_idle::watch(
            self.gate.clone(),
            view.feed_conditions(),
            Arc::clone(&self.alarm_after),
            self.started,
            self.stop.clone(),
        )
    }

    /// Stops the gate and the tasks.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.sampling.join().await;
        for task in self.tasks {
            let _ = task.await;
        }
    }
}
