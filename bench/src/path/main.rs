//! Measures rows per second over the whole path, and for each stage alone, in one run.
//!
//! Everything runs on this machine against private servers with fsync: two PostgreSQL clusters, and a nats-server with
//! the shipped configuration. The whole path is the release binary, one `social` and one or more `commercial`, with
//! configuration files like a user's. The subjects are measured in turn: each round runs all of them once, and starts
//! with another one.
//!
//! - [`arguments`] the command line
//! - [`rows`] the rows; [`rig`] the servers, keys and accounts; [`binary`] the program
//! - [`gateway_process`] the gateway, as a process of its own
//! - [`stages`] the stages alone, and the database ceilings
//! - [`whole`] the whole path with [`settings`] files and real processes
//! - [`process`] memory and CPU time of a process
//! - [`report`] medians, ratios, the table and `path.json`
#![allow(clippy::print_stdout, reason = "its result is for a person at a terminal")]

mod arguments;
mod binary;
#[path = "../exchange.rs"]
mod exchange;
mod gateway_process;
#[allow(dead_code, reason = "bench-peers uses the rest")]
mod process;
mod report;
mod rig;
mod rows;
mod settings;
mod stages;
mod whole;

use std::process::ExitCode;

use clap::Parser;

use arguments::Arguments;
use report::{Report, Subject};
use rig::Rig;
use settings::Transport;
use stages::Payload;

/// An error for display.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match &arguments.serve_gateway {
        Some(folder) => gateway_process::serve(folder).await,
        None => run(&arguments).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("bench path: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Outcome<()> {
    let (counts, subjects) = (arguments.counts(), arguments.subjects());
    let has_gateway = subjects.contains(&Subject::Https);
    let needs_binary = has_gateway || subjects.contains(&Subject::Whole);
    let binary = if needs_binary {
        Some(binary::built()?)
    } else {
        None
    };
    println!("starting two PostgreSQL clusters and a nats-server, all with fsync on");
    // Each run of the whole path needs a recipient of its own.
    let runs = if has_gateway {
        1 + 2 * counts.rounds
    } else {
        1 + counts.rounds
    };
    let rig = Rig::start(counts.rows, runs, has_gateway, &[]).await?;
    println!("reading {} rows once, as chunks for the stages", counts.rows);
    let payload = Payload::load(&rig, counts.rows).await?;
    let mut report = Report::new(counts, &payload);
    println!("{}", report.head());

    if let Some(binary) = &binary {
        let quarter = whole::run(
            &rig,
            binary,
            counts.rows / 4,
            counts.pollers,
            (Transport::Nats, 0),
        )
        .await?;
        println!("a quarter of the rows: {quarter}");
        report.quarter(&quarter);
    }
    for round in 1..=counts.rounds {
        for place in 0..subjects.len() {
            let subject = subjects[(place + round - 1) % subjects.len()];
            let name = subject.name();
            let transport = match subject {
                Subject::Whole => Some((Transport::Nats, round)),
                Subject::Https => Some((Transport::Https, counts.rounds + round)),
                _ => None,
            };
            if let (Some(transport), Some(binary)) = (transport, &binary) {
                let run = whole::run(&rig, binary, counts.rows, counts.pollers, transport).await?;
                println!("round {round}: {name:<9} {run}");
                report.whole(&run);
            } else {
                let took = stages::run(subject, &rig, &payload, round).await?;
                println!(
                    "round {round}: {name:<9} {:>9.0} rows/s",
                    report::rate(payload.rows, took)
                );
                report.stage(subject, payload.rows, took);
            }
        }
    }
    println!("\n{}", report.table());
    let path = report.write()?;
    println!("written to {}", path.display());
    report.verdict()
}
