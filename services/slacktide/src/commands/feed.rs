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

use clap::Subcommand;

use crate::failure::Outcome;

/// The feed commands.
#[derive(Debug, Subcommand)]
pub(crate) enum FeedCommand {
    /// List the feeds with their recipients and the state of each lane.
    #[command(after_help = "Example:\n  slacktide feed list --config config/social.toml")]
    List(show::ListArgs),
    /// Show one feed: definition, columns, position, recipients, withheld and rejected rows.
    #[command(after_help = "Example:\n  slacktide feed show setl --config config/social.toml")]
    Show(show::ShowArgs),
    /// Open a new epoch of a feed for one recipient. Signed and audited, with actor and reason.
    #[command(
        after_help = "Examples:\n  after the exchange was restored from an older copy:\n  slacktide feed rewind setl --recipient insurer-a --from receipt --actor li.na --reason \"restored from backup\" --config config/social.toml\n  after the feed's definition was changed on purpose:\n  slacktide feed rewind setl --recipient insurer-a --accept --actor li.na --reason \"new column\" --config config/social.toml\n  after the source was replaced or restored:\n  slacktide feed rewind setl --recipient insurer-a --accept-source --from beginning --actor li.na --reason \"restored from backup\" --config config/social.toml"
    )]
    Rewind(rewind::RewindArgs),
    /// Send a feed again from its start to one recipient, whose store then equals the source, without rows that are gone.
    #[command(
        after_help = "Example, after the core was restored from a backup:\n  slacktide feed resync setl --recipient insurer-a --actor li.na --reason \"core restored\" --config config/social.toml"
    )]
    Resync(resync::ResyncArgs),
    /// For the receiver: read acknowledged chunks again that are no longer stored, and store them.
    #[command(
        after_help = "Examples:\n  after the store was restored from a backup:\n  slacktide feed refill setl --config config/commercial.toml\n  after its table was truncated, dropped or changed by others:\n  slacktide feed refill setl --from start --config config/commercial.toml"
    )]
    Refill(refill::RefillArgs),
    /// For the receiver: approve a schema change that a lane waits for. Signed and audited.
    #[command(
        after_help = "Example:\n  slacktide feed accept-change setl --actor li.na --reason \"agreed with the bureau\" --config config/commercial.toml"
    )]
    AcceptChange(accept::AcceptArgs),
}

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
