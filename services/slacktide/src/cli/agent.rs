//! Commands of the agents.

use clap::Subcommand;

use super::Config;

#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Run until SIGTERM or SIGINT.
    #[command(after_help = "Example:\n  slacktide social run --config config/social.toml")]
    Run(Config),
    /// Check the file and its keys; open no connection.
    Check(Config),
}
