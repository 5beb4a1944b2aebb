//! Commands of the agents and the idle helper.

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

#[derive(Debug, Subcommand)]
pub(crate) enum HelperCommand {
    /// Serve on a Unix socket until SIGTERM or SIGINT; move only the caller's own backend.
    #[command(after_help = "Example:\n  slacktide idle-helper run --config /etc/slacktide/idle-helper.toml")]
    Run(Config),
}
