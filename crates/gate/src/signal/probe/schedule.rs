//! The task that runs the probes.

use std::pin::pin;

use runtime::backoff::Backoff;
use tokio::time::{sleep_until, timeout};

use super::readings::LatestReadings;
use super::*;

/// Timeout of a connection attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a late statement may still finish before its connection is closed. Its reading has failed already; a new
/// connection would cost the source more than this wait.
const LATE_STATEMENT_TIMEOUT: Duration = Duration::from_millis(250);

/// Back-off between connection attempts; at least one slot in any case.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(15));

pub(super) async fn run(mut probes: Vec<Box<dyn Probe>>, shared: Arc<Shared>, readings: Arc<LatestReadings>) {
    let mut failed_attempts = 0_u32;
    loop {
        let mut index = 0;
        while let Some(probe) = probes.get_mut(index) {
            if !probe.is_connected() {
                let Err(error) = connect(probe.as_mut(), &shared).await else {
                    failed_attempts = 0;
                    continue;
                };
                failed_attempts = failed_attempts.saturating_add(1);
                shared.count.failures.fetch_add(1, Relaxed);
                // All probes query the same source.
                for (name, _) in probes.iter().flat_map(|probe| probe.signals()) {
                    readings.store(name, Err(error.clone()));
                }
                tokio::time::sleep(BACKOFF.delay(failed_attempts, 1.0)).await;
                continue;
            }
            run_probe(probe.as_mut(), &shared, &readings).await;
            index += 1;
        }
    }
}

async fn connect(probe: &mut dyn Probe, shared: &Shared) -> Result<(), SignalError> {
    let mut last = wait_for_slot(shared).await;
    let outcome = timeout(CONNECT_TIMEOUT, probe.connect()).await;
    *last = Some(Instant::now());
    outcome.unwrap_or_else(|_| Err(SignalError("connection to the source timed out".to_owned())))
}

async fn run_probe(probe: &mut dyn Probe, shared: &Shared, readings: &LatestReadings) {
    let mut last = wait_for_slot(shared).await;
    let count = &shared.count;
    let signals = probe.signals();
    let began = Instant::now();
    // If the task is aborted meanwhile, the next prober still keeps the spacing.
    *last = Some(began);
    count.probes.fetch_add(1, Relaxed);
    let mut is_finished = true;
    let result = {
        let mut statement = pin!(probe.probe());
        match timeout(TIMEOUT, &mut statement).await {
            Ok(result) => result,
            Err(_) => {
                let late = SignalError(format!("no answer within {} ms", TIMEOUT.as_millis()));
                for (name, _) in &signals {
                    readings.store(name.clone(), Err(late.clone()));
                }
                is_finished = timeout(LATE_STATEMENT_TIMEOUT, statement).await.is_ok();
                Err(late)
            }
        }
    };
    *last = Some(Instant::now());
    let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    count.last_us.store(took, Relaxed);
    count.max_us.fetch_max(took, Relaxed);
    if result.is_err() {
        count.failures.fetch_add(1, Relaxed);
    }
    if !is_finished {
        probe.disconnect();
    }
    for (name, _) in signals {
        let one = result.as_ref().map_err(Clone::clone).and_then(|values| {
            let value = values.get(&name).copied().filter(|value| value.is_finite());
            value.ok_or_else(|| SignalError("the probe returned no number".to_owned()))
        });
        readings.store(name, one);
    }
}

/// Waits for the next slot; the guard excludes other probes of the source.
async fn wait_for_slot(shared: &Shared) -> tokio::sync::MutexGuard<'_, Option<Instant>> {
    let last = shared.last.lock().await;
    // A timer may fire within its last millisecond.
    let due = last.map(|last| last + MIN_SPACING + Duration::from_millis(1));
    if let Some(due) = due {
        sleep_until(due).await;
    }
    last
}
