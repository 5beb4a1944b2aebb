//! `slacktide feed list|show|rewind|resync|refill|accept-change`.
//!
//! - `rewind` opens a new epoch
//! - `resync` sends everything again; the store removes rows that are gone at the source
//! - `refill` stores chunks again after the store was restored, truncated or replaced
//! - `accept` approves a schema change at the receiver
//! - `list` and `show` show feeds, from the configuration, the exchange and the agent

pub(super) mod accept;
pub(super) mod refill;
mod resync;
pub(crate) mod rewind;
pub(super) mod show;

use crate::cli::feed::FeedCommand;
use crate::failure::Outcome;

/// Runs a subcommand.
pub(crate) async fn run(command: FeedCommand) -> Outcome {
    match command {
        FeedCommand::List(args) => show::list(args).await,
        FeedCommand::Show(args) => show::show(args).await,
        FeedCommand::Rewind(args) => rewind::rewind(args).await,
        FeedCommand::Resync(args) => resync::resync(args).await,
        FeedCommand::Refill(args) => refill::refill(args).await,
        FeedCommand::AcceptChange(args) => accept::accept(args).await,
    }
}
