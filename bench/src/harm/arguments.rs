//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Measures the cost of an extraction for the concurrent business.
#[derive(Debug, Clone, Parser)]
#[command(name = "harm")]
pub(crate) struct Arguments {
    /// Run more rounds and longer slots: about 90 minutes instead of 20.
    #[arg(long)]
    pub(crate) full: bool,
    /// Rounds of every variant at each load.
    #[arg(long)]
    pub(crate) rounds: Option<usize>,
    /// Duration of a measured slot, in seconds.
    #[arg(long)]
    pub(crate) slot: Option<u64>,
    /// Only these loads: 30, 60, 85, burst; none for none.
    #[arg(long, value_delimiter = ',')]
    pub(crate) loads: Option<Vec<String>>,
    /// Only these variants: none, timer, normal, whole, kernel_idle, tuned.
    #[arg(long, value_delimiter = ',')]
    pub(crate) variants: Option<Vec<String>>,
    /// Skip the rows read when the machine is idle.
    #[arg(long)]
    pub(crate) no_slack: bool,
    /// Seed of the random order of the slots.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Rows of the extracted table.
    #[arg(long, default_value_t = 3_000_000)]
    pub(crate) rows: u64,
    /// Output folder.
    #[arg(long, default_value = "target/bench")]
    pub(crate) out: PathBuf,
    /// A file with a `[gate]` table's keys, for the variant `tuned`.
    #[arg(long, default_value = "bench/tuned.toml")]
    pub(crate) tuned: PathBuf,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

impl Arguments {
    pub(crate) fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.full { 12 } else { 3 })
    }

    pub(crate) fn slot_seconds(&self) -> u64 {
        self.slot.unwrap_or(if self.full { 12 } else { 8 })
    }
}

/// The child process to run.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// The timer-driven extractor.
    #[command(hide = true)]
    Timer(Child),
    /// Slacktide's agent.
    #[command(hide = true)]
    Agent(Child),
    /// No extraction: the variation between slots.
    #[command(hide = true)]
    None(Child),
}

/// The arguments of a child process.
#[derive(Debug, Clone, Args)]
pub(crate) struct Child {
    /// The database.
    #[arg(long)]
    pub(crate) url: String,
    /// The path of its status file.
    #[arg(long)]
    pub(crate) status: PathBuf,
    /// The keys of a `[gate]` table.
    #[arg(long)]
    pub(crate) gate: Option<PathBuf>,
    /// The idle group for itself and its backend.
    #[arg(long)]
    pub(crate) group: Option<String>,
    /// Number of feeds over the table, so that a long quiet period does not exhaust the rows.
    #[arg(long, default_value_t = 1)]
    pub(crate) feeds: u32,
    /// Interval of its status updates, in milliseconds.
    #[arg(long, default_value_t = 200)]
    pub(crate) status_interval_ms: u64,
}
