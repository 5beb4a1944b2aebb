//! Commands of the gate.

use clap::{Args, Subcommand};
use runtime::span::Span;

use super::Config;

/// The arguments of all orders to the gate.
#[derive(Debug, Args)]
pub(crate) struct OrderArgs {
    #[command(flatten)]
    pub(crate) config: Config,
    /// The reason. It is signed and kept.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Duration, for example 90s, 15m or 2h. Default: until `gate resume`.
    #[arg(long = "for", value_name = "TIME")]
    pub(crate) lasts: Option<Span>,
    /// The deciding operator. Default: the login name.
    #[arg(long, value_name = "NAME")]
    pub(crate) actor: Option<String>,
    /// Print the orders in force as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum GateCommand {
    /// Watch the running gate: signals, limits, verdict, reason, duty, next check, history.
    #[command(after_help = "Example:\n  slacktide gate watch --config config/social.toml")]
    Watch(crate::commands::gate::watch::WatchArgs),
    /// Show the gate's state and reason.
    #[command(after_help = "Example:\n  slacktide gate explain --config config/social.toml")]
    Explain(crate::commands::gate::explain::ExplainArgs),
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
    Simulate(crate::commands::gate::simulate::SimulateArgs),
    /// Forecast from the recorded history when a backlog will be processed.
    Forecast(crate::commands::gate::forecast::ForecastArgs),
}
