//! The configuration file, and commands to check and show it.

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
    /// Check a file of any kind.
    #[command(after_help = "Example:\n  slacktide config check --config config/commercial.toml")]
    Check(Config),
    /// Print the effective values: with defaults, marked overrides, without secrets.
    Show {
        #[command(flatten)]
        config: Config,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}
