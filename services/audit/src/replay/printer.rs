//! Prints a message as text, as JSON lines or as CSV.

use std::io::Write;

use exchange::Stored;
use schemas::chunk::VerifiedChunk;
use schemas::column::Column;
use schemas::encryption::DecryptionKeys;
use schemas::envelope::{Envelope, EnvelopeError};
use schemas::rows::RowReader;
use schemas::value::Value;
use serde_json::{Map, json};

use crate::error::AuditError;

/// The content that is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// The signed payload of a message.
    Payloads,
    /// The rows of a chunk.
    Rows,
}

/// The format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One line for each message, for people: time, position, kind, digest.
    Text,
    /// One JSON object on each line.
    JsonLines,
    /// RFC 4180, with a line of names first.
    Csv,
}

/// Prints messages to an output.
pub struct Printer<'a> {
    format: Format,
    lines: Lines,
    keys: &'a DecryptionKeys,
    out: Output<'a>,
    /// The columns of the CSV so far.
    columns: Option<Vec<String>>,
}

enum Output<'a> {
    Plain(&'a mut (dyn Write + Send)),
    Csv(Box<csv::Writer<&'a mut (dyn Write + Send)>>),
}

impl<'a> Printer<'a> {
    /// Creates a printer that decrypts rows with these keys.
    pub fn new(
        format: Format,
        lines: Lines,
        keys: &'a DecryptionKeys,
        out: &'a mut (dyn Write + Send),
    ) -> Self {
        let out = match format {
            Format::Csv => Output::Csv(Box::new(
                csv::WriterBuilder::new().flexible(false).from_writer(out),
            )),
            Format::Text | Format::JsonLines => Output::Plain(out),
        };
        Self {
            format,
            lines,
            keys,
            out,
            columns: None,
        }
    }

    /// Prints a message.
    ///
    /// # Errors
    /// [`AuditError::Output`] from the output; [`AuditError::Columns`] if the rows of a CSV get other columns.
    pub fn print(&mut self, message: &Stored) -> Result<(), AuditError> {
        match (self.lines, self.format) {
            (Lines::Rows, _) => self.rows(message),
            (Lines::Payloads, Format::Text) => self.text(message),
            (Lines::Payloads, _) => self.payload(message),
        }
    }

    /// Writes what is buffered.
    ///
    /// # Errors
    /// [`AuditError::Output`].
    pub fn finish(&mut self) -> Result<(), AuditError> {
        match &mut self.out {
            Output::Plain(out) => out.flush()?,
            Output::Csv(out) => out.flush()?,
        }
        Ok(())
    }

    fn text(&mut self, message: &Stored) -> Result<(), AuditError> {
        let read = read_payload(message);
        let content = match &read {
            Ok((envelope, payload)) => format!("{} {}", envelope.kind, summary(payload)),
            Err(error) => format!("unreadable: {error}"),
        };
        let line = format!(
            "{} {} {} {content}\n",
            message.stored_at, message.sequence, message.subject
        );
        self.write(line.as_bytes())
    }

    fn payload(&mut self, message: &Stored) -> Result<(), AuditError> {
        let mut line = place(message);
        match read_payload(message) {
            Ok((envelope, payload)) => {
                line.insert("kind".into(), json!(envelope.kind));
                line.insert("digest".into(), json!(envelope.digest()));
                line.insert("payload".into(), payload);
            }
            Err(error) => {
                line.insert("unreadable".into(), json!(error.to_string()));
            }
        }
        const COLUMNS: [&str; 7] = [
            "subject",
            "sequence",
            "stored_at",
            "kind",
            "digest",
            "payload",
            "unreadable",
        ];
        self.object(&line, &COLUMNS)
    }

    fn rows(&mut self, message: &Stored) -> Result<(), AuditError> {
        let VerifiedChunk { manifest, plain, .. } = match VerifiedChunk::read(&message.bytes, self.keys) {
            Ok(opened) => opened,
            Err(error) => return self.unreadable(message, &error.to_string()),
        };
        let columns = &manifest.content.schema.columns;
        let mut reader = RowReader::new(&plain, columns.len(), manifest.content.totals.rows);
        let mut row = Vec::new();
        loop {
            match reader.next_into(&mut row) {
                Ok(false) => return Ok(()),
                Ok(true) => self.row(message, (manifest.epoch, manifest.number), columns, &row)?,
                Err(error) => return self.unreadable(message, &error.to_string()),
            }
        }
    }

    fn row(
        &mut self,
        message: &Stored,
        (epoch, number): (u32, u64),
        columns: &[Column],
        row: &[Value<'_>],
    ) -> Result<(), AuditError> {
        let mut line = place(message);
        line.insert("epoch".into(), json!(epoch));
        line.insert("number".into(), json!(number));
        if self.format == Format::Csv {
            // The names of a feed's columns may be those of the position.
            let position = ["subject", "sequence", "stored_at", "epoch", "number"];
            let names = position.map(|name| format!("_{name}"));
            let of_feed = columns.iter().map(|column| column.name.clone());
            let names: Vec<String> = names.into_iter().chain(of_feed).collect();
            let place = position.map(|name| cell(line.get(name)));
            let values = row.iter().map(|value| cell(Some(&value.json())));
            let record: Vec<String> = place.into_iter().chain(values).collect();
            return self.record(message, names, &record);
        }
        line.insert("row".into(), object(columns, row));
        self.json_line(&line)
    }

    fn unreadable(&mut self, message: &Stored, reason: &str) -> Result<(), AuditError> {
        if self.format == Format::Csv {
            return Err(AuditError::Unreadable {
                sequence: message.sequence,
                what: reason.to_owned(),
            });
        }
        let mut line = place(message);
        line.insert("unreadable".into(), json!(reason));
        self.json_line(&line)
    }

    fn object(&mut self, line: &Map<String, serde_json::Value>, columns: &[&str]) -> Result<(), AuditError> {
        if self.format != Format::Csv {
            return self.json_line(line);
        }
        let record: Vec<String> = columns.iter().map(|name| cell(line.get(*name))).collect();
        let names = columns.iter().map(|name| (*name).to_owned()).collect();
        self.write_record(names, &record)
    }

    fn record(&mut self, message: &Stored, names: Vec<String>, record: &[String]) -> Result<(), AuditError> {
        if self.columns.as_ref().is_some_and(|columns| *columns != names) {
            return Err(AuditError::Columns {
                subject: message.subject.clone(),
                sequence: message.sequence,
            });
        }
        self.write_record(names, record)
    }

    fn write_record(&mut self, names: Vec<String>, record: &[String]) -> Result<(), AuditError> {
        let Output::Csv(out) = &mut self.out else {
            return Ok(());
        };
        if self.columns.is_none() {
            out.write_record(&names).map_err(std::io::Error::from)?;
            self.columns = Some(names);
        }
        out.write_record(record).map_err(std::io::Error::from)?;
        Ok(())
    }

    fn json_line(&mut self, line: &Map<String, serde_json::Value>) -> Result<(), AuditError> {
        let mut text = serde_json::to_vec(line).map_err(std::io::Error::from)?;
        text.push(b'\n');
        self.write(&text)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), AuditError> {
        if let Output::Plain(out) = &mut self.out {
            out.write_all(bytes)?;
        }
        Ok(())
    }
}

fn read_payload(message: &Stored) -> Result<(Envelope, serde_json::Value), EnvelopeError> {
    let envelope = Envelope::decode(&message.bytes)?;
    let payload = serde_json::from_slice::<serde_json::Value>(&envelope.payload);
    // Ambiguous JSON, which agents refuse, is not shown in one of its meanings.
    let unique = schemas::unique::check_unique_keys(&envelope.payload);
    let payload = payload
        .and_then(|payload| unique.map(|()| payload))
        .map_err(|error| EnvelopeError::Frame(format!("its payload is ambiguous JSON: {error}")))?;
    Ok((envelope, payload))
}

/// Returns the fields of a payload that identify it, without values of rows.
fn summary(payload: &serde_json::Value) -> String {
    const FIELDS: [&str; 9] = [
        "epoch", "number", "to", "attempt", "action", "actor", "officer", "decision", "outcome",
    ];
    let shown = FIELDS.iter().filter_map(|name| {
        let value = payload.get(*name)?;
        let value = value.get("outcome").unwrap_or(value);
        (value.is_string() || value.is_number()).then(|| format!("{name}={}", cell(Some(value))))
    });
    shown.collect::<Vec<_>>().join(" ")
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

/// Returns the text of a CSV cell: a text as it is, nothing for `null`, everything else as JSON.
fn cell(value: Option<&serde_json::Value>) -> String {
    match value {
        None | Some(serde_json::Value::Null) => String::new(),
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
