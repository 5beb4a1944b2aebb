//! The command line.

use clap::Parser;

/// Measures polls and writes over the HTTP gateway.
#[derive(Debug, Parser)]
#[command(name = "bench-gateway")]
pub(crate) struct Arguments {
    /// How long, in seconds.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub(crate) seconds: u64,
    /// Polls per second, of all connections together.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) rate: u32,
    /// Connections that poll.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=4_000))]
    pub(crate) connections: u32,
    /// Connections that write, each in a lane of its own; 0 for none.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(0..=64))]
    pub(crate) writers: u32,
}
