//! Commands of the exchange's administrator.

use std::path::PathBuf;

use clap::Subcommand;
use runtime::span::Span;

use super::{Config, PartyCommand};

#[derive(Debug, Subcommand)]
pub(crate) enum ExchangeCommand {
    /// Show how streams and consumers differ from the files, then apply the files.
    #[command(
        after_help = "Examples:\n  slacktide exchange apply --config config/admin.toml --dir nats/ --dry-run\n  slacktide exchange apply --config config/admin.toml --recipient insurer-a --yes"
    )]
    Apply {
        #[command(flatten)]
        config: Config,
        /// The folder with streams/ and consumers/. Default: the files shipped in this program.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
        /// With the shipped files: a recipient that gets consumers. May be given several times.
        #[arg(
            long,
            value_name = "NAME",
            default_value = "insurer-a",
            conflicts_with = "dir"
        )]
        recipient: Vec<String>,
        /// Apply without confirmation.
        #[arg(long)]
        yes: bool,
        /// Apply destructive changes, too.
        #[arg(long)]
        force: bool,
        /// Wait up to this long for an exchange that is starting, for example 60s.
        #[arg(long, value_name = "TIME", default_value = "0s")]
        wait: Span,
        /// Show the differences and change nothing.
        #[arg(long)]
        dry_run: bool,
        /// Print the changes as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show the streams and consumers with their contents.
    #[command(after_help = "Example:\n  slacktide exchange status --config config/admin.toml")]
    Status {
        #[command(flatten)]
        config: Config,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// List, add and remove the parties of the exchange, and change their connection keys.
    #[command(subcommand)]
    Party(PartyCommand),
}
