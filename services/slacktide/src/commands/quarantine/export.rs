//! The file for another machine: JSON lines, the first of which says what it is.
//!
//! A whole message is in it as it was published, so that its signature can be checked by anyone
//! who has the publisher's public key.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use jiff::Timestamp;
use runtime::exit::Exit;
use schemas::chunk::Examined;
use schemas::digest::Digest;
use schemas::seal::SealRing;
use schemas::sign::PublicKey;
use serde::{Deserialize, Serialize};
use store::quarantine::{Content, Entry, Kind};

use super::held::{held, hex, unhex};
use super::told::short;
use crate::failure::{Failure, Outcome};
use crate::output;

const FORMAT: &str = "slacktide.quarantine.v1";

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    format: String,
    warning: String,
    #[serde(default)]
    at: Option<Timestamp>,
}

/// Each further line.
#[derive(Debug, Serialize, Deserialize)]
struct One {
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
    /// The same, as far as it can be read.
    holds: serde_json::Value,
}

/// The file while it is written. Only its owner may read it.
pub(super) struct File {
    out: BufWriter<std::fs::File>,
    entries: u64,
}

fn unwritten(error: &impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Unfinished, format!("the file cannot be written: {error}"))
}

impl File {
    /// Makes it; one that is there already is not overwritten.
    pub(super) fn create(path: &Path) -> Result<Self, Failure> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path);
        let file = file.map_err(|error| {
            Failure::usage(format!(
                "{}: {error}; give the name of a file that can be made",
                path.display()
            ))
        })?;
        let mut file = Self {
            out: BufWriter::new(file),
            entries: 0,
        };
        file.line(&Head {
            format: FORMAT.to_owned(),
            warning: "this file holds personal data".to_owned(),
            at: Some(Timestamp::now()),
        })?;
        Ok(file)
    }

    fn line(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value).map_err(|error| Failure::internal(&error))?;
        writeln!(self.out, "{text}").map_err(|error| unwritten(&error))
    }

    /// Adds an entry.
    pub(super) fn entry(
        &mut self,
        entry: &Entry,
        content: &Content,
        seals: &SealRing,
    ) -> Result<(), Failure> {
        self.entries += 1;
        self.line(&One {
            id: entry.id.clone(),
            lane: entry.lane.to_string(),
            epoch: entry.place.map(|place| place.epoch),
            number: entry.place.map(|place| place.number),
            ordinal: entry.ordinal,
            kind: entry.kind.word().to_owned(),
            reason: entry.reason.clone(),
            sequence: entry.sequence,
            exchanged_at: entry.exchanged_at,
            since: entry.since,
            digest: Digest::of(&[&content.bytes]).to_string(),
            hex: hex(&content.bytes),
            holds: held(entry.kind, content, seals),
        })
    }

    /// Writes it out to the disk, and says so.
    pub(super) fn finish(self, path: &Path, json: bool) -> Outcome {
        let file = self.out.into_inner().map_err(|error| unwritten(&error))?;
        file.sync_all().map_err(|error| unwritten(&error))?;
        output::note(&format!(
            "warning: {} holds personal data: keep it as the store itself is kept, and delete it when it is done with",
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

/// What a check says of one line.
#[derive(Debug, Serialize)]
struct Finding {
    id: String,
    lane: String,
    epoch: Option<u32>,
    number: Option<u64>,
    kind: String,
    /// Whether the bytes are those that were put in quarantine.
    intact: bool,
    /// Of a message: whether it opens with the keys given; the reason where it does not.
    opens: Option<Result<u64, String>>,
}

/// `quarantine check`.
pub(super) fn check(path: &Path, trust: &[String], json: bool) -> Outcome {
    let trusted = trust
        .iter()
        .map(|key| PublicKey::new(key).map_err(|error| Failure::usage(format!("--trust {key}: {error}"))))
        .collect::<Result<Vec<_>, _>>()?;
    let unread = |error: &dyn std::fmt::Display| {
        Failure::usage(format!(
            "{}: {error}; give a file that `quarantine export` wrote",
            path.display()
        ))
    };
    let file = std::fs::File::open(path).map_err(|error| unread(&error))?;
    let mut lines = BufReader::new(file).lines();
    let first = lines
        .next()
        .transpose()
        .map_err(|error| unread(&error))?
        .unwrap_or_default();
    let head: Head = serde_json::from_str(&first).map_err(|error| unread(&error))?;
    if head.format != FORMAT {
        return Err(unread(&format!(
            "its format is {:?} and not {FORMAT:?}",
            head.format
        )));
    }
    let mut findings = Vec::new();
    for line in lines {
        let line = line.map_err(|error| unread(&error))?;
        let one: One = serde_json::from_str(&line).map_err(|error| unread(&error))?;
        findings.push(finding(one, &trusted));
    }
    let sound = findings
        .iter()
        .all(|finding| finding.intact && !matches!(finding.opens, Some(Err(_))));
    if json {
        output::json(&serde_json::json!({ "entries": findings, "sound": sound }))?;
    } else {
        for finding in &findings {
            let intact = if finding.intact { "intact" } else { "ALTERED" };
            let opens = match &finding.opens {
                None => String::new(),
                Some(Ok(rows)) => format!(", its signature holds, {rows} rows"),
                Some(Err(reason)) => format!(", does not open: {reason}"),
            };
            let kind = &finding.kind;
            output::line(&format!(
                "{}  {}  {kind}  {intact}{opens}",
                short(&finding.id),
                finding.lane
            ));
        }
    }
    Ok(if sound { Exit::Done } else { Exit::Evidence })
}

fn finding(one: One, trusted: &[PublicKey]) -> Finding {
    let bytes = unhex(&one.hex).unwrap_or_default();
    let digest = Digest::of(&[&bytes]).to_string();
    let message = one.kind == Kind::Message.word();
    Finding {
        // A message's id is its digest, so that no other one can stand in its place.
        intact: digest == one.digest && (!message || digest == one.id),
        opens: (message && !trusted.is_empty()).then(|| {
            schemas::chunk::examine(&bytes, trusted, &SealRing::default())
                .map(|chunk| match chunk {
                    Examined::Opened(chunk) => chunk.manifest.totals.rows,
                    Examined::Closed { manifest, .. } => manifest.totals.rows,
                })
                .map_err(|error| error.to_string())
        }),
        id: one.id,
        lane: one.lane,
        epoch: one.epoch,
        number: one.number,
        kind: one.kind,
    }
}
