//! `slacktide feed list|show|rewind|accept-change`.
//!
//! - `rewind` the operator's way on: a new epoch
//! - `accept` the receiver's word on a change of columns
//! - `list` and `show` each feed as the configuration, the exchange and the agent tell it

mod accept;
pub(crate) mod rewind;
pub(super) mod show;

use clap::Subcommand;

use crate::failure::Outcome;

/// The feed commands.
#[derive(Debug, Subcommand)]
pub(crate) enum FeedCommand {
    /// Shows each feed with its recipients and how each lane stands.
    #[command(after_help = "Example:\n  slacktide feed list --config config/social.toml")]
    List(show::ListArgs),
    /// Shows one feed: definition, columns, position, recipients, what was withheld and rejected.
    #[command(after_help = "Example:\n  slacktide feed show setl --config config/social.toml")]
    Show(show::ShowArgs),
    /// Opens a new epoch of a feed for one recipient. Signed, chained, with actor and reason.
    #[command(
        after_help = "Examples:\n  after the exchange was restored from an older copy:\n  slacktide feed rewind setl --recipient insurer-a --from receipt --actor li.na --reason \"restored from backup\" --config config/social.toml\n  after the feed's definition was changed on purpose:\n  slacktide feed rewind setl --recipient insurer-a --accept --actor li.na --reason \"new column\" --config config/social.toml\n  after the source was replaced or restored:\n  slacktide feed rewind setl --recipient insurer-a --accept-source --from beginning --actor li.na --reason \"restored from backup\" --config config/social.toml"
    )]
    Rewind(rewind::RewindArgs),
    /// For the receiver: accepts a change of columns that a lane waits for. Signed and audited.
    #[command(
        after_help = "Example:\n  slacktide feed accept-change setl --actor li.na --reason \"agreed with the bureau\" --config config/commercial.toml"
    )]
    AcceptChange(accept::AcceptArgs),
}

/// Runs a command to its end.
pub(crate) async fn run(command: FeedCommand) -> Outcome {
    match command {
        FeedCommand::List(args) => show::list(args).await,
        FeedCommand::Show(args) => show::show(args).await,
        FeedCommand::Rewind(args) => rewind::rewind(args).await,
        FeedCommand::AcceptChange(args) => accept::accept(args).await,
    }
}
