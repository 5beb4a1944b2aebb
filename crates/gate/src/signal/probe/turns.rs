//! The one task that asks.

use std::pin::pin;

use runtime::backoff::Backoff;
use tokio::time::{sleep_until, timeout};

use super::kept::Kept;
use super::*;

/// The longest that connecting may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// How long a late statement has to come back before its connection is given up. Its reading has
/// failed already; a new connection would cost the source more than this wait.
const DRAIN: Duration = Duration::from_millis(250);

/// Between attempts to connect; a turn apart at least in any case.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(15));

pub(super) async fn take(mut probes: Vec<Box<dyn Probe>>, shared: Arc<Shared>, kept: Arc<Kept>) {
    let mut refused = 0_u32;
    loop {
        let mut index = 0;
        while let Some(probe) = probes.get_mut(index) {
            if !probe.is_connected() {
                let Err(error) = connect(probe.as_mut(), &shared).await else {
                    refused = 0;
                    continue;
                };
                refused = refused.saturating_add(1);
                shared.count.failures.fetch_add(1, Relaxed);
                // They all ask the same source.
                for (name, _) in probes.iter().flat_map(|probe| probe.signals()) {
                    kept.keep(name, Err(error.clone()));
                }
                tokio::time::sleep(BACKOFF.delay(refused, 1.0)).await;
                continue;
            }
            ask(probe.as_mut(), &shared, &kept).await;
            index += 1;
        }
    }
}

async fn connect(probe: &mut dyn Probe, shared: &Shared) -> Result<(), SignalError> {
    let mut last = turn(shared).await;
    let outcome = timeout(CONNECT_WITHIN, probe.connect()).await;
    *last = Some(Instant::now());
    outcome.unwrap_or_else(|_| Err(SignalError("the source does not take the connection".to_owned())))
}

async fn ask(probe: &mut dyn Probe, shared: &Shared, kept: &Kept) {
    let mut last = turn(shared).await;
    let count = &shared.count;
    let signals = probe.signals();
    let began = Instant::now();
    // Should the task be ended while it asks, the next prober still keeps its distance.
    *last = Some(began);
    count.probes.fetch_add(1, Relaxed);
    let mut came_back = true;
    let said = {
        let mut asked = pin!(probe.probe());
        match timeout(TIMEOUT, &mut asked).await {
            Ok(said) => said,
            Err(_) => {
                let late = SignalError(format!("no answer within {} ms", TIMEOUT.as_millis()));
                for (name, _) in &signals {
                    kept.keep(name.clone(), Err(late.clone()));
                }
                came_back = timeout(DRAIN, asked).await.is_ok();
                Err(late)
            }
        }
    };
    *last = Some(Instant::now());
    let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    count.last_us.store(took, Relaxed);
    count.max_us.fetch_max(took, Relaxed);
    if said.is_err() {
        count.failures.fetch_add(1, Relaxed);
    }
    if !came_back {
        probe.disconnect();
    }
    for (name, _) in signals {
        let one = said.as_ref().map_err(Clone::clone).and_then(|values| {
            let value = values.get(&name).copied().filter(|value| value.is_finite());
            value.ok_or_else(|| SignalError("the probe gave no number".to_owned()))
        });
        kept.keep(name, one);
    }
}

/// Waits for the turn; whoever holds it is alone on the source.
async fn turn(shared: &Shared) -> tokio::sync::MutexGuard<'_, Option<Instant>> {
    let last = shared.last.lock().await;
    // A timer may fire within its last millisecond.
    let due = last.map(|last| last + APART + Duration::from_millis(1));
    if let Some(due) = due {
        sleep_until(due).await;
    }
    last
}
