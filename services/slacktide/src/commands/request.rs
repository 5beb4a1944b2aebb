//! `slacktide request …`: files data requests and shows their outcomes.
//!
//! All commands but `list` read only the exchange: requests are found even if every local file is lost.
//!
//! - `file` files requests, `filing` is its value; `sign` writes a signed request to a file; `input` reads a file of requests,
//!   `records` its CSV, `lines` a line of it
//! - `show` shows the state of a request, `watch` waits for outcomes; `render` formats both, `step` is a step as JSON
//! - `list` lists the store's requests; `result` prints the rows of an answer; `csv` formats rows as CSV

pub(super) mod csv;
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

use std::sync::Arc;

use runtime::config::Loaded;
use runtime::exit::Exit;
use schemars::JsonSchema;
use serde::Serialize;
use slacktide_client::{Client, Error};

use super::operator;
use crate::cli::request::{At, RequestCommand};
use crate::exchange_client::ExchangeClient;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Report, View};
use crate::settings::{CommercialFile, load};

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
pub(super) async fn client(loaded: &Loaded<CommercialFile>) -> Result<Client, Failure> {
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

pub(super) fn failed(error: Error) -> Failure {
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
