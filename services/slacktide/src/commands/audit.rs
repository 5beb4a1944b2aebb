//! `slacktide audit replay|verify`.

use std::io::Write as _;
use std::path::Path;

use ::audit::AuditError;
use ::audit::replay::{Lines, replay};
use ::audit::selection::Selection;
use ::audit::verify::{Findings, Trust, verify};
use ::exchange::port::{From, Stream};
use nats::JetStream;
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemas::name::{FeedName, RecipientName};

use crate::audit_heads::HeadsFile;
use crate::cli::{AuditCommand, Part, Since, StreamName};
use crate::failure::{Failure, Outcome};
use crate::output::{self, Line, Style};
use crate::settings::{PartyFile, load};

/// Runs one of them.
pub(crate) async fn run(command: AuditCommand) -> Outcome {
    match command {
        AuditCommand::Replay {
            config,
            stream,
            part,
            rows,
        } => {
            if let Some(Since::File(path)) = &part.since {
                return Err(no_time(path));
            }
            let (loaded, exchange) = connect(&config.config).await?;
            let ring = loaded.value.sealing.ring(loaded.folder())?;
            let selection = selection(stream, &part)?;
            let lines = if rows { Lines::Rows } else { Lines::Payloads };
            let mut out = output::JsonLines::default();
            replay(&exchange, &selection, lines, &ring, &mut out)
                .await
                .map_err(failed)?;
            out.flush().map_err(|error| Failure::internal(&error))?;
            Ok(Exit::Done)
        }
        AuditCommand::Verify { config, part, json } => {
            let (loaded, exchange) = connect(&config.config).await?;
            let seals = loaded.value.sealing.ring(loaded.folder())?;
            let here = loaded.value.origin();
            let trust = loaded.value.trust;
            if trust.chunks.is_empty() {
                return Err(Failure::usage(format!(
                    "{}: trust.chunks: is empty, so no signature counts; put the bureau's sign.pub (A…) there",
                    loaded.path.display()
                )));
            }
            let trust = Trust {
                chunks: trust.chunks,
                receipts: trust.receipts,
                entries: trust.entries,
                here,
                seals,
            };
            let heads = HeadsFile::of(&part)?;
            let selection = selection(StreamName::Data, &part)?;
            let kept = heads.as_ref().and_then(HeadsFile::kept);
            let findings = verify(&exchange, &trust, &selection, kept)
                .await
                .map_err(failed)?;
            tell(&findings, json)?;
            if !findings.sound() {
                return Ok(Exit::Evidence);
            }
            if let Some(heads) = heads {
                output::note(&heads.advance(&findings.heads)?);
            }
            Ok(Exit::Done)
        }
    }
}

fn tell(findings: &Findings, json: bool) -> Result<(), Failure> {
    if json {
        return output::json(findings);
    }
    output::lines(lines(findings));
    Ok(())
}

/// PURE: the findings for people.
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
            "{} of {} chunks, {} receipts and {} audit entries hold",
            findings.chunks_verified, findings.chunks, findings.receipts_verified, findings.entries_verified
        )
        .into(),
    );
    if findings.chunks_not_opened > 0 {
        let what = format!(
            ": rows, rejects and sums of money of {} sealed chunks; their signatures, links, numbers and bodies hold. To \
             check them too, give [sealing] a seed of the recipient",
            findings.chunks_not_opened
        );
        lines.push(Line::styled(Style::Waiting, "NOT CHECKED").and(what));
    }
    let faults = findings.faults.iter();
    lines.extend(faults.map(|fault| Line::styled(Style::Alarm, "FAULT").and(format!(" {fault}"))));
    lines
}

async fn connect(path: &Path) -> Result<(Loaded<PartyFile>, JetStream), Failure> {
    let loaded: Loaded<PartyFile> = load(path)?;
    let options = loaded.value.exchange.command(loaded.folder())?;
    let exchange = JetStream::connect(options).await?;
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
    let bad = |error: schemas::name::BadName| Failure::usage(error.to_string());
    Ok(Selection {
        from: match &part.since {
            Some(Since::Time(time)) => From::Time(*time),
            _ => From::Sequence(part.from.unwrap_or(1)),
        },
        to_sequence: part.to,
        to_time: part.until,
        recipient: part
            .recipient
            .as_ref()
            .map(RecipientName::new)
            .transpose()
            .map_err(bad)?,
        feed: part.feed.as_ref().map(FeedName::new).transpose().map_err(bad)?,
        ..Selection::all(stream)
    })
}

fn no_time(path: &Path) -> Failure {
    Failure::usage(format!(
        "--since {}: that is no time; give one like 2026-01-31T08:00:00+08:00",
        path.display()
    ))
}

fn failed(error: AuditError) -> Failure {
    match error {
        AuditError::Exchange { stream, source } => {
            let place = format!("the {stream:?} stream cannot be read");
            let failure = Failure::from(source);
            Failure::new(failure.exit, format!("{place}: {failure}"))
        }
        AuditError::Output(error) => {
            Failure::new(Exit::Unfinished, format!("the output cannot be written: {error}"))
        }
    }
}
