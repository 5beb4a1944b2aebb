//! `slacktide request …`: files data requests and shows their outcomes.
//!
//! All commands but `list` read only the exchange: requests are found even if every local file is lost.
//!
//! - `file` files requests, `filing` is its value; `sign` writes a signed request to a file; `input` reads a file of requests,
//!   `records` its CSV, `lines` a line of it
//! - `show` shows the state of a request, `watch` waits for outcomes; `render` formats both, `step` is a step as JSON
//! - `list` lists the store's requests; `result` prints the rows of an answer; `csv` formats rows as CSV

mod csv;
mod file;
pub(super) mod filing;
mod input;
mod lines;
pub(super) mod list;
mod records;
pub(super) mod render;
pub(super) mod result;
pub(super) mod show;
mod sign;
mod step;
pub(super) mod watch;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemars::JsonSchema;
use serde::Serialize;
use slacktide_client::{Client, Error};
use store::requests::RequestState;

use super::operator;
use crate::cli::Config;
use crate::exchange_client::ExchangeClient;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Report, View};
use crate::settings::{CommercialFile, load};

/// The request commands.
#[derive(Debug, Subcommand)]
pub(crate) enum RequestCommand {
    /// File a request, or a file of requests. Filing twice under one key is one request.
    #[command(
        after_help = "Examples:\n  slacktide request file --kind setl.by_person --arg psn_no=31010004711 --arg from=2026-01-01 --arg to=2026-01-31 --purpose 01 --basis 01 --deadline 2d --config config/commercial.toml\n  slacktide request file --from requests.csv --config config/commercial.toml\n  slacktide request file --kind setl.by_person --arg psn_no=31010004711 --purpose 01 --basis 01 --key claim-7 --out request.bin --config config/commercial.toml"
    )]
    File(FileArgs),
    /// List the requests in this insurer's store, the latest first, without arguments.
    #[command(
        after_help = "Examples:\n  slacktide request list --outcome refused --config config/commercial.toml\n  slacktide request list --state filed --config config/commercial.toml"
    )]
    List(ListArgs),
    /// Show the state of a request, with the time of each step, from the exchange.
    #[command(
        after_help = "Example:\n  slacktide request show 20260131-x7k2m9q4 --config config/commercial.toml"
    )]
    Show {
        /// The id, or a unique prefix.
        id: String,
        /// Show the arguments, too. They are personal data.
        #[arg(long)]
        personal: bool,
        #[command(flatten)]
        at: At,
    },
    /// Wait until each of these requests has an outcome, and show it. Without ids: until no request is pending, at the
    /// exchange or in this insurer's store.
    #[command(
        after_help = "Example:\n  slacktide request watch 20260131-x7k2m9q4 --config config/commercial.toml"
    )]
    Watch {
        /// The ids, or unique prefixes.
        id: Vec<String>,
        #[command(flatten)]
        at: At,
    },
    /// Ask the bureau not to answer. The first final outcome wins.
    #[command(
        after_help = "Example:\n  slacktide request cancel 20260131-x7k2m9q4 --reason \"settled otherwise\" --config config/commercial.toml"
    )]
    Cancel {
        /// The id, or a unique prefix.
        id: String,
        /// The reason. It is signed and kept; do not name a person in it.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// The deciding person. Default: the login name.
        #[arg(long, value_name = "NAME")]
        actor: Option<String>,
        #[command(flatten)]
        at: At,
    },
    /// Print the verified rows of an answer from the exchange. They are personal data.
    #[command(
        after_help = "Example:\n  slacktide request result 20260131-x7k2m9q4 --format csv --config config/commercial.toml"
    )]
    Result {
        /// The id, or a unique prefix.
        id: String,
        /// The output format.
        #[arg(long, value_enum, default_value_t = ResultFormat::Table)]
        format: ResultFormat,
        /// For a spreadsheet: with --format csv, put an apostrophe before what it would run as a formula.
        #[arg(long)]
        spreadsheet: bool,
        #[command(flatten)]
        config: Config,
    },
}

/// The output format of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ResultFormat {
    /// For people.
    Table,
    /// One object: outcome, columns, rows.
    Json,
    /// One object for each row, with the columns as keys.
    Jsonl,
    /// With a header; an empty field is null, an empty text is "".
    Csv,
}

/// The configuration file and the output format.
#[derive(Debug, Args)]
pub(crate) struct At {
    #[command(flatten)]
    config: Config,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// The arguments of `request file`.
#[derive(Debug, Args)]
pub(crate) struct FileArgs {
    /// The kind of request.
    #[arg(long, required_unless_present = "from")]
    kind: Option<String>,
    /// An argument, `name=value` for a text, a date and all others, or `name:=value` for an integer; may be given
    /// several times. Every user of this host can see it: for a person's number use a file.
    #[arg(long = "arg", value_name = "NAME=VALUE")]
    arguments: Vec<String>,
    /// The purpose code.
    #[arg(long, required_unless_present = "from")]
    purpose: Option<String>,
    /// The legal basis code.
    #[arg(long, required_unless_present = "from")]
    basis: Option<String>,
    /// The deadline: a duration such as 2d, or a time with its zone.
    #[arg(long, value_name = "TIME")]
    deadline: Option<String>,
    /// The key of the request: filing twice under one key is one request. Default: a new one each time.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// File again if the last request under this key was refused, expired, cancelled or failed. If it is pending or
    /// answered, nothing is filed.
    #[arg(long)]
    again: bool,
    /// Write the signed request to this new file and publish nothing, so that another program can POST it to a gateway. Opens no
    /// connection.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["from", "again"])]
    out: Option<PathBuf>,
    /// A file of requests, .jsonl or .csv; invalid lines are written to FILE.rejected.jsonl or .csv, the others are filed.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["kind", "arguments", "key"])]
    from: Option<PathBuf>,
    /// The requesting person. Default: the login name.
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    #[command(flatten)]
    at: At,
}

/// The arguments of `request list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only this kind.
    #[arg(long)]
    kind: Option<String>,
    /// Only this state: kept, filed, `not_filed`, stored, confirmed.
    #[arg(long, value_name = "STATE", value_parser = parse_state)]
    state: Option<RequestState>,
    /// Only this outcome: answered, empty, partial, refused, expired, cancelled, failed.
    #[arg(long)]
    outcome: Option<String>,
    /// Only requests filed at or after this time.
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// The maximum number of requests.
    #[arg(long, default_value_t = 100)]
    most: u32,
    #[command(flatten)]
    at: At,
}

/// An unknown state.
#[derive(Debug, thiserror::Error)]
#[error("give kept, filed, not_filed, stored or confirmed")]
struct BadState;

fn parse_state(word: &str) -> Result<RequestState, BadState> {
    RequestState::of_word(word).ok_or(BadState)
}

/// Runs a command to its end.
pub(crate) async fn run(command: RequestCommand) -> Outcome {
    match command {
        RequestCommand::File(args) => file::run(args).await,
        RequestCommand::List(args) => list::run(args).await,
        RequestCommand::Show { id, personal, at } => show::run(&id, personal, &at).await,
        RequestCommand::Watch { id, at } => watch::run(&id, &at).await,
        RequestCommand::Cancel {
            id,
            reason,
            actor,
            at,
        } => cancel(&id, &reason, actor, &at).await,
        RequestCommand::Result {
            id,
            format,
            spreadsheet,
            config,
        } => result::run(&id, format, spreadsheet, &config).await,
    }
}

/// Connects a client to the exchange.
async fn client(loaded: &Loaded<CommercialFile>) -> Result<Client, Failure> {
    let (file, folder) = (&loaded.value, loaded.folder());
    let exchange = ExchangeClient::connect(file.exchange.command_options(folder)?).await?;
    Ok(Client::of(
        Arc::new(exchange),
        file.commercial.recipient.clone(),
        file.origin(),
        file.signing.key(folder)?,
        file.trust.answers().to_vec(),
        file.encryption.decryption_keys(folder)?,
    ))
}

fn actor(given: Option<String>) -> Result<String, Failure> {
    operator::actor(given, "asks")
}

fn failed(error: Error) -> Failure {
    let exit = match &error {
        Error::Exchange(_) => {
            let Error::Exchange(error) = error else {
                return Failure::internal(&"an error changed");
            };
            return error.into();
        }
        Error::NotYet(_) => Exit::Unfinished,
        Error::Message(_) | Error::Part(_) | Error::Row(_) | Error::Contradiction { .. } => Exit::Evidence,
        _ => Exit::Usage,
    };
    Failure::new(exit, error.to_string())
}

async fn cancel(text: &str, reason: &str, given: Option<String>, at: &At) -> Outcome {
    let loaded: Loaded<CommercialFile> = load(&at.config.config)?;
    let who = actor(given)?;
    let client = client(&loaded).await?;
    let cancelled = async {
        let id = client.find(text).await?;
        let outcome = client.cancel(&id, &format!("{who}: {reason}")).await?;
        Ok((id, outcome))
    };
    let cancelled = cancelled.await;
    client.close().await;
    let (id, outcome) = cancelled.map_err(failed)?;
    let report = CancelReport {
        id: id.to_string(),
        is_cancel_requested: outcome.is_none(),
        outcome: outcome.as_ref().map(|outcome| outcome.name().to_owned()),
    };
    match outcome {
        Some(outcome) => {
            if at.json {
                output::report(&report, true)?;
            }
            Err(Failure::new(
                Exit::TooLate,
                format!(
                    "{id} is not cancelled: it already has its outcome: {}",
                    render::outcome(&outcome)
                ),
            ))
        }
        None => {
            output::report(&report, at.json)?;
            Ok(Exit::Done)
        }
    }
}

/// A requested cancellation.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "request cancel")]
pub(in crate::commands) struct CancelReport {
    /// The id of the request.
    id: String,
    /// Whether the bureau is asked not to answer; `false` if the request had its outcome before.
    is_cancel_requested: bool,
    /// The outcome that it had before.
    outcome: Option<String>,
}

impl Report for CancelReport {
    fn view(&self) -> View {
        let mut view = View::new();
        view.line(format!(
            "{0}: cancel requested; `slacktide request show {0}` shows the final outcome",
            self.id
        ));
        view
    }
}
