//! What agents are told: to run, or to check their files.

use clap::Subcommand;

use super::Config;

#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Runs until SIGTERM or SIGINT.
    #[command(after_help = "Example:\n  slacktide social run --config config/social.toml")]
    Run(Config),
    /// Checks the file and the keys it names; opens no connection.
    Check(Config),
}

#[derive(Debug, Subcommand)]
pub(crate) enum HelperCommand {
    /// Serves on a Unix socket until SIGTERM or SIGINT; moves no process but exactly the asker's own backend.
    #[command(after_help = "Example:\n  slacktide idle-helper run --config /etc/slacktide/idle-helper.toml")]
    Run(Config),
}
