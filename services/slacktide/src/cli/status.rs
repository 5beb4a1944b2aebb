//! The status of both agents and the exchange.

use clap::Args;
use schemas::name::FeedName;

use super::Config;

/// Shown by `--help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes: 0 all is well (flowing, caught up, waiting for slack, held as ordered); 5 the exchange cannot be
reached; 9 a lane is stopped or behind, or the agent does not run; 2 and 3 as everywhere. With --published: 9 a
report is overdue or not trusted, or there is none.

Example:
  slacktide status --config config/social.toml --watch";

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) config: Config,
    /// Include this feed; for an insurer whose agent does not run. May be given several times.
    #[arg(long, value_name = "NAME")]
    pub(crate) feed: Vec<FeedName>,
    /// The bureau's name at the exchange, for an insurer.
    #[arg(long, value_name = "NAME", default_value = "bureau")]
    pub(crate) bureau: schemas::name::PartyName,
    /// Show what the party's agents last published at the exchange, verified; for an auditor those of every party.
    #[arg(long, conflicts_with_all = ["feed", "watch"])]
    pub(crate) published: bool,
    /// Print JSON; with --watch one object per line and refresh.
    #[arg(long)]
    pub(crate) json: bool,
    /// Refresh every second, until Ctrl-C. Each change of a lane's state stays above the screen.
    #[arg(long)]
    pub(crate) watch: bool,
}
