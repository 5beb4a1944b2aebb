//! Slots: the business without an extractor, with one, and without again.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::Outcome;
use crate::arguments::Arguments;
use crate::business::{BURST, Business};
use crate::latency::{self, Service};
use crate::plan::{self, Load, Variant};
use crate::report::Report;
use crate::rig::Rig;
use crate::whole::Environment;
use crate::worker::{Worker, WorkerStatus, now_us};

/// Time from the start of an extractor to the measured slot: the gate's hold has passed, the duty has grown.
const LEAD_TIME: Duration = Duration::from_secs(6);

/// Time before the first slot.
const WARM_UP: Duration = Duration::from_secs(3);

/// Time from the end of an extractor to the next measurement without one.
const SETTLE_TIME: Duration = Duration::from_secs(1);

/// One slot with an extractor, and the time before and after it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Slot {
    /// The load.
    pub(crate) load: String,
    /// The extractor.
    pub(crate) variant: &'static str,
    /// The service with the extractor.
    pub(crate) service: Service,
    /// The service just before and just after.
    pub(crate) without: Service,
    /// Rows read per second.
    pub(crate) rows_per_second: f64,
    /// The same in the quiet period after a burst.
    pub(crate) quiet_rows_per_second: Option<f64>,
    /// The gate at the end; null for the timer.
    pub(crate) gate: Value,
}

/// Runs every variant in every round at one load.
///
/// Each slot has its own business, so that a queue left by one extractor does not affect the next slot.
pub(crate) async fn run(
    rig: &Rig,
    arguments: &Arguments,
    max_rate: f64,
    (number, load): (u64, Load),
    variants: &[Variant],
    report: &mut Report,
) -> Outcome<()> {
    let is_burst = load == Load::Burst;
    let rounds = if is_burst {
        arguments.rounds().div_ceil(2)
    } else {
        arguments.rounds()
    };
    let order = plan::order(variants.len(), rounds, arguments.seed.wrapping_add(number));
    println!("\n{load}: {} slots", order.len());
    for variant in order.iter().map(|at| &variants[*at]) {
        let slot = if is_burst {
            burst(rig, max_rate, variant).await?
        } else {
            let span = Duration::from_secs(arguments.slot_seconds());
            steady(rig, load, max_rate, variant, span).await?
        };
        report.slot(slot);
    }
    Ok(())
}

/// Measures without, with, and without again: drift affects both sides equally.
async fn steady(rig: &Rig, load: Load, max_rate: f64, variant: &Variant, span: Duration) -> Outcome<Slot> {
    let environment = Environment::start(rig, variant).await?;
    let whole = WARM_UP + span * 2 + LEAD_TIME + SETTLE_TIME + Duration::from_secs(1);
    let business = Business::start(rig, "slot", load, max_rate, whole.as_secs())?;
    tokio::time::sleep(WARM_UP).await;
    let before = during(span / 2).await;
    let mut worker = Worker::start(rig, variant, 1, environment)?;
    tokio::time::sleep(LEAD_TIME).await;
    let first = worker.status()?;
    let with = during(span).await;
    let last = worker.stop().await?;
    tokio::time::sleep(SETTLE_TIME).await;
    let after = during(span / 2).await;
    let transactions = business.ended().await?;
    Ok(Slot {
        load: load.to_string(),
        variant: variant.name,
        service: latency::service(&transactions, &[with]),
        without: latency::service(&transactions, &[before, after]),
        rows_per_second: rate(&first, &last),
        quiet_rows_per_second: None,
        gate: gate(&last),
    })
}

/// Waits for this time and returns its start and end.
async fn during(span: Duration) -> (u64, u64) {
    let from = now_us();
    tokio::time::sleep(span).await;
    (from, now_us())
}

/// Measures a burst without and a burst with the extractor, which starts in the quiet period between them.
async fn burst(rig: &Rig, max_rate: f64, variant: &Variant) -> Outcome<Slot> {
    let environment = Environment::start(rig, variant).await?;
    let span = Duration::from_secs(BURST);
    let began = Instant::now();
    let business = Business::start(rig, "slot", Load::Burst, max_rate, 4 * BURST)?;
    let without = now_us();
    tokio::time::sleep_until(began + span * 2 - LEAD_TIME).await;
    let without = (without, now_us());
    let mut worker = Worker::start(rig, variant, 2, environment)?;
    tokio::time::sleep_until(began + span * 2).await;
    let (with, first) = (now_us(), worker.status()?);
    tokio::time::sleep_until(began + span * 3).await;
    let quiet = worker.status()?;
    tokio::time::sleep_until(began + span * 4).await;
    let with = (with, now_us());
    let last = worker.stop().await?;
    let transactions = business.ended().await?;
    Ok(Slot {
        load: Load::Burst.to_string(),
        variant: variant.name,
        service: latency::service(&transactions, &[with]),
        without: latency::service(&transactions, &[without]),
        rows_per_second: rate(&first, &last),
        quiet_rows_per_second: Some(rate(&quiet, &last)),
        gate: gate(&last),
    })
}

fn gate(status: &WorkerStatus) -> Value {
    status.status.pointer("/gate").cloned().unwrap_or(Value::Null)
}

/// Returns the rows per second between two statuses of a worker.
#[expect(clippy::cast_precision_loss, reason = "rows and microseconds far below 2^52")]
pub(crate) fn rate(first: &WorkerStatus, last: &WorkerStatus) -> f64 {
    let took = last.at_us.saturating_sub(first.at_us).max(1);
    last.rows.saturating_sub(first.rows) as f64 * 1e6 / took as f64
}
