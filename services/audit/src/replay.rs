//! Messages as JSON lines.
//!
//! Every line names the message's place. A message that cannot be read is a line too, with the
//! reason, so that no gap goes unseen. Rows hold personal data: they are printed because the
//! auditor asked for them, and nowhere else.

use std::io::Write;
use std::ops::ControlFlow;

use exchange::{Exchange, Stored};
use schemas::chunk::{self, Verified};
use schemas::column::Column;
use schemas::envelope::Envelope;
use schemas::rows::RowReader;
use schemas::seal::SealRing;
use schemas::value::Value;
use serde_json::{Map, json};

use crate::error::AuditError;
use crate::selection::Selection;
use crate::walk::walk;

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// One a message: its signed payload.
    Payloads,
    /// One a row of each chunk.
    Rows,
}

/// Writes the selection as JSON lines, sealed rows opened with these keys, and returns how many messages were read.
///
/// # Errors
/// [`AuditError`] from the exchange or the output.
pub async fn replay(
    exchange: &dyn Exchange,
    selection: &Selection,
    lines: Lines,
    ring: &SealRing,
    out: &mut (dyn Write + Send),
) -> Result<u64, AuditError> {
    walk(exchange, selection, |message| {
        match lines {
            Lines::Payloads => payload(&message, out)?,
            Lines::Rows => rows(&message, ring, out)?,
        }
        Ok(ControlFlow::Continue(()))
    })
    .await
}

fn payload(message: &Stored, out: &mut dyn Write) -> Result<(), AuditError> {
    let read = Envelope::decode(&message.bytes).and_then(|envelope| {
        let payload = serde_json::from_slice::<serde_json::Value>(&envelope.payload);
        // What an agent refuses is not shown as one of the things that it could mean.
        let unique = schemas::unique::check(&envelope.payload);
        let payload = payload
            .and_then(|payload| unique.map(|()| payload))
            .map_err(|error| {
                schemas::envelope::EnvelopeError::Frame(format!(
                    "its payload is not JSON of one meaning: {error}"
                ))
            })?;
        Ok((envelope, payload))
    });
    let mut line = place(message);
    match read {
        Ok((envelope, payload)) => {
            line.insert("kind".into(), json!(envelope.kind));
            line.insert("digest".into(), json!(envelope.digest()));
            line.insert("payload".into(), payload);
        }
        Err(error) => {
            line.insert("unreadable".into(), json!(error.to_string()));
        }
    }
    write_line(&line, out)
}

fn rows(message: &Stored, ring: &SealRing, out: &mut dyn Write) -> Result<(), AuditError> {
    let unreadable = |reason: String, out: &mut dyn Write| {
        let mut line = place(message);
        line.insert("unreadable".into(), json!(reason));
        write_line(&line, out)
    };
    let Verified { manifest, plain, .. } = match chunk::read(&message.bytes, ring) {
        Ok(opened) => opened,
        Err(error) => return unreadable(error.to_string(), out),
    };
    let columns = &manifest.schema.columns;
    let mut reader = RowReader::new(&plain, columns.len(), manifest.totals.rows);
    let mut row = Vec::new();
    loop {
        match reader.next_into(&mut row) {
            Ok(false) => return Ok(()),
            Ok(true) => {
                let mut line = place(message);
                line.insert("epoch".into(), json!(manifest.epoch));
                line.insert("number".into(), json!(manifest.number));
                line.insert("row".into(), object(columns, &row));
                write_line(&line, out)?;
            }
            Err(error) => return unreadable(error.to_string(), out),
        }
    }
}

fn place(message: &Stored) -> Map<String, serde_json::Value> {
    let mut line = Map::new();
    line.insert("subject".into(), json!(message.subject));
    line.insert("sequence".into(), json!(message.sequence));
    line.insert("stored_at".into(), json!(message.stored_at));
    line
}

fn object(columns: &[Column], row: &[Value<'_>]) -> serde_json::Value {
    let pairs = columns
        .iter()
        .zip(row)
        .map(|(column, value)| (column.name.clone(), value.json()));
    serde_json::Value::Object(pairs.collect())
}

fn write_line(line: &Map<String, serde_json::Value>, out: &mut dyn Write) -> Result<(), AuditError> {
    serde_json::to_writer(&mut *out, line).map_err(std::io::Error::from)?;
    out.write_all(b"\n")?;
    Ok(())
}
