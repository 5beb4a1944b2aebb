//! The administrator's words about streams and consumers.

use std::path::PathBuf;

use clap::Subcommand;

use super::{Config, PartyCommand};

#[derive(Debug, Subcommand)]
pub(crate) enum ExchangeCommand {
    /// Makes streams and consumers as the files say, after showing what differs.
    #[command(
        after_help = "Examples:\n  slacktide exchange apply --config config/admin.toml --dir nats/ --dry-run\n  slacktide exchange apply --config config/admin.toml --recipient insurer-a --yes"
    )]
    Apply {
        #[command(flatten)]
        config: Config,
        /// The folder that holds streams/ and consumers/. Left out: the files shipped in this program.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
        /// With the shipped files: for whom consumers are made. May be given several times.
        #[arg(
            long,
            value_name = "NAME",
            default_value = "insurer-a",
            conflicts_with = "dir"
        )]
        recipient: Vec<String>,
        /// Does it without asking.
        #[arg(long)]
        yes: bool,
        /// Makes changes that could destroy something, too.
        #[arg(long)]
        force: bool,
        /// Shows what differs and changes nothing.
        #[arg(long)]
        dry_run: bool,
        /// Prints the changes as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Shows streams and consumers with what they hold.
    #[command(after_help = "Example:\n  slacktide exchange status --config config/admin.toml")]
    Status {
        #[command(flatten)]
        config: Config,
        /// Prints it as JSON.
        #[arg(long)]
        json: bool,
    },
    /// List, add and remove the parties of the exchange, and change their connection keys.
    #[command(subcommand)]
    Party(PartyCommand),
}
