//! Commands about the quarantine.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Config;

#[derive(Debug, Subcommand)]
pub(crate) enum QuarantineCommand {
    /// List the entries in quarantine, since when and why.
    #[command(after_help = "Example:\n  slacktide quarantine list --config config/commercial.toml")]
    List {
        /// Only this feed.
        #[arg(long, value_name = "NAME")]
        feed: Option<String>,
        /// Include released and discarded entries.
        #[arg(long)]
        ended: bool,
        #[command(flatten)]
        config: Config,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show one entry: its chunk, reason and state.
    #[command(after_help = "Example:\n  slacktide quarantine show 3fa9c1 --config config/commercial.toml")]
    Show {
        /// The entry's id, or a unique prefix.
        id: String,
        /// Show the content. It is personal data: the access is recorded in the audit chain.
        #[arg(long)]
        reveal: bool,
        #[command(flatten)]
        order: Order,
    },
    /// Verify messages again with the current trust, and store rows again. Newer rows are not overwritten.
    #[command(
        after_help = "Examples:\n  slacktide quarantine retry 3fa9c1 --reason \"constraint dropped\" --config config/commercial.toml\n  slacktide quarantine retry --all --feed setl --reason \"key trusted\" --config config/commercial.toml"
    )]
    Retry {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        order: Order,
    },
    /// Discard entries: delete their content; keep digest and reason.
    #[command(
        after_help = "Example:\n  slacktide quarantine discard 3fa9c1 --actor li.na --reason \"a stray message\" --config config/commercial.toml"
    )]
    Discard {
        /// The entry's id, or a unique prefix.
        id: String,
        #[command(flatten)]
        order: Order,
    },
    /// Export entries with their content to a file. Personal data.
    #[command(
        after_help = "Example:\n  slacktide quarantine export --all --out quarantine.jsonl --reason \"for the bureau\" --config config/commercial.toml"
    )]
    Export {
        #[command(flatten)]
        which: Which,
        /// The file; it must not exist.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        #[command(flatten)]
        order: Order,
    },
    /// Check an exported file on any machine: digests, and with --trust signatures and totals.
    #[command(after_help = "Example:\n  slacktide quarantine check quarantine.jsonl --trust AB...")]
    Check {
        /// The file that `quarantine export` wrote.
        file: PathBuf,
        /// A publisher's signing key (A…). May be given several times.
        #[arg(long, value_name = "KEY")]
        trust: Vec<String>,
        /// Print the findings as JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Selects entries.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// An id, or a unique prefix.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub(crate) id: Option<String>,
    /// All entries in quarantine.
    #[arg(long)]
    pub(crate) all: bool,
    /// Only this feed.
    #[arg(long, value_name = "NAME")]
    pub(crate) feed: Option<String>,
}

/// Actor and reason of an action.
#[derive(Debug, Args)]
pub(crate) struct Order {
    /// The deciding operator. Default: the login name.
    #[arg(long, value_name = "NAME")]
    pub(crate) actor: Option<String>,
    /// The reason. It is signed and kept; a discard needs one.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) config: Config,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
