//! Measures the cost of an extraction for the concurrent business: Slacktide, the timer-driven extractor of the prior
//! art, and no extractor, in interleaved slots of one run.
//!
//! The business is pgbench at a share of its maximum rate. Each slot with an extractor is compared with adjacent slots
//! without one; the order of the extractors is random. The CPU of exchange and store is excluded, as they are on other
//! hosts in production: both extractors send their chunks to a transport that only acknowledges.
//!
//! - [`arguments`] the command line; [`plan`] the loads, the variants, the order of the slots
//! - [`rig`] the database; [`business`] pgbench; [`latency`] its log; [`stats`] ratios and their intervals
//! - [`timer`] the prior art; [`agent`] Slacktide; [`worker`] a child process of either
//! - [`whole`] the real binary with exchange, poller and store on the same machine
//! - [`slots`] runs the slots; [`slack`] rows read when the machine is idle
//! - [`report`] the table and `harm.json`; [`plot`] the diagram
#![allow(clippy::print_stdout, reason = "its result is for a person at a terminal")]

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

/// An error for display.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if matches!(&arguments.command, Some(Command::Agent(_))) {
        // Like the real agent, before the runtime starts threads.
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
        Some(Command::None(child)) => read_nothing(child).await,
        None => tokio::select! {
            done = bench(arguments) => done,
            _ = tokio::signal::ctrl_c() => Err("interrupted; nothing is left running".into()),
        },
    }
}

/// Reads nothing: its slots show the variation between slots.
async fn read_nothing(child: &arguments::Child) -> Outcome<()> {
    worker::WorkerStatus::now(0, serde_json::Value::Null).write(&child.status)?;
    worker::termination_requested().await
}

async fn measure(
    rig: &rig::Rig,
    arguments: &Arguments,
    max_rate: f64,
    variants: &[plan::Variant],
    report: &mut report::Report,
) -> Outcome<()> {
    slack::run(rig, arguments, max_rate, variants, report).await?;
    for load in (1..).zip(plan::loads(arguments)) {
        slots::run(rig, arguments, max_rate, load, variants, report).await?;
    }
    Ok(())
}

async fn bench(arguments: &Arguments) -> Outcome<()> {
    // Before any measurement, so that an unwritable folder is reported at once.
    let out = &arguments.out;
    std::fs::create_dir_all(out)
        .map_err(|error| format!("the results' folder {}: {error}", out.display()))?;
    let mut rig = rig::Rig::start(arguments.rows).await?;
    println!("determining the maximum rate of the business");
    let max_rate = business::highest(&rig).await?;
    println!(
        "maximum {max_rate:.0} transactions per second; seed {}",
        arguments.seed
    );
    let mut report = report::Report::new(arguments, max_rate);
    let variants = plan::variants(arguments, &rig)?;
    // The binary is built before any measurement.
    let binary = variants
        .iter()
        .any(|variant| variant.kind == plan::Kind::Whole)
        .then(binary::built)
        .transpose()?;
    rig.binary = binary;
    let measured = measure(&rig, arguments, max_rate, &variants, &mut report).await;
    plan::clear(&variants);
    measured?;
    println!("\n{}", report.table());
    for path in report.write()? {
        println!("written to {}", path.display());
    }
    Ok(())
}
