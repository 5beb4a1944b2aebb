//! `slacktide audit replay|verify`.
//!
//! - `report` the findings as a value; `counting` shows how many messages are read

mod counting;
pub(super) mod report;

use std::io::{self, Write as _};
use std::path::Path;

use ::audit::AuditError;
use ::audit::replay::{Lines, replay};
use ::audit::selection::Selection;
use ::audit::verify::{Trust, verify};
use ::exchange::AuditExchange;
use ::exchange::port::{ReadFrom, Stream};
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemas::name::{FeedName, RecipientName};

use crate::audit_heads::HeadsFile;
use crate::cli::{AuditCommand, Part, Since, StreamName};
use crate::exchange_client::ExchangeClient;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::{PartyFile, load};
use counting::Counting;
use report::AuditReport;

/// Runs a subcommand.
pub(crate) async fn run(command: AuditCommand) -> Outcome {
    match command {
        AuditCommand::Replay {
            config,
            stream,
            part,
            rows,
        } => {
            if let Some(Since::File(path)) = &part.since {
                return Err(invalid_time(path));
            }
            let (loaded, exchange) = connect(&config.config).await?;
            let decryption_keys = loaded.value.encryption.decryption_keys(loaded.folder())?;
            let selection = selection(stream, &part)?;
            let lines = if rows { Lines::Rows } else { Lines::Payloads };
            let mut out = output::JsonLines::default();
            let counting = Counting::new(&exchange);
            // A terminal shows the lines themselves.
            let exchange: &dyn AuditExchange = if output::is_terminal() {
                &exchange
            } else {
                &counting
            };
            let replayed = replay(exchange, &selection, lines, &decryption_keys, &mut out).await;
            match replayed {
                Ok(_) => {}
                // The reader of the output has seen enough, or the output is full, which is reported at the end.
                Err(AuditError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {}
                Err(error) => return Err(failed(error)),
            }
            // A closed pipe is no error here either.
            let _ = out.flush();
            Ok(Exit::Done)
        }
        AuditCommand::Verify { config, part, json } => {
            let (loaded, exchange) = connect(&config.config).await?;
            let decryption_keys = loaded.value.encryption.decryption_keys(loaded.folder())?;
            let here = loaded.value.origin();
            let trust = loaded.value.trust;
            if trust.chunks.is_empty() {
                return Err(Failure::usage(format!(
                    "{}: trust.chunks: is empty, so no signature can be verified; put the bureau's sign.pub (A…) there",
                    loaded.path.display()
                )));
            }
            let trust = Trust {
                chunks: trust.chunks,
                receipts: trust.receipts,
                entries: trust.entries,
                here,
                decryption_keys,
            };
            let heads = HeadsFile::of(&part)?;
            let selection = selection(StreamName::Data, &part)?;
            let known_heads = heads.as_ref().and_then(HeadsFile::known_heads);
            let findings = {
                let exchange = Counting::new(&exchange);
                let found = verify(&exchange, &trust, &selection, known_heads).await;
                found.map_err(failed)?
            };
            output::report(&AuditReport::new(&findings), json)?;
            if !findings.is_sound() {
                return Ok(Exit::Evidence);
            }
            if let Some(heads) = heads {
                output::note(&heads.advance(&findings.heads)?);
            }
            Ok(Exit::Done)
        }
    }
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
    }
}
