//! Commands about masks.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use runtime::span::Span;
use schemas::name::{FeedName, RecipientName};

use super::Config;

/// The masking commands.
#[derive(Debug, Subcommand)]
pub(crate) enum MaskingCommand {
    /// Show the first rows of a feed as a recipient would get them. Prints personal data that no mask hides.
    #[command(
        after_help = "Example:\n  slacktide masking preview --config config/social.toml --feed setl --recipient insurer-a --rows 3"
    )]
    Preview(PreviewArgs),
    /// Make a person's mark, by which an auditor finds them in the streams. The file is personal data.
    #[command(
        after_help = "Example:\n  printf 31010004711 | slacktide masking mark --person - --config config/social.toml --out person.toml"
    )]
    Mark(MarkArgs),
}

/// The arguments of `mark`.
#[derive(Debug, Args)]
pub(crate) struct MarkArgs {
    #[command(flatten)]
    pub(crate) config: Config,
    /// The person's number; `-` reads it from standard input, where no other user sees it.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) person: String,
    /// The new file; only its owner can read it.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

/// The arguments of `preview`.
#[derive(Debug, Args)]
pub(crate) struct PreviewArgs {
    #[command(flatten)]
    pub(crate) config: Config,
    /// The feed.
    #[arg(long, value_name = "NAME")]
    pub(crate) feed: FeedName,
    /// The recipient.
    #[arg(long, value_name = "NAME")]
    pub(crate) recipient: RecipientName,
    /// The number of rows.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) rows: u16,
    /// How long to wait for the gate.
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub(crate) wait: Span,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
