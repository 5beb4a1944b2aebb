//! Rows moved where there is slack: on an idle machine, in a quiet spell after a burst; what
//! a shut gate costs, and how soon it ends our last work on the source.

use std::time::Duration;

use crate::Outcome;
use crate::arguments::Arguments;
use crate::business::{BURST, Business};
use crate::plan::{Kind, Load, Variant};
use crate::report::Report;
use crate::rig::Rig;
use crate::slots::rate;
use crate::worker::{Told, Worker};

const IDLE: Duration = Duration::from_secs(8);

/// A quiet spell.
const SPELL: Duration = Duration::from_secs(60);

/// From the start of an extractor until it works.
const LEAD: Duration = Duration::from_secs(5);

/// How often the gate is shut in the middle of work.
const SHUTS: u32 = 40;

/// A stop file comes and goes while the business works at 85 %, where our backend gets the processor last, and the
/// gate is told to work in spite of that load: the hardest case for giving way.
async fn yields(rig: &Rig, most: f64, variants: &[Variant], report: &mut Report) -> Outcome<()> {
    let (stop, gate) = (rig.folder().join("stop"), rig.folder().join("yield.toml"));
    let text = format!(
        "hold = \"100ms\"\ngood_samples = 1\n[signals.host_cpu]\nenabled = false\n\
         [signals.stop_file]\npath = {stop:?}\n[duty]\nprobation = \"100ms\"\n"
    );
    std::fs::write(&gate, text)?;
    let agents = variants
        .iter()
        .filter(|variant| ["bare", "kernel"].contains(&variant.name));
    for variant in agents {
        let shutting = Variant {
            gate: Some(gate.clone()),
            ..variant.clone()
        };
        let seconds = ((OPEN + SHUT) * SHUTS).as_secs() + 5;
        let business = Business::start(rig, "yield", Load::Steady(85), most, seconds)?;
        let mut worker = Worker::start(rig, &shutting, 1, None)?;
        for _ in 0..SHUTS {
            let _ = std::fs::remove_file(&stop);
            tokio::time::sleep(OPEN).await;
            std::fs::write(&stop, "")?;
            tokio::time::sleep(SHUT).await;
        }
        let _ = worker.told()?;
        let last = worker.stop().await?;
        business.ended().await?;
        report.yields(variant.name, &last.status);
    }
    Ok(())
}

/// Long enough to open, pass probation and work.
const OPEN: Duration = Duration::from_millis(800);

/// Long enough to be seen shut.
const SHUT: Duration = Duration::from_millis(300);

/// Measures all of it.
pub(crate) async fn run(
    rig: &Rig,
    arguments: &Arguments,
    most: f64,
    variants: &[Variant],
    report: &mut Report,
) -> Outcome<()> {
    if arguments.no_slack {
        return Ok(());
    }
    let stop = rig.folder().join("stop");
    let shut = rig.folder().join("shut.toml");
    std::fs::write(&stop, "")?;
    std::fs::write(&shut, format!("[signals.stop_file]\npath = {stop:?}\n"))?;
    let variant = Variant {
        name: "shut",
        kind: Kind::Agent,
        gate: Some(shut),
        group: None,
    };
    let (first, last) = span(rig, &variant, IDLE).await?;
    let micros = last.at_us.saturating_sub(first.at_us).max(1);
    report.shut(last.cpu_us.saturating_sub(first.cpu_us), micros, last.rows);
    yields(rig, most, variants, report).await?;
    for round in 0..2 {
        // The timer first, then last: what it is compared with stands on both sides.
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
        println!("a quiet spell of {} s: {}", SPELL.as_secs(), variant.name);
        let business = Business::start(rig, "spell", Load::Burst, most, 2 * BURST)?;
        let mut worker = Worker::start(rig, variant, 8, None)?;
        tokio::time::sleep(Duration::from_secs(BURST)).await;
        let first = worker.told()?;
        tokio::time::sleep(SPELL).await;
        let last = worker.stop().await?;
        business.ended().await?;
        report.spell(variant.name, rate(&first, &last));
    }
    Ok(())
}

async fn span(rig: &Rig, variant: &Variant, span: Duration) -> Outcome<(Told, Told)> {
    let mut worker = Worker::start(rig, variant, 8, None)?;
    tokio::time::sleep(LEAD).await;
    let first = worker.told()?;
    tokio::time::sleep(span).await;
    let last = worker.stop().await?;
    Ok((first, last))
}
