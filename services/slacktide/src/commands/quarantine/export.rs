//! The export file: JSON lines with a header line.
//!
//! A message is exported unchanged, so that everyone with the publisher's public key can verify its signature.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use jiff::Timestamp;
use runtime::exit::Exit;
use schemas::chunk::ExaminedChunk;
use schemas::digest::Digest;
use schemas::encryption::DecryptionKeys;
use schemas::sign::PublicKey;
use serde::{Deserialize, Serialize};
use store::quarantine::{Content, Entry, Kind};

use super::content::{decode_content, hex, unhex};
use super::render::short_id;
use crate::failure::{Failure, Outcome};
use crate::output;

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
        if json {
            output::json(&serde_json::json!({ "file": path, "entries": self.entries }))?;
        } else {
            output::line(&format!("{}: {} entries", path.display(), self.entries));
        }
        Ok(Exit::Done)
    }
}

/// The result of a check of one line.
#[derive(Debug, Serialize)]
struct Finding {
    id: String,
    lane: String,
    epoch: Option<u32>,
    number: Option<u64>,
    kind: String,
    /// Whether the bytes match the digest.
    intact: bool,
    /// For a message: its rows if it verifies with the given keys, or the reason.
    opens: Option<Result<u64, String>>,
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
        .all(|finding| finding.intact && !matches!(finding.opens, Some(Err(_))));
    if json {
        output::json(&serde_json::json!({ "entries": findings, "is_valid": is_valid }))?;
    } else {
        for finding in &findings {
            let intact = if finding.intact { "intact" } else { "ALTERED" };
            let opens = match &finding.opens {
                None => String::new(),
                Some(Ok(rows)) => format!(", its signature is valid, {rows} rows"),
                Some(Err(reason)) => format!(", cannot be verified: {reason}"),
            };
            let kind = &finding.kind;
            output::line(&format!(
                "{}  {}  {kind}  {intact}{opens}",
                short_id(&finding.id),
                finding.lane
            ));
        }
    }
    Ok(if is_valid { Exit::Done } else { Exit::Evidence })
}

fn finding(entry: ExportedEntry, trusted: &[PublicKey]) -> Finding {
    let bytes = unhex(&entry.hex).unwrap_or_default();
    let digest = Digest::of(&[&bytes]).to_string();
    let message = entry.kind == Kind::Message.word();
    Finding {
        // A message's id is its digest, so that no other message can replace it.
        intact: digest == entry.digest && (!message || digest == entry.id),
        opens: (message && !trusted.is_empty()).then(|| {
            schemas::chunk::examine(&bytes, trusted, &DecryptionKeys::default())
                .map(|chunk| match chunk {
                    ExaminedChunk::Opened(chunk) => chunk.manifest.totals.rows,
                    ExaminedChunk::KeyMissing { manifest, .. } => manifest.totals.rows,
                })
                .map_err(|error| error.to_string())
        }),
        id: entry.id,
        lane: entry.lane,
        epoch: entry.epoch,
        number: entry.number,
        kind: entry.kind,
    }
}
