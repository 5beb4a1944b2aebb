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
use crate::whole::Surroundings;
use crate::worker::{Told, Worker, now_us};

/// Between the start of an extractor and the slot that is measured: the gate's hold is over, the
/// duty has grown.
const LEAD: Duration = Duration::from_secs(6);

/// Before the first slot.
const WARM: Duration = Duration::from_secs(3);

/// After an extractor ended, until the business is measured without it again.
const SETTLE: Duration = Duration::from_secs(1);

/// One slot of an extractor beside the time around it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Slot {
    /// The load.
    pub(crate) load: String,
    /// Who extracted.
    pub(crate) variant: &'static str,
    /// What the business got.
    pub(crate) service: Service,
    /// What it got just before and just after.
    pub(crate) without: Service,
    /// Rows read a second.
    pub(crate) rows_per_second: f64,
    /// The same in the quiet after a burst.
    pub(crate) quiet_rows_per_second: Option<f64>,
    /// The gate at the end; null for the timer.
    pub(crate) gate: Value,
}

/// Runs every variant in every round at one load.
///
/// Each slot has a business of its own: what an extractor left waiting in line must not be
/// charged to the slot after it.
pub(crate) async fn run(
    rig: &Rig,
    arguments: &Arguments,
    most: f64,
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
            burst(rig, most, variant).await?
        } else {
            let span = Duration::from_secs(arguments.slot_seconds());
            steady(rig, load, most, variant, span).await?
        };
        report.slot(slot);
    }
    Ok(())
}

/// Without, with, and without again: what drifts by itself weighs on both sides alike.
async fn steady(rig: &Rig, load: Load, most: f64, variant: &Variant, span: Duration) -> Outcome<Slot> {
    let around = Surroundings::of(rig, variant).await?;
    let whole = WARM + span * 2 + LEAD + SETTLE + Duration::from_secs(1);
    let business = Business::start(rig, "slot", load, most, whole.as_secs())?;
    tokio::time::sleep(WARM).await;
    let before = during(span / 2).await;
    let mut worker = Worker::start(rig, variant, 1, around)?;
    tokio::time::sleep(LEAD).await;
    let first = worker.told()?;
    let with = during(span).await;
    let last = worker.stop().await?;
    tokio::time::sleep(SETTLE).await;
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

/// Lets so much time pass, and says from when to when.
async fn during(span: Duration) -> (u64, u64) {
    let from = now_us();
    tokio::time::sleep(span).await;
    (from, now_us())
}

/// A burst without, and a burst with; the extractor starts in the quiet between them, where
/// nobody is disturbed or measured.
async fn burst(rig: &Rig, most: f64, variant: &Variant) -> Outcome<Slot> {
    let around = Surroundings::of(rig, variant).await?;
    let span = Duration::from_secs(BURST);
    let began = Instant::now();
    let business = Business::start(rig, "slot", Load::Burst, most, 4 * BURST)?;
    let without = now_us();
    tokio::time::sleep_until(began + span * 2 - LEAD).await;
    let without = (without, now_us());
    let mut worker = Worker::start(rig, variant, 2, around)?;
    tokio::time::sleep_until(began + span * 2).await;
    let (with, first) = (now_us(), worker.told()?);
    tokio::time::sleep_until(began + span * 3).await;
    let quiet = worker.told()?;
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

fn gate(told: &Told) -> Value {
    told.status.pointer("/gate").cloned().unwrap_or(Value::Null)
}

/// Rows a second between two words of a worker.
#[expect(clippy::cast_precision_loss, reason = "rows and microseconds far below 2^52")]
pub(crate) fn rate(first: &Told, last: &Told) -> f64 {
    let took = last.at_us.saturating_sub(first.at_us).max(1);
    last.rows.saturating_sub(first.rows) as f64 * 1e6 / took as f64
}
