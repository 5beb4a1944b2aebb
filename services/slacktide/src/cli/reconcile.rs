//! Commands of reconciliation.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use runtime::span::Span;
use schemas::name::FeedName;

use super::Config;
use super::decision::NamedDecision;

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum ReconcileCommand {
    /// Compare the store's rows of a feed with the core's. The core is read only while it has slack. Exit code 7: they differ.
    #[command(after_help = "Example:\n  slacktide reconcile run setl --config config/commercial.toml")]
    Run(RunArgs),
    /// Show the last comparison of a feed, from the store.
    #[command(
        after_help = "Examples:\n  slacktide reconcile show setl --config config/commercial.toml\n  slacktide reconcile show setl --csv --spreadsheet --config config/commercial.toml > findings.csv"
    )]
    Show(ShowArgs),
    /// Compare, repair the rows that differ, and compare again. Signed and audited. Exit code 7: rows still differ.
    #[command(
        after_help = "Example:\n  slacktide reconcile repair setl --actor li.na --reason \"rows were lost\" --config config/commercial.toml"
    )]
    Repair(RepairArgs),
}

/// What a comparison needs.
#[derive(Debug, Args)]
pub(crate) struct PassArgs {
    /// The feed.
    pub(crate) feed: FeedName,
    /// How long to wait for the bureau, whose core may be busy.
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    pub(crate) timeout: Span,
    #[command(flatten)]
    pub(crate) config: Config,
    /// Print the report as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The arguments of `reconcile run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) pass: PassArgs,
    /// The person or program that asks. Default: the login name.
    #[arg(long, value_name = "NAME")]
    pub(crate) actor: Option<String>,
}

/// The arguments of `reconcile show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The feed.
    pub(crate) feed: FeedName,
    #[command(flatten)]
    pub(crate) config: Config,
    /// Print the report as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print the findings as CSV.
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
    /// Prevent formulas in the CSV, for a spreadsheet.
    #[arg(long, requires = "csv")]
    pub(crate) spreadsheet: bool,
    /// Also write the report to an Excel workbook. The file is replaced.
    #[arg(long, value_name = "FILE", conflicts_with = "csv")]
    pub(crate) xlsx: Option<PathBuf>,
}

/// The arguments of `reconcile repair`.
#[derive(Debug, Args)]
pub(crate) struct RepairArgs {
    #[command(flatten)]
    pub(crate) pass: PassArgs,
    #[command(flatten)]
    pub(crate) decision: NamedDecision,
}
