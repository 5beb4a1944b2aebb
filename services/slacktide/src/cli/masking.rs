//! Commands about masks.

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
