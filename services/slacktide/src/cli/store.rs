//! Commands about an insurer's store.

use clap::{Args, Subcommand};

use super::Config;
use super::decision::NamedDecision;

/// The store commands.
#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Accept this store in place of the one that signed the last receipts; with --feed, accept a table's rows as they are.
    /// Signed and audited.
    #[command(
        after_help = "Examples:\n  a new database replaces a lost one:\n  slacktide store accept --actor li.na --reason \"moved to db2\" --config config/commercial.toml\n  rows were deleted on purpose:\n  slacktide store accept --feed setl --actor li.na --reason \"older than ten years\" --config config/commercial.toml"
    )]
    Accept(AcceptArgs),
    /// Fetch confirmed answers again that are no longer stored.
    #[command(after_help = "Example:\n  slacktide store refill-answers --config config/commercial.toml")]
    RefillAnswers {
        #[command(flatten)]
        config: Config,
    },
}

/// The arguments of `accept`.
#[derive(Debug, Args)]
pub(crate) struct AcceptArgs {
    /// Accept the rows of this feed's table as they are, instead of the whole store.
    #[arg(long, value_name = "NAME")]
    pub(crate) feed: Option<String>,
    #[command(flatten)]
    pub(crate) decision: NamedDecision,
    #[command(flatten)]
    pub(crate) config: Config,
}
