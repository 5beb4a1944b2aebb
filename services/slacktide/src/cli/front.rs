//! Commands of the front-end machine.

use clap::Subcommand;

use super::Config;

#[derive(Debug, Subcommand)]
pub(crate) enum FrontCommand {
    /// Run exchange and gateway as one machine until SIGTERM or SIGINT.
    #[command(after_help = "Example:\n  slacktide front run --config config/front.toml")]
    Run(Config),
    /// Check the file, its keys and its tokens; start nothing.
    Check(Config),
}
