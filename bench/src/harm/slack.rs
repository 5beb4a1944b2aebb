//! Rows moved where there is slack: on an idle machine, in a quiet spell after a burst; and what
//! a shut gate costs.

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
    for round in 0..2 {
        // The timer first, then last: what it is compared with stands on both sides.
        let order: Vec<&Variant> = if round == 0 {
            variants.iter().collect()
        } else {
            variants.iter().rev().collect()
        };
        for variant in order.into_iter().filter(|variant| variant.kind != Kind::Nobody) {
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
        let mut worker = Worker::start(rig, variant, 8)?;
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
    let mut worker = Worker::start(rig, variant, 8)?;
    tokio::time::sleep(LEAD).await;
    let first = worker.told()?;
    tokio::time::sleep(span).await;
    let last = worker.stop().await?;
    Ok((first, last))
}
