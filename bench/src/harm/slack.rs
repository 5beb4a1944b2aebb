//! Rows read on an idle machine and in a quiet period after a burst; the cost of a closed gate, and its time to yield.

use std::time::Duration;

use crate::Outcome;
use crate::arguments::Arguments;
use crate::business::{BURST, Business};
use crate::plan::{Kind, Load, Variant};
use crate::report::Report;
use crate::rig::Rig;
use crate::slots::rate;
use crate::worker::{Worker, WorkerStatus};

const IDLE: Duration = Duration::from_secs(8);

/// The duration of a quiet period.
const QUIET_PERIOD: Duration = Duration::from_secs(60);

/// Time from the start of an extractor until it works.
const LEAD_TIME: Duration = Duration::from_secs(5);

/// How often the gate is closed during work.
const CLOSINGS: u32 = 40;

/// Creates and removes a stop file while the business runs at 85 %, where our backend is scheduled last, with a gate
/// that ignores that load: the worst case for yielding.
async fn yields(rig: &Rig, max_rate: f64, variants: &[Variant], report: &mut Report) -> Outcome<()> {
    let (stop, gate) = (rig.folder().join("stop"), rig.folder().join("yield.toml"));
    let text = format!(
        "hold = \"100ms\"\ngood_samples = 1\n[signals.host_cpu]\nenabled = false\n\
         [signals.stop_file]\npath = {stop:?}\n[duty]\nprobation = \"100ms\"\n"
    );
    std::fs::write(&gate, text)?;
    let agents = variants
        .iter()
        .filter(|variant| ["normal", "kernel_idle"].contains(&variant.name));
    for variant in agents {
        let shutting = Variant {
            gate: Some(gate.clone()),
            ..variant.clone()
        };
        let seconds = ((OPEN + CLOSED) * CLOSINGS).as_secs() + 5;
        let business = Business::start(rig, "yield", Load::Steady(85), max_rate, seconds)?;
        let mut worker = Worker::start(rig, &shutting, 1, None)?;
        for _ in 0..CLOSINGS {
            let _ = std::fs::remove_file(&stop);
            tokio::time::sleep(OPEN).await;
            std::fs::write(&stop, "")?;
            tokio::time::sleep(CLOSED).await;
        }
        let _ = worker.status()?;
        let last = worker.stop().await?;
        business.ended().await?;
        report.yields(variant.name, &last.status);
    }
    Ok(())
}

/// Time to open, pass probation and work.
const OPEN: Duration = Duration::from_millis(800);

/// Time to detect the closing.
const CLOSED: Duration = Duration::from_millis(300);

/// Runs all measurements.
pub(crate) async fn run(
    rig: &Rig,
    arguments: &Arguments,
    max_rate: f64,
    variants: &[Variant],
    report: &mut Report,
) -> Outcome<()> {
    if arguments.no_slack {
        return Ok(());
    }
    let stop = rig.folder().join("stop");
    let closed = rig.folder().join("closed.toml");
    std::fs::write(&stop, "")?;
    std::fs::write(&closed, format!("[signals.stop_file]\npath = {stop:?}\n"))?;
    let variant = Variant {
        name: "closed",
        kind: Kind::Agent,
        gate: Some(closed),
        group: None,
    };
    let (first, last) = span(rig, &variant, IDLE).await?;
    let micros = last.at_us.saturating_sub(first.at_us).max(1);
    report.closed(last.cpu_us.saturating_sub(first.cpu_us), micros, last.rows);
    yields(rig, max_rate, variants, report).await?;
    for round in 0..2 {
        // The timer runs first, then last, so that it is on both sides of the others.
        let order: Vec<&Variant> = if round == 0 {
            variants.iter().collect()
        } else {
            variants.iter().rev().collect()
        };
        for variant in order
            .into_iter()
            .filter(|variant| [Kind::Timer, Kind::Agent].contains(&variant.kind))
        {
            let (first, last) = span(rig, variant, IDLE).await?;
            let gate = last.status.pointer("/gate").cloned().unwrap_or_default();
            report.idle(variant.name, rate(&first, &last), &gate);
        }
    }
    let spells = variants
        .iter()
        .filter(|variant| variant.kind == Kind::Agent && (arguments.full || variant.name != "tuned"));
    for variant in spells {
        println!("quiet period of {} s: {}", QUIET_PERIOD.as_secs(), variant.name);
        let business = Business::start(rig, "spell", Load::Burst, max_rate, 2 * BURST)?;
        let mut worker = Worker::start(rig, variant, 8, None)?;
        tokio::time::sleep(Duration::from_secs(BURST)).await;
        let first = worker.status()?;
        tokio::time::sleep(QUIET_PERIOD).await;
        let last = worker.stop().await?;
        business.ended().await?;
        report.spell(variant.name, rate(&first, &last));
    }
    Ok(())
}

async fn span(rig: &Rig, variant: &Variant, span: Duration) -> Outcome<(WorkerStatus, WorkerStatus)> {
    let mut worker = Worker::start(rig, variant, 8, None)?;
    tokio::time::sleep(LEAD_TIME).await;
    let first = worker.status()?;
    tokio::time::sleep(span).await;
    let last = worker.stop().await?;
    Ok((first, last))
}
