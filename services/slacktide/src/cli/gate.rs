//! Commands of the gate.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use runtime::span::Span;

use super::Config;
use super::decision::Decision;

/// The arguments of all orders to the gate.
#[derive(Debug, Args)]
pub(crate) struct OrderArgs {
    #[command(flatten)]
    pub(crate) config: Config,
    #[command(flatten)]
    pub(crate) decision: Decision,
    /// Duration, for example 90s, 15m or 2h. Default: until `gate resume`.
    #[arg(long = "for", value_name = "TIME")]
    pub(crate) lasts: Option<Span>,
    /// Print the orders in force as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    pub(crate) config: Config,
    /// Print the gate's status as one JSON object per poll.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    pub(crate) config: Config,
    /// Print the gate's status and the sentences as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct SimulateArgs {
    /// The policy to simulate: an agent's file, or one with only a [gate] table.
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: PathBuf,
    /// Recorded samples: a file, or the folder of `[gate.record]`.
    #[arg(long, value_name = "PATH")]
    pub(crate) samples: PathBuf,
    /// Rows per second of full work. Default: as measured in the recording.
    #[arg(long, value_name = "ROWS")]
    pub(crate) rows_per_second: Option<f64>,
    /// Simulate kernel-idle priority of the agent.
    #[arg(long)]
    pub(crate) kernel: bool,
    /// Print the figures as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct ForecastArgs {
    /// Recorded samples: a file, or the folder of `[gate.record]`.
    #[arg(long, value_name = "PATH")]
    pub(crate) samples: PathBuf,
    /// The backlog, in rows.
    #[arg(long)]
    pub(crate) rows: u64,
    /// Rows per second of full work. Default: as measured in the recording.
    #[arg(long, value_name = "ROWS")]
    pub(crate) rows_per_second: Option<f64>,
    /// The start time. Default: now.
    #[arg(long, value_name = "TIME")]
    pub(crate) now: Option<Timestamp>,
    /// Print the forecast as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum GateCommand {
    /// Watch the running gate: signals, limits, verdict, reason, duty, next check, history.
    #[command(after_help = "Example:\n  slacktide gate watch --config config/social.toml")]
    Watch(WatchArgs),
    /// Show the gate's state and reason.
    #[command(after_help = "Example:\n  slacktide gate explain --config config/social.toml")]
    Explain(ExplainArgs),
    /// Pause the gate until the order is revoked or expires. Signed and audited.
    #[command(
        after_help = "Example:\n  slacktide gate pause --config config/social.toml --reason \"year end closing\" --for 2h"
    )]
    Pause(OrderArgs),
    /// Revoke pauses and limits. The gate then opens when the core has slack.
    #[command(
        after_help = "Example:\n  slacktide gate resume --config config/social.toml --reason \"closing is done\""
    )]
    Resume(OrderArgs),
    /// Cap the duty cycle. Signed and audited.
    #[command(
        after_help = "Example:\n  slacktide gate limit --config config/social.toml --duty 20% --reason \"audit week\" --for 8h"
    )]
    Limit {
        #[command(flatten)]
        order: OrderArgs,
        /// The maximum duty cycle in percent: `20%` or `20`.
        #[arg(long, value_name = "PERCENT")]
        duty: String,
    },
    /// Simulate another policy on recorded samples.
    Simulate(SimulateArgs),
    /// Forecast from the recorded history when a backlog will be processed.
    Forecast(ForecastArgs),
}
