//! `slacktide request …`: what an insurer asks of the bureau, and what came of it.
//!
//! Everything but `list` comes from the exchange alone: a request is found again when every local file is lost.
//!
//! - `file` one request, or a file of them; `input` PURE: the requests of a file; `records` PURE: such a file as CSV; `lines` PURE: a line of it
//! - `show` how a request stands, `watch` until it has an outcome; `told` PURE: in which words
//! - `list` what this insurer's store knows; `result` the rows of an answer; `csv` PURE: the rows as CSV

mod csv;
mod file;
mod input;
mod lines;
pub(super) mod list;
mod records;
pub(super) mod result;
mod show;
pub(super) mod told;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use nats::JetStream;
use runtime::config::Loaded;
use runtime::exit::Exit;
use slacktide_client::{Client, Error};
use store::requests::Standing;

use super::operator;
use crate::cli::Config;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::{CommercialFile, load};

/// The request commands.
#[derive(Debug, Subcommand)]
pub(crate) enum RequestCommand {
    /// Files a request, or a file of them. Filing twice under one key is one request.
    #[command(
        after_help = "Examples:\n  slacktide request file --kind setl.by_person --arg psn_no=31010004711 --arg from=2026-01-01 --arg to=2026-01-31 --purpose 01 --basis 01 --deadline 2d --config config/commercial.toml\n  slacktide request file --from requests.csv --config config/commercial.toml"
    )]
    File(FileArgs),
    /// Shows the requests that this insurer's store knows, the latest first. No arguments are shown.
    #[command(
        after_help = "Examples:\n  slacktide request list --outcome refused --config config/commercial.toml\n  slacktide request list --state filed --config config/commercial.toml"
    )]
    List(ListArgs),
    /// Shows how a request stands, with the time of each step, from the exchange alone.
    #[command(
        after_help = "Example:\n  slacktide request show 20260131-x7k2m9q4 --config config/commercial.toml"
    )]
    Show {
        /// Its id, or so much of its beginning that no other has it.
        id: String,
        /// Shows its arguments, too. They are about a person.
        #[arg(long)]
        personal: bool,
        #[command(flatten)]
        at: At,
    },
    /// Waits until each of these requests has an outcome, and says so. Without ids: until nothing waits, at the exchange
    /// or in this insurer's store.
    #[command(
        after_help = "Example:\n  slacktide request watch 20260131-x7k2m9q4 --config config/commercial.toml"
    )]
    Watch {
        /// Their ids, or so much of each that no other begins with it.
        id: Vec<String>,
        #[command(flatten)]
        at: At,
    },
    /// Asks the bureau not to answer any more. The first final outcome wins.
    #[command(
        after_help = "Example:\n  slacktide request cancel 20260131-x7k2m9q4 --reason \"settled otherwise\" --config config/commercial.toml"
    )]
    Cancel {
        /// Its id, or so much of its beginning that no other has it.
        id: String,
        /// Why. It is signed and kept; name no person in it.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Who decides. Left out: the login name.
        #[arg(long, value_name = "NAME")]
        actor: Option<String>,
        #[command(flatten)]
        at: At,
    },
    /// Prints the rows of an answer, verified, from the exchange. They are about persons.
    #[command(
        after_help = "Example:\n  slacktide request result 20260131-x7k2m9q4 --format csv --config config/commercial.toml"
    )]
    Result {
        /// Its id, or so much of its beginning that no other has it.
        id: String,
        /// In which form.
        #[arg(long, value_enum, default_value_t = Form::Table)]
        format: Form,
        /// For a spreadsheet: with --format csv, put an apostrophe before what it would run as a formula.
        #[arg(long)]
        spreadsheet: bool,
        #[command(flatten)]
        config: Config,
    },
}

/// The form of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// For people.
    Table,
    /// One object: outcome, columns, rows.
    Json,
    /// With a header; an empty field is null, an empty text is "".
    Csv,
}

/// Where, and in which form.
#[derive(Debug, Args)]
pub(crate) struct At {
    #[command(flatten)]
    config: Config,
    /// Prints it as JSON.
    #[arg(long)]
    json: bool,
}

/// What is filed.
#[derive(Debug, Args)]
pub(crate) struct FileArgs {
    /// The kind of request.
    #[arg(long, required_unless_present = "from")]
    kind: Option<String>,
    /// An argument, `name=value` for a text, a date and all others, or `name:=value` for an integer; may be given
    /// several times. Everybody on this host sees it: for a person's number use a file.
    #[arg(long = "arg", value_name = "NAME=VALUE")]
    arguments: Vec<String>,
    /// The purpose code.
    #[arg(long, required_unless_present = "from")]
    purpose: Option<String>,
    /// The legal basis code.
    #[arg(long, required_unless_present = "from")]
    basis: Option<String>,
    /// Until when an answer is wanted: a length of time such as 2d, or a time with its zone.
    #[arg(long, value_name = "TIME")]
    deadline: Option<String>,
    /// Your own name for the request: filed twice under it, it is one. Left out: a new one each time.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Asks again where the last request under this key was refused, expired, cancelled or failed. While it waits, or
    /// where it was answered, nothing is filed.
    #[arg(long)]
    again: bool,
    /// A file of requests, .jsonl or .csv; bad lines are put aside in FILE.rejected.jsonl or .csv, and the others go on.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["kind", "arguments", "key"])]
    from: Option<PathBuf>,
    /// Who asks. Left out: the login name.
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    #[command(flatten)]
    at: At,
}

/// Which requests are listed.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Of this kind only.
    #[arg(long)]
    kind: Option<String>,
    /// That stands so only: kept, filed, `not_filed`, stored, confirmed.
    #[arg(long, value_name = "STATE", value_parser = standing)]
    state: Option<Standing>,
    /// With this outcome only: answered, empty, partial, refused, expired, cancelled, failed.
    #[arg(long)]
    outcome: Option<String>,
    /// Filed at this time or later.
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// At most so many.
    #[arg(long, default_value_t = 100)]
    most: u32,
    #[command(flatten)]
    at: At,
}

fn standing(word: &str) -> Result<Standing, String> {
    Standing::of_word(word).ok_or_else(|| "it is kept, filed, not_filed, stored or confirmed".to_owned())
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

/// The exchange as this insurer sees it.
async fn client(loaded: &Loaded<CommercialFile>) -> Result<Client, Failure> {
    let (file, folder) = (&loaded.value, loaded.folder());
    let exchange = JetStream::connect(file.exchange.command(folder)?).await?;
    Ok(Client::of(
        Arc::new(exchange),
        file.commercial.recipient.clone(),
        file.origin(),
        file.signing.key(folder)?,
        file.trust.answers().to_vec(),
        file.sealing.ring(folder)?,
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
    if at.json {
        let outcome = outcome.as_ref().map(slacktide_client::Outcome::name);
        output::json(
            &serde_json::json!({ "id": id, "cancel_asked": outcome.is_none(), "outcome": outcome }),
        )?;
    }
    match outcome {
        Some(outcome) => Err(Failure::new(
            Exit::TooLate,
            format!(
                "{id} is not cancelled: it has its outcome already: {}",
                told::outcome(&outcome)
            ),
        )),
        None if at.json => Ok(Exit::Done),
        None => {
            output::line(&format!(
                "{id}: the bureau is asked not to answer; `slacktide request show {id}` tells which outcome came first"
            ));
            Ok(Exit::Done)
        }
    }
}
