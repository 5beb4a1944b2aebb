//! `slacktide audit replay|verify|export|rebuild|diff|request|person|questions|trust`.
//!
//! - `replay`, `export`, `rebuild`, `diff`, `trail`, `questions` these commands; `report` the findings as a value; `counting` shows how many messages are read

mod counting;
pub(super) mod diff;
pub(super) mod export;
pub(super) mod questions;
pub(super) mod rebuild;
mod replay;
pub(super) mod report;
pub(super) mod trail;

use std::path::Path;

use ::audit::AuditError;
use ::audit::selection::Selection;
use ::audit::verify::{Trust, verify};
use ::exchange::port::{ReadFrom, Stream};
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemas::name::{FeedName, RecipientName};

use crate::audit_heads::HeadsFile;
use crate::cli::{AuditCommand, Config, Part, Since, StreamName};
use crate::exchange_client::ExchangeClient;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::{PartyFile, load};
use counting::Counting;
use report::VerifyReport;

/// Runs a subcommand.
pub(crate) async fn run(command: AuditCommand) -> Outcome {
    match command {
        AuditCommand::Replay { .. } => replay::run(command).await,
        AuditCommand::Export { .. } => export::run(command).await,
        AuditCommand::Rebuild(args) => rebuild::run(args).await,
        AuditCommand::Diff(args) => diff::run(args).await,
        AuditCommand::Request(args) => trail::run_request(args).await,
        AuditCommand::Person(args) => trail::run_person(args).await,
        AuditCommand::Questions(args) => questions::list(&args),
        AuditCommand::Verify { config, part, json } => run_verify(&config, &part, json).await,
        AuditCommand::Trust { config } => print_trust(&config.config),
    }
}

async fn run_verify(config: &Config, part: &Part, json: bool) -> Outcome {
    let (loaded, exchange) = connect(&config.config).await?;
    let decryption_keys = loaded.value.encryption.decryption_keys(loaded.folder())?;
    require_chunk_keys(&loaded)?;
    let trust: Trust = loaded.value.trust_file(None).trust(decryption_keys);
    let heads = HeadsFile::of(part)?;
    let selection = selection(StreamName::Data, part)?;
    let known_heads = heads.as_ref().and_then(HeadsFile::known_heads);
    let findings = {
        let exchange = Counting::new(&exchange);
        let found = verify(&exchange, &trust, &selection, known_heads).await;
        found.map_err(failed)?
    };
    output::report(&VerifyReport::of_streams(&findings), json)?;
    if !findings.is_sound() {
        return Ok(Exit::Evidence);
    }
    if let Some(heads) = heads {
        output::note(&heads.advance(&findings.heads)?);
    }
    Ok(Exit::Done)
}

fn require_chunk_keys(loaded: &Loaded<PartyFile>) -> Result<(), Failure> {
    if loaded.value.trust.chunks.is_empty() {
        return Err(Failure::usage(format!(
            "{}: trust.chunks: is empty, so no signature can be verified; put the bureau's sign.pub (A…) there",
            loaded.path.display()
        )));
    }
    Ok(())
}

fn print_trust(path: &Path) -> Outcome {
    let loaded: Loaded<PartyFile> = load(path)?;
    let own = loaded
        .value
        .signing
        .as_ref()
        .map(|signing| signing.key(loaded.folder()))
        .transpose()?;
    let file = loaded.value.trust_file(own.as_ref().map(|key| key.public()));
    let text = toml::to_string(&file).map_err(|error| Failure::internal(&error))?;
    output::exact(&text);
    Ok(Exit::Done)
}

async fn connect(path: &Path) -> Result<(Loaded<PartyFile>, ExchangeClient), Failure> {
    let loaded: Loaded<PartyFile> = load(path)?;
    let options = loaded.value.exchange.command_options(loaded.folder())?;
    let exchange = ExchangeClient::connect(options).await?;
    Ok((loaded, exchange))
}

fn selection(stream: StreamName, part: &Part) -> Result<Selection, Failure> {
    let stream = match stream {
        StreamName::Data => Stream::Data,
        StreamName::Receipts => Stream::Receipts,
        StreamName::Requests => Stream::Requests,
        StreamName::Cancels => Stream::Cancels,
        StreamName::Approvals => Stream::Approvals,
        StreamName::Progress => Stream::Progress,
        StreamName::Parts => Stream::Parts,
        StreamName::Replies => Stream::Replies,
        StreamName::Confirms => Stream::Confirms,
        StreamName::Audit => Stream::Audit,
        StreamName::Control => Stream::Control,
    };
    let invalid = |error: schemas::name::BadName| Failure::usage(error.to_string());
    Ok(Selection {
        from: match &part.since {
            Some(Since::Time(time)) => ReadFrom::Time(*time),
            _ => ReadFrom::Sequence(part.from.unwrap_or(1)),
        },
        to_sequence: part.to,
        to_time: part.until,
        recipient: part
            .recipient
            .as_ref()
            .map(RecipientName::new)
            .transpose()
            .map_err(invalid)?,
        feed: part
            .feed
            .as_ref()
            .map(FeedName::new)
            .transpose()
            .map_err(invalid)?,
        ..Selection::all(stream)
    })
}

fn invalid_time(path: &Path) -> Failure {
    Failure::usage(format!(
        "--since {}: not a valid time; give one like 2026-01-31T08:00:00+08:00",
        path.display()
    ))
}

fn failed(error: AuditError) -> Failure {
    match error {
        AuditError::Exchange { stream, source } => {
            let context = format!("the {stream:?} stream cannot be read");
            let failure = Failure::from(source);
            Failure::new(failure.exit, format!("{context}: {failure}"))
        }
        AuditError::Output(error) => {
            Failure::new(Exit::Unfinished, format!("the output cannot be written: {error}"))
        }
        error @ (AuditError::Columns { .. } | AuditError::Unreadable { .. }) => {
            Failure::new(Exit::Unfinished, error.to_string())
        }
    }
}
