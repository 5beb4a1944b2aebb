//! `slacktide audit replay|verify`.

use std::io::Write as _;
use std::path::Path;

use ::audit::AuditError;
use ::audit::replay::{Lines, replay};
use ::audit::selection::Selection;
use ::audit::verify::{Findings, Trust, verify};
use ::exchange::port::{ReadFrom, Stream};
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemas::name::{FeedName, RecipientName};

use crate::audit_heads::HeadsFile;
use crate::cli::{AuditCommand, Part, Since, StreamName};
use crate::exchange_client::ExchangeClient;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Line, Style};
use crate::settings::{PartyFile, load};

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
            replay(&exchange, &selection, lines, &decryption_keys, &mut out)
                .await
                .map_err(failed)?;
            out.flush().map_err(|error| Failure::internal(&error))?;
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
            let findings = verify(&exchange, &trust, &selection, known_heads)
                .await
                .map_err(failed)?;
            print(&findings, json)?;
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

fn print(findings: &Findings, json: bool) -> Result<(), Failure> {
    if json {
        return output::json(findings);
    }
    output::lines(lines(findings));
    Ok(())
}

/// Renders the findings as lines.
pub(super) fn lines(findings: &Findings) -> Vec<Line> {
    let lanes = findings.lanes.iter().map(|(lane, report)| {
        format!(
            "{lane}: {} chunks, {} rows, up to epoch {} number {}",
            report.chunks, report.rows, report.epoch, report.number
        )
    });
    let mut lines: Vec<Line> = lanes.map(Line::from).collect();
    lines.push(
        format!(
            "{} of {} chunks, {} receipts and {} audit entries are valid",
            findings.chunks_verified, findings.chunks, findings.receipts_verified, findings.entries_verified
        )
        .into(),
    );
    if findings.chunks_not_decrypted > 0 {
        let what = format!(
            ": rows, rejects and sums of money of {} encrypted chunks; their signatures, links, numbers and bodies are valid. To \
             check them too, add a seed of the recipient to [encryption]",
            findings.chunks_not_decrypted
        );
        lines.push(Line::styled(Style::Waiting, "NOT CHECKED").and(what));
    }
    let faults = findings.faults.iter();
    lines.extend(faults.map(|fault| Line::styled(Style::Alarm, "FAULT").and(format!(" {fault}"))));
    lines
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
