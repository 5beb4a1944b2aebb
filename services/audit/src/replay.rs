//! Messages as JSON lines.
//!
//! Every line names the message's position. An unreadable message is a line with the reason, so that no gap is missed. Rows hold
//! personal data: they are printed only here, because the auditor requested them.

use std::io::Write;
use std::ops::ControlFlow;

use exchange::{AuditExchange, Stored};
use schemas::chunk::VerifiedChunk;
use schemas::column::Column;
use schemas::encryption::DecryptionKeys;
use schemas::envelope::Envelope;
use schemas::rows::RowReader;
use schemas::value::Value;
use serde_json::{Map, json};

use crate::error::AuditError;
use crate::selection::Selection;
use crate::walk::walk;

/// The content of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// The signed payload of a message.
    Payloads,
    /// A row of a chunk.
    Rows,
}

/// Writes the selection as JSON lines, decrypting rows with these keys. Returns the number of messages read.
///
/// # Errors
/// [`AuditError`] from the exchange or the output.
pub async fn replay(
    exchange: &dyn AuditExchange,
    selection: &Selection,
    lines: Lines,
    keys: &DecryptionKeys,
    out: &mut (dyn Write + Send),
) -> Result<u64, AuditError> {
    walk(exchange, selection, |message| {
        match lines {
            Lines::Payloads => payload(&message, out)?,
            Lines::Rows => rows(&message, keys, out)?,
        }
        Ok(ControlFlow::Continue(()))
    })
    .await
}

fn payload(message: &Stored, out: &mut dyn Write) -> Result<(), AuditError> {
    let read = Envelope::decode(&message.bytes).and_then(|envelope| {
        let payload = serde_json::from_slice::<serde_json::Value>(&envelope.payload);
        // Ambiguous JSON, which agents refuse, is not shown in one of its meanings.
        let unique = schemas::unique::check_unique_keys(&envelope.payload);
        let payload = payload
            .and_then(|payload| unique.map(|()| payload))
            .map_err(|error| {
                schemas::envelope::EnvelopeError::Frame(format!("its payload is ambiguous JSON: {error}"))
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

fn rows(message: &Stored, keys: &DecryptionKeys, out: &mut dyn Write) -> Result<(), AuditError> {
    let unreadable = |reason: String, out: &mut dyn Write| {
        let mut line = place(message);
        line.insert("unreadable".into(), json!(reason));
        write_line(&line, out)
    };
    let VerifiedChunk { manifest, plain, .. } = match VerifiedChunk::read(&message.bytes, keys) {
        Ok(opened) => opened,
        Err(error) => return unreadable(error.to_string(), out),
    };
    let columns = &manifest.content.schema.columns;
    let mut reader = RowReader::new(&plain, columns.len(), manifest.content.totals.rows);
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
