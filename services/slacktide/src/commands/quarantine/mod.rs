//! `slacktide quarantine list|show|retry|discard|export|check`.
//!
//! The configuration tells the side: an insurer's works on its store, a bureau's reads back what
//! it published and what its receivers report. Whatever is done, or shown of what entries hold,
//! is signed into the party's audit chain first; without the exchange nothing is done.
//!
//! - `commercial` the insurer's side; `social` the bureau's
//! - `act` the audit entry before each act; `told` lines and tables; `held` what an entry holds
//! - `export` the file for another machine, and its check
//! - `watch` how much is kept, for the agent's status and metrics

mod act;
mod commercial;
mod export;
mod held;
mod social;
pub(super) mod told;
pub(crate) mod watch;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::Config;
use crate::failure::{Failure, Outcome};
use crate::settings::{Kind, load_any};

#[derive(Debug, Subcommand)]
pub(crate) enum QuarantineCommand {
    /// Shows what is kept aside, since when, and why.
    #[command(after_help = "Example:\n  slacktide quarantine list --config config/commercial.toml")]
    List {
        /// Only this feed's.
        #[arg(long, value_name = "NAME")]
        feed: Option<String>,
        /// What was released or discarded, too.
        #[arg(long)]
        ended: bool,
        #[command(flatten)]
        config: Config,
        /// Prints it as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Shows one entry: its place, its reason, what became of it.
    #[command(after_help = "Example:\n  slacktide quarantine show 3fa9c1 --config config/commercial.toml")]
    Show {
        /// Its id, or as much of the beginning as tells it from the others.
        id: String,
        /// Shows what it holds. That is personal data: it is signed into the audit chain who looked.
        #[arg(long)]
        reveal: bool,
        #[command(flatten)]
        order: Order,
    },
    /// Opens messages with today's trust, and stores rows again. Nothing newer is overwritten.
    #[command(
        after_help = "Examples:\n  slacktide quarantine retry 3fa9c1 --reason \"constraint dropped\" --config config/commercial.toml\n  slacktide quarantine retry --all --feed setl --reason \"key trusted\" --config config/commercial.toml"
    )]
    Retry {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        order: Order,
    },
    /// Gives entries up: what they hold is dropped, their digest and the reason stay.
    #[command(
        after_help = "Example:\n  slacktide quarantine discard 3fa9c1 --actor li.na --reason \"a stray message\" --config config/commercial.toml"
    )]
    Discard {
        /// Its id, or as much of the beginning as tells it from the others.
        id: String,
        #[command(flatten)]
        order: Order,
    },
    /// Writes entries with what they hold to a file that another machine can read. Personal data.
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
    /// Checks an exported file on any machine: digests, and with --trust signatures and totals.
    #[command(after_help = "Example:\n  slacktide quarantine check quarantine.jsonl --trust AB...")]
    Check {
        /// The file that `quarantine export` wrote.
        file: PathBuf,
        /// A publisher's signing key (A…). May be given several times.
        #[arg(long, value_name = "KEY")]
        trust: Vec<String>,
        /// Prints the findings as JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Which entries.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// An id, or as much of the beginning as tells it from the others.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub(crate) id: Option<String>,
    /// All that are in quarantine now.
    #[arg(long)]
    pub(crate) all: bool,
    /// Only this feed's.
    #[arg(long, value_name = "NAME")]
    pub(crate) feed: Option<String>,
}

/// Who does it, and why.
#[derive(Debug, Args)]
pub(crate) struct Order {
    /// Who decides. Left out: the login name.
    #[arg(long, value_name = "NAME")]
    pub(crate) actor: Option<String>,
    /// Why. It is signed and kept; a discard needs one.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) config: Config,
    /// Prints what was done as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Runs one of them.
pub(crate) async fn run(command: QuarantineCommand) -> Outcome {
    if let QuarantineCommand::Check { file, trust, json } = &command {
        return export::check(file, trust, *json);
    }
    let path = match &command {
        QuarantineCommand::List { config, .. } => &config.config,
        QuarantineCommand::Show { order, .. }
        | QuarantineCommand::Retry { order, .. }
        | QuarantineCommand::Discard { order, .. }
        | QuarantineCommand::Export { order, .. } => &order.config.config,
        QuarantineCommand::Check { file, .. } => file,
    };
    match load_any(path)? {
        Kind::Commercial(loaded) => commercial::run(&loaded, command).await,
        Kind::Social(loaded) => social::run(&loaded, command).await,
        Kind::Party(loaded) => Err(Failure::usage(format!(
            "{}: neither an insurer's nor a bureau's file; give the file of the side whose quarantine it is",
            loaded.path.display()
        ))),
    }
}
