//! What may be asked for.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// What an extraction costs the business beside it.
#[derive(Debug, Clone, Parser)]
#[command(name = "harm")]
pub(crate) struct Arguments {
    /// More rounds and longer slots: about an hour and a half instead of some twenty minutes.
    #[arg(long)]
    pub(crate) full: bool,
    /// Rounds of every variant at each load.
    #[arg(long)]
    pub(crate) rounds: Option<usize>,
    /// Seconds of a measured slot.
    #[arg(long)]
    pub(crate) slot: Option<u64>,
    /// Only these loads: 30, 60, 85, burst; none for none.
    #[arg(long, value_delimiter = ',')]
    pub(crate) loads: Option<Vec<String>>,
    /// Only these variants: nobody, timer, bare, whole, kernel, tuned.
    #[arg(long, value_delimiter = ',')]
    pub(crate) variants: Option<Vec<String>>,
    /// Leave out the rows moved where there is slack.
    #[arg(long)]
    pub(crate) no_slack: bool,
    /// The order of the slots is drawn with this seed.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Rows of the table that is extracted.
    #[arg(long, default_value_t = 3_000_000)]
    pub(crate) rows: u64,
    /// Where the results go.
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

/// What the bench starts itself as.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// The timer-driven extractor.
    #[command(hide = true)]
    Timer(Child),
    /// Slacktide's agent.
    #[command(hide = true)]
    Agent(Child),
    /// Nobody: what the slots differ by themselves.
    #[command(hide = true)]
    Nobody(Child),
}

/// What a child is told.
#[derive(Debug, Clone, Args)]
pub(crate) struct Child {
    /// The database.
    #[arg(long)]
    pub(crate) url: String,
    /// Where it writes what it did.
    #[arg(long)]
    pub(crate) status: PathBuf,
    /// The keys of a `[gate]` table.
    #[arg(long)]
    pub(crate) gate: Option<PathBuf>,
    /// Puts itself and its backend into this idle group.
    #[arg(long)]
    pub(crate) group: Option<String>,
    /// The same table as so many feeds, so that a long quiet spell does not come to its end.
    #[arg(long, default_value_t = 1)]
    pub(crate) feeds: u32,
    /// How often it tells what it did, in milliseconds.
    #[arg(long, default_value_t = 200)]
    pub(crate) tell_ms: u64,
}
