//! What an extraction costs the business beside it: Slacktide, the timer-driven extractor of the
//! prior art, and nothing at all, in interleaved slots of one run.
//!
//! The business is pgbench at a share of its own maximum rate. Each slot of an extractor stands
//! right after one without, and is compared with it; which extractor comes next is drawn
//! by lot. The exchange's and the store's CPU are kept out, as they are on other hosts in the
//! field: both extractors hand their chunks to a transport that only acknowledges.
//!
//! - [`arguments`] what may be asked for; [`plan`] the loads, the variants, the order of the slots
//! - [`rig`] the database; [`business`] pgbench; [`latency`] its log; [`stats`] ratios and their intervals
//! - [`timer`] the prior art; [`agent`] Slacktide; [`acknowledge`] the transport; [`worker`] a child of either
//! - [`whole`] the real binary with exchange, poller and store on the same machine
//! - [`slots`] runs it; [`slack`] rows moved where there is slack
//! - [`report`] the table and `harm.json`; [`plot`] the picture
#![allow(clippy::print_stdout, reason = "its result is for a person at a terminal")]

mod acknowledge;
mod agent;
mod arguments;
#[path = "../path/binary.rs"]
mod binary;
mod business;
#[path = "../exchange.rs"]
mod exchange;
mod latency;
mod plan;
mod plot;
mod report;
mod rig;
mod slack;
mod slots;
mod stats;
mod timer;
mod whole;
mod worker;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};

/// What went wrong, for a person.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if matches!(&arguments.command, Some(Command::Agent(_))) {
        // As the real agent does, before the runtime makes threads.
        let _ = priority::own::lower();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(run(&arguments)),
        Err(error) => Err(error.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("bench harm: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Outcome<()> {
    match &arguments.command {
        Some(Command::Timer(child)) => timer::run(child).await,
        Some(Command::Agent(child)) => agent::run(child).await,
        Some(Command::Nobody(child)) => nobody(child).await,
        None => tokio::select! {
            done = bench(arguments) => done,
            _ = tokio::signal::ctrl_c() => Err("interrupted; nothing is left running".into()),
        },
    }
}

/// Reads nothing: the slots of this one show how much the slots differ by themselves.
async fn nobody(child: &arguments::Child) -> Outcome<()> {
    worker::Told::now(0, serde_json::Value::Null).write(&child.status)?;
    worker::asked_to_end().await
}

async fn measure(
    rig: &rig::Rig,
    arguments: &Arguments,
    most: f64,
    variants: &[plan::Variant],
    report: &mut report::Report,
) -> Outcome<()> {
    slack::run(rig, arguments, most, variants, report).await?;
    for load in (1..).zip(plan::loads(arguments)) {
        slots::run(rig, arguments, most, load, variants, report).await?;
    }
    Ok(())
}

async fn bench(arguments: &Arguments) -> Outcome<()> {
    // Before anything is measured: a place that cannot be written to is told now and not in twenty minutes.
    let out = &arguments.out;
    std::fs::create_dir_all(out)
        .map_err(|error| format!("the results' folder {}: {error}", out.display()))?;
    let mut rig = rig::Rig::start(arguments.rows).await?;
    println!("finding the business's highest rate");
    let most = business::highest(&rig).await?;
    println!("{most:.0} transactions a second at most; seed {}", arguments.seed);
    let mut report = report::Report::new(arguments, most);
    let variants = plan::variants(arguments, &rig)?;
    // The binary is built before anything is measured.
    let binary = variants
        .iter()
        .any(|variant| variant.kind == plan::Kind::Whole)
        .then(binary::built)
        .transpose()?;
    rig.binary = binary;
    let measured = measure(&rig, arguments, most, &variants, &mut report).await;
    plan::clear(&variants);
    measured?;
    println!("\n{}", report.table());
    for path in report.write()? {
        println!("written to {}", path.display());
    }
    Ok(())
}
