//! Commands about the block list.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Config;
use super::decision::Decision;

/// The block list commands.
#[derive(Debug, Subcommand)]
pub(crate) enum BlocklistCommand {
    /// Replace the list by the persons of a file. In force within 5 s. Signed and audited.
    #[command(
        after_help = "The file is imported completely or not at all:\n  HDR,slacktide-blocklist,1,2026-01-31\n  PSN,31010004711\n  TRL,1\n\nExample:\n  slacktide blocklist import --reason \"consents of January\" --config config/social.toml withdrawn.csv"
    )]
    Import(ImportArgs),
    /// Show the number of persons on the list, its date and its digest.
    #[command(after_help = "Example:\n  slacktide blocklist show --config config/social.toml")]
    Show {
        #[command(flatten)]
        config: Config,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// The arguments of `import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The file.
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) config: Config,
    #[command(flatten)]
    pub(crate) decision: Decision,
    /// Accept a list that is older than the one in force.
    #[arg(long)]
    pub(crate) older: bool,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
