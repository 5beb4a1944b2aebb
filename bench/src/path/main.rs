//! Rows a second over the whole path, and for each stage alone, side by side in one run.
//!
//! Everything runs on this machine against servers of its own, with fsync on: two PostgreSQL
//! clusters, and a nats-server with the shipped configuration. The whole path is the release
//! binary, one `social` and one or more `commercial`, from configuration files as a user
//! writes them. What is compared is measured in turn: each round runs everything once, and each
//! round begins with another one.
//!
//! - [`arguments`] what may be asked for
//! - [`rows`] what is moved; [`rig`] the servers, keys and accounts; [`binary`] the program
//! - [`stages`] one part of the path alone, and the ceilings that nothing can pass
//! - [`whole`] the path, by [`settings`] files and real processes
//! - [`process`] memory and CPU time of a process, by the kernel's word
//! - [`report`] medians, ratios, the table and `path.json`
#![allow(clippy::print_stdout, reason = "its result is for a person at a terminal")]

mod arguments;
mod binary;
#[path = "../exchange.rs"]
mod exchange;
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
use stages::Freight;

/// What went wrong, for a person.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("bench path: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Outcome<()> {
    let (counts, subjects) = (arguments.counts(), arguments.subjects());
    let needs_binary = subjects.contains(&Subject::Whole);
    let binary = if needs_binary {
        Some(binary::built()?)
    } else {
        None
    };
    println!("starting two PostgreSQL clusters and a nats-server, all with fsync on");
    let rig = Rig::start(counts.rows, 1 + counts.rounds).await?;
    println!("reading {} rows once, to have chunks for the stages", counts.rows);
    let freight = Freight::load(&rig, counts.rows).await?;
    let mut report = Report::new(counts, &freight);
    println!("{}", report.head());

    if let Some(binary) = &binary {
        let quarter = whole::run(&rig, binary, counts.rows / 4, counts.pollers, 0).await?;
        println!("a quarter of the rows: {quarter}");
        report.quarter(&quarter);
    }
    for round in 1..=counts.rounds {
        for place in 0..subjects.len() {
            let subject = subjects[(place + round - 1) % subjects.len()];
            let name = subject.name();
            if let (Subject::Whole, Some(binary)) = (subject, &binary) {
                let run = whole::run(&rig, binary, counts.rows, counts.pollers, round).await?;
                println!("round {round}: {name:<9} {run}");
                report.whole(&run);
            } else {
                let took = stages::run(subject, &rig, &freight, round).await?;
                println!(
                    "round {round}: {name:<9} {:>9.0} rows/s",
                    report::rate(freight.rows, took)
                );
                report.stage(subject, freight.rows, took);
            }
        }
    }
    println!("\n{}", report.table());
    let path = report.write()?;
    println!("written to {}", path.display());
    report.verdict()
}
