//! The configuration file, and the commands that only look at it.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// The configuration file.
#[derive(Debug, Args)]
pub(crate) struct Config {
    /// The TOML file; samples are under config/.
    #[arg(long, value_name = "FILE", env = "SLACKTIDE_CONFIG")]
    pub(crate) config: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Checks a file of any kind; its tables tell which.
    #[command(after_help = "Example:\n  slacktide config check --config config/commercial.toml")]
    Check(Config),
    /// Prints the effective values: defaults filled in, overrides marked, secrets left out.
    Show {
        #[command(flatten)]
        config: Config,
        /// Prints them as JSON.
        #[arg(long)]
        json: bool,
    },
}
