//! Measures Slacktide next to what comes with PostgreSQL, on the same rows and servers, in interleaved rounds.
//!
//! Two workloads: the initial copy of a table, next to `psql COPY | COPY` and the initial copy of logical replication; and
//! changes, next to the apply of logical replication: of the changed rows 30 % exist at the receiver, 5 % are deletes, the
//! rest is new. Each tool is timed from its start to the last visible row, and core and receiver are compared afterwards.
//! Slacktide is the release binary with configuration files like a user's, over NATS and over TLS through a gateway.
//!
//! - [`arguments`] the command line; [`peer`] the tools and what is measured
//! - [`copy`] `psql`; [`logical`] logical replication; [`changes`] the changes
//! - [`report`] the table and `peers.json`; [`stats`] ratios and their intervals
//! - the other modules are those of `bench-path` and `bench-harm`
#![allow(clippy::print_stdout, reason = "its result is for a person at a terminal")]

mod arguments;
#[path = "../path/binary.rs"]
mod binary;
mod changes;
mod copy;
#[path = "../exchange.rs"]
mod exchange;
#[path = "../path/gateway_process.rs"]
mod gateway_process;
mod logical;
mod peer;
#[path = "../path/process.rs"]
mod process;
mod report;
#[path = "../path/rig.rs"]
#[allow(dead_code, reason = "bench-path uses the rest")]
mod rig;
#[path = "../path/rows.rs"]
#[allow(dead_code, reason = "bench-path uses the rest")]
mod rows;
#[path = "../path/settings.rs"]
mod settings;
#[path = "../harm/stats.rs"]
mod stats;
#[path = "../path/whole.rs"]
#[allow(dead_code, reason = "bench-path uses the rest")]
mod whole;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Workload};
use peer::{Measurement, Peer};
use report::Report;
use rig::Rig;
use settings::Transport;

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
            println!("bench peers: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Outcome<()> {
    let binary = binary::built()?;
    // Changes come in transactions of a thousand.
    let (rows, rounds) = (arguments.rows / 1_000 * 1_000, usize::from(arguments.rounds));
    println!("starting two PostgreSQL clusters and a nats-server, all with fsync on");
    // Each run of Slacktide needs a recipient of its own: two transports, two workloads.
    let rig = Rig::start(rows, 4 * rounds, true, &[("wal_level", "logical")]).await?;
    // Otherwise an enabled subscription waits up to five seconds for its worker.
    let sink = rig.sink.admin();
    sink.execute("ALTER SYSTEM SET wal_retrieve_retry_interval = '100ms'")
        .await;
    sink.execute("SELECT pg_reload_conf()").await;
    let mut report = Report::new(rows, rounds);
    let mut recipient = 0;
    for workload in arguments.workloads() {
        let peers = workload.peers();
        for round in 0..rounds {
            for place in 0..peers.len() {
                let peer = peers[(place + round) % peers.len()];
                let measured = measure(&rig, &binary, workload, peer, &mut recipient, rows).await?;
                println!("round {}: {:<8} {measured}", round + 1, workload.name());
                report.add(workload, round, measured);
            }
        }
    }
    println!("\n{}", report.table());
    println!("written to {}", report.write()?.display());
    Ok(())
}

async fn measure(
    rig: &Rig,
    binary: &Path,
    workload: Workload,
    peer: Peer,
    recipient: &mut usize,
    rows: u64,
) -> Outcome<Measurement> {
    let ours = match peer {
        Peer::Copy => return copy::run(rig, rows).await,
        Peer::Logical => {
            return match workload {
                Workload::Initial => logical::initial(rig, rows).await,
                Workload::Changes => changes::logical(rig, rows).await,
            };
        }
        Peer::Nats => Transport::Nats,
        Peer::Https => Transport::Https,
    };
    let number = std::mem::replace(recipient, *recipient + 1);
    let run = match workload {
        Workload::Initial => whole::run(rig, binary, rows, 1, (ours, number)).await?,
        Workload::Changes => changes::ours(rig, binary, rows, (ours, number)).await?,
    };
    Ok(Measurement::of_run(peer, &run))
}
