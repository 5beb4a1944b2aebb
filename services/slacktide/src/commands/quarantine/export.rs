//! The export file: JSON lines with a header line.
//!
//! A message is exported unchanged, so that everyone with the publisher's public key can verify its signature.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use jiff::Timestamp;
use runtime::exit::Exit;
use schemars::JsonSchema;
use schemas::chunk::ExaminedChunk;
use schemas::digest::Digest;
use schemas::encryption::DecryptionKeys;
use schemas::sign::PublicKey;
use serde::{Deserialize, Serialize};
use store::quarantine::{Content, Entry, Kind};

use super::content::{decode_content, hex, unhex};
use super::render::short_id;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Report, View};

const FORMAT: &str = "slacktide.quarantine.v1";

/// The header line.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    format: String,
    warning: String,
    #[serde(default)]
    at: Option<Timestamp>,
}

/// A line with an entry.
#[derive(Debug, Serialize, Deserialize)]
struct ExportedEntry {
    id: String,
    lane: String,
    epoch: Option<u32>,
    number: Option<u64>,
    ordinal: Option<u64>,
    kind: String,
    reason: String,
    sequence: u64,
    exchanged_at: Timestamp,
    since: Timestamp,
    /// SHA-256 of the bytes.
    digest: String,
    /// The bytes: a message as it was published, a packed row, a reject's JSON.
    hex: String,
    /// The decoded content, as far as it can be decoded.
    content: serde_json::Value,
}

/// The file being written, with mode 0600.
pub(super) struct File {
    out: BufWriter<std::fs::File>,
    entries: u64,
}

fn write_error(error: &impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Unfinished, format!("the file cannot be written: {error}"))
}

impl File {
    /// Creates the file; never overwrites one.
    pub(super) fn create(path: &Path) -> Result<Self, Failure> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path);
        let file = file.map_err(|error| {
            Failure::usage(format!(
                "{}: {error}; give a path where a new file can be created",
                path.display()
            ))
        })?;
        let mut file = Self {
            out: BufWriter::new(file),
            entries: 0,
        };
        file.line(&Header {
            format: FORMAT.to_owned(),
            warning: "this file contains personal data".to_owned(),
            at: Some(Timestamp::now()),
        })?;
        Ok(file)
    }

    fn line(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value).map_err(|error| Failure::internal(&error))?;
        writeln!(self.out, "{text}").map_err(|error| write_error(&error))
    }

    /// Adds an entry.
    pub(super) fn entry(
        &mut self,
        entry: &Entry,
        content: &Content,
        decryption_keys: &DecryptionKeys,
    ) -> Result<(), Failure> {
        self.entries += 1;
        self.line(&ExportedEntry {
            id: entry.id.clone(),
            lane: entry.lane.to_string(),
            epoch: entry.chunk_number.map(|chunk| chunk.epoch),
            number: entry.chunk_number.map(|chunk| chunk.number),
            ordinal: entry.ordinal,
            kind: entry.kind.word().to_owned(),
            reason: entry.reason.clone(),
            sequence: entry.sequence,
            exchanged_at: entry.exchanged_at,
            since: entry.since,
            digest: Digest::of(&[&content.bytes]).to_string(),
            hex: hex(&content.bytes),
            content: decode_content(entry.kind, content, decryption_keys),
        })
    }

    /// Syncs the file to disk and prints the result.
    pub(super) fn finish(self, path: &Path, json: bool) -> Outcome {
        let file = self.out.into_inner().map_err(|error| write_error(&error))?;
        file.sync_all().map_err(|error| write_error(&error))?;
        output::note(&format!(
            "warning: {} contains personal data: protect it like the store itself, and delete it after use",
            path.display()
        ));
        let report = ExportReport {
            file: path.display().to_string(),
            entries: self.entries,
        };
        output::report(&report, json)?;
        Ok(Exit::Done)
    }
}

/// An exported file.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "quarantine export")]
pub(in crate::commands) struct ExportReport {
    /// Its path.
    file: String,
    /// The number of entries in it.
    entries: u64,
}

impl Report for ExportReport {
    fn view(&self) -> View {
        let mut view = View::new();
        view.line(format!("{}: {} entries", self.file, self.entries));
        view
    }
}

/// The entries of a file, checked.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "quarantine check")]
pub(in crate::commands) struct CheckReport {
    items: Vec<Finding>,
    /// Whether every entry is intact, and every message verifies with the given keys.
    is_valid: bool,
}

impl Report for CheckReport {
    fn view(&self) -> View {
        let mut view = View::new();
        for finding in &self.items {
            let intact = if finding.is_intact { "intact" } else { "ALTERED" };
            let opens = match (finding.rows, &finding.error) {
                (_, Some(reason)) => format!(", cannot be verified: {reason}"),
                (Some(rows), None) => format!(", its signature is valid, {rows} rows"),
                (None, None) => String::new(),
            };
            view.line(format!(
                "{}  {}  {}  {intact}{opens}",
                short_id(&finding.id),
                finding.lane,
                finding.kind
            ));
        }
        view
    }
}

/// The result of a check of one line.
#[derive(Debug, Serialize, JsonSchema)]
struct Finding {
    id: String,
    /// `RECIPIENT.FEED`.
    lane: String,
    epoch: Option<u32>,
    number: Option<u64>,
    /// `message`, `row` or `reject`.
    kind: String,
    /// Whether the bytes match the digest.
    is_intact: bool,
    /// The rows of a message that verifies with the given keys.
    rows: Option<u64>,
    /// Why a message does not verify with the given keys.
    error: Option<String>,
}

/// Runs `quarantine check`.
pub(super) fn check(path: &Path, trust: &[String], json: bool) -> Outcome {
    let trusted = trust
        .iter()
        .map(|key| PublicKey::new(key).map_err(|error| Failure::usage(format!("--trust {key}: {error}"))))
        .collect::<Result<Vec<_>, _>>()?;
    let read_error = |error: &dyn std::fmt::Display| {
        Failure::usage(format!(
            "{}: {error}; give a file that `quarantine export` wrote",
            path.display()
        ))
    };
    let file = std::fs::File::open(path).map_err(|error| read_error(&error))?;
    let mut lines = BufReader::new(file).lines();
    let first = lines
        .next()
        .transpose()
        .map_err(|error| read_error(&error))?
        .unwrap_or_default();
    let header: Header = serde_json::from_str(&first).map_err(|error| read_error(&error))?;
    if header.format != FORMAT {
        return Err(read_error(&format!(
            "its format is {:?} and not {FORMAT:?}",
            header.format
        )));
    }
    let mut findings = Vec::new();
    for line in lines {
        let line = line.map_err(|error| read_error(&error))?;
        let entry: ExportedEntry = serde_json::from_str(&line).map_err(|error| read_error(&error))?;
        findings.push(finding(entry, &trusted));
    }
    let is_valid = findings
        .iter()
        .all(|finding| finding.is_intact && finding.error.is_none());
    let report = CheckReport {
        items: findings,
        is_valid,
    };
    output::report(&report, json)?;
    Ok(if is_valid { Exit::Done } else { Exit::Evidence })
}

fn finding(entry: ExportedEntry, trusted: &[PublicKey]) -> Finding {
    let bytes = unhex(&entry.hex).unwrap_or_default();
    let digest = Digest::of(&[&bytes]).to_string();
    let message = entry.kind == Kind::Message.word();
    let opened = (message && !trusted.is_empty()).then(|| {
        ExaminedChunk::open(&bytes, trusted, &DecryptionKeys::default())
            .map(|chunk| match chunk {
                ExaminedChunk::Opened(chunk) => chunk.manifest.content.totals.rows,
                ExaminedChunk::KeyMissing { manifest, .. } => manifest.content.totals.rows,
            })
            .map_err(|error| error.to_string())
    });
    let (rows, error) = match opened {
        None => (None, None),
        Some(Ok(rows)) => (Some(rows), None),
        Some(Err(error)) => (None, Some(error)),
    };
    Finding {
        // A message's id is its digest, so that no other message can replace it.
        is_intact: digest == entry.digest && (!message || digest == entry.id),
        rows,
        error,
        id: entry.id,
        lane: entry.lane,
        epoch: entry.epoch,
        number: entry.number,
        kind: entry.kind,
    }
}
