//! Commands about feeds.

use std::str::FromStr;

use clap::{Args, Subcommand};
use commercial::refill::From as RefillFrom;
use schemas::name::FeedName;

use super::Config;
use super::decision::NamedDecision;

/// The feed commands.
#[derive(Debug, Subcommand)]
pub(crate) enum FeedCommand {
    /// List the feeds with their recipients and the state of each lane.
    #[command(after_help = "Example:\n  slacktide feed list --config config/social.toml")]
    List(ListArgs),
    /// Show one feed: definition, columns, position, recipients, withheld and rejected rows.
    #[command(after_help = "Example:\n  slacktide feed show setl --config config/social.toml")]
    Show(ShowArgs),
    /// Open a new epoch of a feed for one recipient. Signed and audited, with actor and reason.
    #[command(
        after_help = "Examples:\n  after the exchange was restored from an older copy:\n  slacktide feed rewind setl --recipient insurer-a --from receipt --actor li.na --reason \"restored from backup\" --config config/social.toml\n  after the feed's definition was changed on purpose:\n  slacktide feed rewind setl --recipient insurer-a --accept --actor li.na --reason \"new column\" --config config/social.toml\n  after the source was replaced or restored:\n  slacktide feed rewind setl --recipient insurer-a --accept-source --from beginning --actor li.na --reason \"restored from backup\" --config config/social.toml"
    )]
    Rewind(RewindArgs),
    /// Send a feed again from its start to one recipient, whose store then equals the source, without rows that are gone.
    #[command(
        after_help = "Example, after the core was restored from a backup:\n  slacktide feed resync setl --recipient insurer-a --actor li.na --reason \"core restored\" --config config/social.toml"
    )]
    Resync(ResyncArgs),
    /// For the receiver: read acknowledged chunks again that are no longer stored, and store them.
    #[command(
        after_help = "Examples:\n  after the store was restored from a backup:\n  slacktide feed refill setl --config config/commercial.toml\n  after its table was truncated, dropped or changed by others:\n  slacktide feed refill setl --from start --config config/commercial.toml"
    )]
    Refill(RefillArgs),
    /// For the receiver: approve a schema change that a lane waits for. Signed and audited.
    #[command(
        after_help = "Example:\n  slacktide feed accept-change setl --actor li.na --reason \"agreed with the bureau\" --config config/commercial.toml"
    )]
    AcceptChange(AcceptArgs),
}

/// The arguments of `feed list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) config: Config,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The arguments of `feed show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The feed.
    pub(crate) name: FeedName,
    #[command(flatten)]
    pub(crate) config: Config,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The start of a new epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RewindFrom {
    /// The receiver's last receipt.
    Receipt,
    /// The beginning: everything is sent again.
    Beginning,
    /// The position before a chunk.
    Chunk {
        /// Its epoch.
        epoch: u32,
        /// Its number.
        number: u64,
    },
}

/// An invalid start of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("give receipt, beginning, or chunk:EPOCH.NUMBER")]
pub(crate) struct BadStart;

impl FromStr for RewindFrom {
    type Err = BadStart;

    fn from_str(text: &str) -> Result<Self, BadStart> {
        let chunk = || {
            let (epoch, number) = text.strip_prefix("chunk:")?.split_once('.')?;
            Some(Self::Chunk {
                epoch: epoch.parse().ok().filter(|epoch| *epoch > 0)?,
                number: number.parse().ok().filter(|number| *number > 0)?,
            })
        };
        match text {
            "receipt" => Ok(Self::Receipt),
            "beginning" => Ok(Self::Beginning),
            _ => chunk().ok_or(BadStart),
        }
    }
}

/// The arguments.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("where").required(true).multiple(true).args(["from", "accept", "accept_source"])))]
pub(crate) struct RewindArgs {
    /// The feed.
    pub(crate) name: String,
    /// The recipient.
    #[arg(long, value_name = "NAME")]
    pub(crate) recipient: String,
    /// Where to continue: `receipt`, the receiver's last; `beginning`, to send everything again; or
    /// `chunk:EPOCH.NUMBER`, the position before that chunk.
    #[arg(long, value_name = "WHERE")]
    pub(crate) from: Option<RewindFrom>,
    /// Accept the changed definition of the feed, and continue from the lane's position.
    #[arg(long, conflicts_with_all = ["from", "accept_source"])]
    pub(crate) accept: bool,
    /// Accept the source as it is, although it is another database than the lane's, or was rolled back. Continue from the
    /// lane's position, or from `--from`.
    #[arg(long)]
    pub(crate) accept_source: bool,
    #[command(flatten)]
    pub(crate) decision: NamedDecision,
    #[command(flatten)]
    pub(crate) config: Config,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct ResyncArgs {
    /// The feed.
    pub(crate) name: String,
    /// The recipient.
    #[arg(long, value_name = "NAME")]
    pub(crate) recipient: String,
    /// Send only rows that differ: the receiver's agent compares its store with the source, and asks for them. Needs `[reconcile]`
    /// here and an agent with a comparable store there.
    #[arg(long)]
    pub(crate) differences: bool,
    #[command(flatten)]
    pub(crate) decision: NamedDecision,
    #[command(flatten)]
    pub(crate) config: Config,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct RefillArgs {
    /// The feed.
    pub(crate) name: String,
    /// Where to start: `receipt`, after what the store holds without a gap; `start`, at the first chunk that the exchange
    /// keeps; `chunk:EPOCH.NUMBER`; or `time:2026-01-31T22:15:00Z`, when the exchange stored it.
    #[arg(long, value_name = "WHERE", default_value = "receipt")]
    pub(crate) from: RefillFrom,
    #[command(flatten)]
    pub(crate) config: Config,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct AcceptArgs {
    /// The feed.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) config: Config,
    /// The deciding operator.
    #[arg(long, value_name = "NAME", required_unless_present = "dry_run")]
    pub(crate) actor: Option<String>,
    /// The reason. It is signed and kept.
    #[arg(long, value_name = "TEXT", required_unless_present = "dry_run")]
    pub(crate) reason: Option<String>,
    /// Show the change without applying it.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewind_start_is_receipt_beginning_or_chunk() {
        assert_eq!("receipt".parse(), Ok(RewindFrom::Receipt));
        assert_eq!(
            "chunk:2.17".parse(),
            Ok(RewindFrom::Chunk { epoch: 2, number: 17 })
        );
        for wrong in ["chunk:2", "chunk:0.1", "chunk:1.0", "chunk:a.b", "2.17", ""] {
            assert!(wrong.parse::<RewindFrom>().is_err(), "{wrong:?}");
        }
    }
}
