//! Polls and writes over the HTTP gateway for a while, at a stated rate: latencies, statuses, memory and CPU time.
//!
//! A private nats-server with fsync and the shipped configuration, and the release binary's `gateway run` over TLS. Readers of
//! several parties poll a feed over many connections that stay open, at a rate that does not depend on the answers. Writers
//! publish as fast as the exchange acknowledges, each in a lane of its own. It fails on any response of the class 5xx, on a
//! failed connection, and on memory that grows.
//!
//! - [`arguments`] the command line
//! - [`site`] exchange, chunks, gateway and tokens
//! - [`client`] a connection that stays open, and what it sends
//! - [`load`] readers and writers
//! - [`tally`] latencies and statuses; [`usage`] memory and CPU time of the processes
//! - [`report`] the table and the verdict
#![allow(clippy::print_stdout, reason = "its result is for a person at a terminal")]

mod arguments;
#[path = "../path/binary.rs"]
mod binary;
mod client;
#[path = "../exchange.rs"]
#[allow(dead_code, reason = "the path's benchmark uses the rest of it")]
mod exchange;
mod load;
mod report;
mod site;
mod tally;
mod usage;

use std::process::ExitCode;

use clap::Parser;

use arguments::Arguments;
use site::Site;

/// An error for display.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("bench gateway: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Outcome<()> {
    let binary = binary::built()?;
    println!("starting a nats-server with fsync and a gateway over TLS");
    let site = Site::start(&binary).await?;
    println!(
        "{} s: {} polls a second over {} connections of {} parties, {} writers",
        arguments.seconds,
        arguments.rate,
        arguments.connections,
        site::READERS.len(),
        arguments.writers
    );
    let result = load::run(&site, arguments).await?;
    println!("{}", report::table(&result));
    println!("{}", report::verdict(&result)?);
    Ok(())
}
