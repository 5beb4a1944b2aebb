//! Commands of the officers.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use schemas::name::{OfficerName, RecipientName};

use super::Config;

/// The approvals commands.
#[derive(Debug, Subcommand)]
pub(crate) enum ApprovalsCommand {
    /// List the requests that wait for officers.
    #[command(after_help = "Example:\n  slacktide approvals list --config config/social.toml")]
    List {
        /// Show the arguments, too. They are personal data.
        #[arg(long)]
        personal: bool,
        #[command(flatten)]
        config: Config,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Approve a request. A kind may need the approval of several officers.
    #[command(
        after_help = "Example:\n  slacktide approvals grant 20260131-x7k2m9q4 --recipient insurer-a --officer li_na --seed-file li_na/sign.seed --reason \"checked the contract\" --config config/social.toml"
    )]
    Grant(Decide),
    /// Refuse a request permanently.
    #[command(
        after_help = "Example:\n  slacktide approvals refuse 20260131-x7k2m9q4 --recipient insurer-a --officer li_na --seed-file li_na/sign.seed --reason \"no such contract\" --config config/social.toml"
    )]
    Refuse(Decide),
}

/// The arguments of a decision.
#[derive(Debug, Args)]
pub(crate) struct Decide {
    /// The request's id, or a prefix that is unique among the recipient's pending requests.
    pub(crate) id: String,
    /// The recipient that filed the request.
    #[arg(long, value_name = "NAME")]
    pub(crate) recipient: RecipientName,
    /// The deciding officer, named in `[trust] officers`.
    #[arg(long, value_name = "NAME")]
    pub(crate) officer: OfficerName,
    /// The file of the officer's own signing seed.
    #[arg(long, value_name = "FILE")]
    pub(crate) seed_file: PathBuf,
    /// The reason. It is signed and kept; do not name a person in it.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) config: Config,
    /// Print the decision as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
