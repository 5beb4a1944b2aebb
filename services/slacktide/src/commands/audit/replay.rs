//! `slacktide audit replay`.

use std::io::{self, Write as _};

use ::audit::AuditError;
use ::audit::replay::printer::{Format, Lines, Printer};
use ::audit::replay::{ReplayedStream, replay, replay_request};
use ::audit::selection::Selection;
use ::audit::walk::WalkEnd;
use runtime::exit::Exit;

use super::{connect, failed, invalid_time, selection};
use crate::cli::{AuditCommand, ReplayFormat, Since, StreamName};
use crate::failure::{Failure, Outcome};
use crate::output::{self, Progress};

/// Runs the command.
pub(super) async fn run(command: AuditCommand) -> Outcome {
    let AuditCommand::Replay {
        config,
        stream,
        part,
        request,
        rows,
        format,
    } = command
    else {
        return Err(Failure::usage("not a replay"));
    };
    if let Some(Since::File(path)) = &part.since {
        return Err(invalid_time(path));
    }
    let lines = if rows { Lines::Rows } else { Lines::Payloads };
    let format = match format {
        Some(ReplayFormat::Text) => Format::Text,
        Some(ReplayFormat::Jsonl) => Format::JsonLines,
        Some(ReplayFormat::Csv) => Format::Csv,
        None if output::is_terminal() && !rows => Format::Text,
        None => Format::JsonLines,
    };
    let (loaded, exchange) = connect(&config.config).await?;
    let keys = loaded.value.encryption.decryption_keys(loaded.folder())?;
    let selection = Selection {
        request: request.clone(),
        ..selection(stream.unwrap_or(StreamName::Data), &part)?
    };
    let mut out = output::JsonLines::default();
    let replayed = {
        let mut printer = Printer::new(format, lines, &keys, &mut out);
        if request.is_some() && stream.is_none() {
            replay_request(&exchange, &selection, &mut printer).await
        } else {
            let mut progress: Option<Progress> = None;
            // A terminal shows the lines themselves.
            let is_shown = !output::is_terminal();
            let mut show = |done, total| {
                if is_shown {
                    let progress = progress.get_or_insert_with(|| Progress::new("messages replayed", total));
                    progress.set(done, "");
                }
            };
            replay(&exchange, &selection, &mut printer, &mut show).await
        }
    };
    let streams = match replayed {
        Ok(streams) => streams,
        // The reader of the output has seen enough, or the output is full, which is reported at the end.
        Err(AuditError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Exit::Done),
        Err(error) => return Err(failed(error)),
    };
    // A closed pipe is no error here either.
    let _ = out.flush();
    Ok(report_ends(&streams))
}

/// Shows how far each stream was read. Returns whether each reached its end.
fn report_ends(streams: &[ReplayedStream]) -> Exit {
    let mut exit = Exit::Done;
    for ReplayedStream { stream, next, end } in streams {
        let read = match next {
            Some(next) => format!("{stream}: read up to sequence {}", next - 1),
            None => format!("{stream}: nothing selected"),
        };
        let from = next.map_or_else(String::new, |next| format!("; continue with --from {next}"));
        match end {
            WalkEnd::Reached if next.is_some() => output::note(&format!("{read}{from}")),
            WalkEnd::Reached => {}
            WalkEnd::Unknown => output::note(&format!(
                "{read}; this transport does not report the last sequence, so whether that is the end is not known{from}"
            )),
            WalkEnd::Missed { end } => {
                exit = Exit::Unfinished;
                output::note(&format!(
                    "{read}; NOT COMPLETE: the leader has sequence {end}, and the exchange did not return it{from}"
                ));
            }
        }
    }
    exit
}
