//! The gate: looking at it, and ordering it.

use clap::{Args, Subcommand};
use runtime::span::Span;

use super::Config;

/// An order's words, common to all orders.
#[derive(Debug, Args)]
pub(crate) struct OrderArgs {
    #[command(flatten)]
    pub(crate) config: Config,
    /// Why. It is signed and kept.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// How long it holds, for example 90s, 15m or 2h. Left out: until `gate resume`.
    #[arg(long = "for", value_name = "TIME")]
    pub(crate) lasts: Option<Span>,
    /// Who decides. Left out: the login name.
    #[arg(long, value_name = "NAME")]
    pub(crate) actor: Option<String>,
    /// Prints what is in force as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum GateCommand {
    /// Shows the running gate, live: signals, limits, verdict, reason, duty, next check, history.
    #[command(after_help = "Example:\n  slacktide gate watch --config config/social.toml")]
    Watch(crate::commands::gate::watch::WatchArgs),
    /// Says in a sentence why the gate stands as it does now.
    #[command(after_help = "Example:\n  slacktide gate explain --config config/social.toml")]
    Explain(crate::commands::gate::explain::ExplainArgs),
    /// Shuts the gate, over the exchange, until it is taken back or its time is over. Signed and audited.
    #[command(
        after_help = "Example:\n  slacktide gate pause --config config/social.toml --reason \"year end closing\" --for 2h"
    )]
    Pause(OrderArgs),
    /// Takes pauses and limits back. The gate then opens when the core has slack, not before.
    #[command(
        after_help = "Example:\n  slacktide gate resume --config config/social.toml --reason \"closing is done\""
    )]
    Resume(OrderArgs),
    /// Bounds the share of the time that is worked. Signed and audited.
    #[command(
        after_help = "Example:\n  slacktide gate limit --config config/social.toml --duty 20% --reason \"audit week\" --for 8h"
    )]
    Limit {
        #[command(flatten)]
        order: OrderArgs,
        /// At most this share of the time, in percent: `20%` or `20`.
        #[arg(long, value_name = "PERCENT")]
        duty: String,
    },
    /// Says what another policy would have done with recorded samples.
    Simulate(crate::commands::gate::simulate::SimulateArgs),
    /// Says from the recorded history when a backlog will be through.
    Forecast(crate::commands::gate::forecast::ForecastArgs),
}
