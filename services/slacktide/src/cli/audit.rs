//! What an auditor reads, and which part of it.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;

use super::Config;

/// The streams that an auditor reads.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum StreamName {
    /// Chunks.
    Data,
    /// Receipts.
    Receipts,
    /// Data requests.
    Requests,
    /// Wishes to cancel them.
    Cancels,
    /// What officers decided about them.
    Approvals,
    /// How they stand while they wait; the last word of each.
    Progress,
    /// Parts of their answers.
    Parts,
    /// Their outcomes.
    Replies,
    /// What the recipients stored of them.
    Confirms,
    /// Acts of people and agents.
    Audit,
}

/// Since when, or since which heads.
#[derive(Debug, Clone)]
pub(crate) enum Since {
    /// A time.
    Time(Timestamp),
    /// The heads that a file keeps.
    File(PathBuf),
}

impl FromStr for Since {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(text.parse().map_or_else(|_| Self::File(text.into()), Self::Time))
    }
}

/// A part of a stream.
#[derive(Debug, Args)]
pub(crate) struct Part {
    /// From this sequence on.
    #[arg(long, value_name = "SEQUENCE", conflicts_with = "since")]
    pub(crate) from: Option<u64>,
    /// Up to this sequence, itself included.
    #[arg(long, value_name = "SEQUENCE")]
    pub(crate) to: Option<u64>,
    /// From this time on, for example 2026-01-31T08:00:00+08:00. With `verify` also a file that keeps the heads of all
    /// chains: they must stand in the streams still, and the file is advanced when everything holds. Made where it is missing.
    #[arg(long, value_name = "TIME or FILE")]
    pub(crate) since: Option<Since>,
    /// Before this time.
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<Timestamp>,
    /// Only this recipient's.
    #[arg(long, value_name = "NAME")]
    pub(crate) recipient: Option<String>,
    /// Only this feed's.
    #[arg(long, value_name = "NAME")]
    pub(crate) feed: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Prints messages as JSON lines: manifests, or rows.
    #[command(
        after_help = "Example:\n  slacktide audit replay --config config/auditor.toml --feed setl --rows"
    )]
    Replay {
        #[command(flatten)]
        config: Config,
        /// Which stream.
        #[arg(long, value_enum, default_value_t = StreamName::Data)]
        stream: StreamName,
        #[command(flatten)]
        part: Part,
        /// Prints the rows of chunks instead of manifests. They hold personal data.
        #[arg(long)]
        rows: bool,
    },
    /// Checks signatures, links, numbers and totals, and names the first fault of each feed.
    #[command(
        after_help = "Example:\n  slacktide audit verify --config config/auditor.toml --since heads.json"
    )]
    Verify {
        #[command(flatten)]
        config: Config,
        #[command(flatten)]
        part: Part,
        /// Prints the findings as JSON.
        #[arg(long)]
        json: bool,
    },
}
