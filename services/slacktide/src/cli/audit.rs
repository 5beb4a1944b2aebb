//! Commands of an auditor.
//!
//! - [`stores`] a store that is rebuilt and compared; [`trails`] the trail of a request and of a person

mod stores;
mod trails;

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use schemas::name::PartyName;
use schemas::request::RequestId;

use super::Config;
pub(crate) use stores::{DiffArgs, RebuildArgs};
pub(crate) use trails::{PersonTrailArgs, Question, QuestionsArgs, RequestTrailArgs};

/// The streams that an auditor reads.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum StreamName {
    /// Chunks.
    Data,
    /// Receipts.
    Receipts,
    /// Data requests.
    Requests,
    /// Cancellations of requests.
    Cancels,
    /// Decisions of officers.
    Approvals,
    /// The last progress update of each request.
    Progress,
    /// Parts of answers.
    Parts,
    /// Outcomes of requests.
    Replies,
    /// Confirmations by recipients.
    Confirms,
    /// Audit entries of operators and agents.
    Audit,
    /// Orders of operators.
    Control,
}

/// The format of a replay.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ReplayFormat {
    /// A line for each message: time, sequence, subject, kind.
    Text,
    /// A JSON object on each line.
    Jsonl,
    /// RFC 4180, with a line of names first.
    Csv,
}

/// The length of the periods into which an export is split.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ExportPeriod {
    /// An hour, UTC.
    Hour,
    /// A day, UTC.
    Day,
    /// Everything in one file.
    None,
}

/// A start time, or a file of chain heads.
#[derive(Debug, Clone)]
pub(crate) enum Since {
    /// A time.
    Time(Timestamp),
    /// A file of chain heads.
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
    /// From this time on, for example 2026-01-31T08:00:00+08:00. With `verify` also a file with the heads of all chains: the
    /// streams must still contain them; the file is updated if everything is valid, and created if it is missing.
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
    /// Print messages: manifests, rows, or everything about one request.
    #[command(
        after_help = "Example:\n  slacktide audit replay --config config/auditor.toml --feed setl --rows"
    )]
    Replay {
        #[command(flatten)]
        config: Config,
        /// The stream; data if neither a stream nor a request is given.
        #[arg(long, value_enum)]
        stream: Option<StreamName>,
        #[command(flatten)]
        part: Part,
        /// Only this request's: all of its messages, or those of the stream.
        #[arg(long, value_name = "ID")]
        request: Option<RequestId>,
        /// Print the rows of chunks instead of manifests. They contain personal data.
        #[arg(long)]
        rows: bool,
        /// The format; text on a terminal, jsonl elsewhere.
        #[arg(long, value_enum)]
        format: Option<ReplayFormat>,
    },
    /// Verify signatures, links, numbers and totals, and show the first fault of each lane and audit chain.
    #[command(
        after_help = "Example:\n  slacktide audit verify --config config/auditor.toml --since heads.json"
    )]
    Verify {
        #[command(flatten)]
        config: Config,
        #[command(flatten)]
        part: Part,
        /// Print the findings as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write the streams to files that `slacktide-verify` verifies without the exchange.
    #[command(after_help = "Example:\n  slacktide audit export --config config/auditor.toml --out export/")]
    Export {
        #[command(flatten)]
        config: Config,
        /// A folder for one file per period, which a later run continues; or a new file whose name ends in .slx.
        #[arg(long, value_name = "FOLDER or FILE")]
        out: PathBuf,
        /// From this time on, for example 2026-01-31T00:00:00+08:00.
        #[arg(long, value_name = "TIME")]
        from: Option<Timestamp>,
        /// Before this time.
        #[arg(long, value_name = "TIME")]
        to: Option<Timestamp>,
        /// Only the streams of this party; may be given several times.
        #[arg(long, value_name = "NAME")]
        party: Vec<PartyName>,
        /// The period of one file.
        #[arg(long, value_enum, default_value_t = ExportPeriod::Day)]
        period: ExportPeriod,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Store the chunks of a stream into a new store, as the insurer's agent stored them, up to a point.
    #[command(
        after_help = "Example:\n  slacktide audit rebuild --to 2026-01-31T08:00:00+08:00 --into rebuilt.db --config config/auditor.toml"
    )]
    Rebuild(RebuildArgs),
    /// Compare a rebuilt store with the live one, by key and column by column.
    #[command(
        after_help = "Example:\n  slacktide audit diff --rebuilt rebuilt.db --live config/commercial.toml"
    )]
    Diff(DiffArgs),
    /// Show everything about one request. The question is recorded.
    #[command(
        after_help = "Example:\n  slacktide audit request 20260131-abcdefgh --reason \"complaint 12\" --config config/auditor.toml"
    )]
    Request(RequestTrailArgs),
    /// Show everything about one person: what was sent to whom, who asked, who decided, what was withheld. The question is recorded.
    #[command(
        after_help = "Example:\n  slacktide audit person --mark person.toml --reason \"access request 7\" --config config/auditor.toml"
    )]
    Person(PersonTrailArgs),
    /// List the recorded questions about requests and persons, and verify their chain.
    #[command(after_help = "Example:\n  slacktide audit questions --config config/auditor.toml")]
    Questions(QuestionsArgs),
    /// Print the trusted keys as a file for `slacktide-verify`.
    #[command(after_help = "Example:\n  slacktide audit trust --config config/auditor.toml > trust.toml")]
    Trust {
        #[command(flatten)]
        config: Config,
    },
}
