//! Commands about holds.

use clap::{Args, Subcommand};
use runtime::span::Span;
use schemas::name::{FeedName, RecipientName};

use super::Config;
use super::decision::Decision;

/// The hold commands.
#[derive(Debug, Subcommand)]
pub(crate) enum HoldCommand {
    /// Withhold a recipient's, a feed's or a person's rows. In force within 5 s, until released.
    #[command(
        after_help = "Examples:\n  slacktide hold add --recipient insurer-b --reason \"contract ended\" --config config/social.toml\n  slacktide hold add --feed setl --for 2h --reason \"audit\" --config config/social.toml\n  printf 31010004711 | slacktide hold add --person - --reason \"objection 17\" --config config/social.toml"
    )]
    Add(AddArgs),
    /// List the holds in force, and what they withheld so far.
    #[command(after_help = "Example:\n  slacktide hold list --config config/social.toml")]
    List {
        #[command(flatten)]
        config: Config,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Release a hold, and show how to send the withheld rows of a person.
    #[command(
        after_help = "Example:\n  slacktide hold release 3fa9c1d2 --reason \"objection withdrawn\" --config config/social.toml"
    )]
    Release {
        /// The hold's id, or a unique prefix.
        id: String,
        #[command(flatten)]
        order: HoldOrder,
    },
}

/// The arguments of all orders about holds.
#[derive(Debug, Args)]
pub(crate) struct HoldOrder {
    #[command(flatten)]
    pub(crate) config: Config,
    #[command(flatten)]
    pub(crate) decision: Decision,
    /// Print the orders in force as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The arguments of `hold add`.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("what").required(true).multiple(true).args(["recipient", "feed", "person", "all"])))]
pub(crate) struct AddArgs {
    /// Hold for this recipient; may be given several times. Default: all.
    #[arg(long, value_name = "NAME")]
    pub(crate) recipient: Vec<RecipientName>,
    /// Hold this feed; may be given several times. Default: all.
    #[arg(long, value_name = "NAME")]
    pub(crate) feed: Vec<FeedName>,
    /// Hold only the rows of this person; `-` reads the number from standard input, where no other user sees it.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) person: Option<String>,
    /// Hold everything for all recipients.
    #[arg(long, conflicts_with_all = ["recipient", "feed", "person"])]
    pub(crate) all: bool,
    /// Duration, for example 90s, 15m or 2h. Default: until it is released.
    #[arg(long = "for", value_name = "TIME")]
    pub(crate) lasts: Option<Span>,
    #[command(flatten)]
    pub(crate) order: HoldOrder,
}
