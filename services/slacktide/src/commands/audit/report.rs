//! The findings of `audit verify` as a value.

use std::collections::BTreeMap;

use ::audit::chain::{OpeningNote, PublisherRun, Report as LaneFindings};
use ::audit::heads::KeptHeads;
use ::audit::verify::{Fault, Findings};
use schemars::JsonSchema;
use schemas::digest::Digest;
use schemas::heads::RecordRef;
use schemas::manifest::{Link, Opening};
use serde::Serialize;

use crate::output::{Line, Report, Style, Time, View};

/// What the streams prove.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "audit verify")]
pub(in crate::commands) struct AuditReport {
    /// The lanes, by name.
    lanes: Vec<LaneItem>,
    /// Chunks in the stream.
    chunks: u64,
    /// Valid chunks.
    chunks_verified: u64,
    /// Valid chunks whose rows and sums were not checked: they are encrypted and no key was given.
    chunks_not_decrypted: u64,
    /// Chunks that were published under an older control record than an earlier chunk names.
    chunks_unanchored: u64,
    /// Valid receipts.
    receipts_verified: u64,
    /// Valid audit entries.
    entries_verified: u64,
    heads: HeadsItem,
    /// The first fault of each lane or chain.
    faults: Vec<FaultItem>,
    #[serde(skip)]
    view: View,
}

/// A chunk by its number.
#[derive(Debug, Serialize, JsonSchema)]
struct ChunkNumber {
    epoch: u32,
    number: u64,
}

impl From<(u32, u64)> for ChunkNumber {
    fn from((epoch, number): (u32, u64)) -> Self {
        Self { epoch, number }
    }
}

/// A lane.
#[derive(Debug, Serialize, JsonSchema)]
struct LaneItem {
    /// `RECIPIENT.FEED`.
    lane: String,
    /// Valid chunks.
    chunks: u64,
    /// Their rows.
    rows: u64,
    /// Rows that are marked as deleted.
    deleted: u64,
    /// Rows of the source that could not be carried.
    rejects: u64,
    /// Encrypted chunks whose rows and sums were not checked.
    not_decrypted: u64,
    /// Consecutive chunks whose positions could not be compared.
    positions_not_compared: u64,
    /// The exact sums of the columns of money, as texts.
    money: BTreeMap<String, String>,
    /// The last epoch.
    epoch: u32,
    /// The last number in it.
    number: u64,
    /// The digest of the last chunk.
    head: Option<Digest>,
    /// One entry for each run of chunks by one publisher process.
    publishers: Vec<PublisherItem>,
    /// The openings of later epochs.
    openings: Vec<OpeningItem>,
    /// The first chunk, if the stream no longer begins at number 1.
    begins_at: Option<Link>,
    /// Chunks whose load evidence shows a closed gate.
    read_while_gate_closed: u64,
    /// When the exchange stored the first chunk.
    first_stored_at: Option<Time>,
    /// When the exchange stored the last chunk.
    last_stored_at: Option<Time>,
}

/// Consecutive chunks by one publisher process.
#[derive(Debug, Serialize, JsonSchema)]
struct PublisherItem {
    /// The instance of the process.
    instance: String,
    /// Its first chunk.
    from: ChunkNumber,
    /// Its last chunk.
    to: ChunkNumber,
}

impl From<&PublisherRun> for PublisherItem {
    fn from(run: &PublisherRun) -> Self {
        Self {
            instance: run.instance.clone(),
            from: run.from.into(),
            to: run.to.into(),
        }
    }
}

/// A new epoch.
#[derive(Debug, Serialize, JsonSchema)]
struct OpeningItem {
    epoch: u32,
    /// Who opened it, why, and what it continues.
    opening: Opening,
    /// Whether the stream holds the chunk that it continues.
    is_continued_here: bool,
}

impl From<&OpeningNote> for OpeningItem {
    fn from(note: &OpeningNote) -> Self {
        Self {
            epoch: note.epoch,
            opening: note.opening.clone(),
            is_continued_here: note.continues_here,
        }
    }
}

/// The last messages of all chains, which `--since FILE` keeps.
#[derive(Debug, Serialize, JsonSchema)]
struct HeadsItem {
    /// The last chunks, by lane.
    chunks: BTreeMap<String, Link>,
    /// The frontiers of the last receipts, by lane.
    receipts: BTreeMap<String, ChunkNumber>,
    /// The last audit entries, by subject.
    entries: BTreeMap<String, RecordRef>,
}

impl From<&KeptHeads> for HeadsItem {
    fn from(heads: &KeptHeads) -> Self {
        let receipts = heads.receipts.iter();
        Self {
            chunks: heads.chunks.clone(),
            receipts: receipts.map(|(lane, to)| (lane.clone(), (*to).into())).collect(),
            entries: heads.entries.clone(),
        }
    }
}

/// A fault.
#[derive(Debug, Serialize, JsonSchema)]
struct FaultItem {
    /// The subject of the message.
    subject: String,
    /// Its sequence in the stream; 0 if a message is missing.
    sequence: u64,
    /// The chunk that it claims to be; `null` if it is not a readable chunk.
    chunk: Option<ChunkNumber>,
    /// What is wrong.
    what: String,
}

impl From<&Fault> for FaultItem {
    fn from(fault: &Fault) -> Self {
        Self {
            subject: fault.subject.clone(),
            sequence: fault.sequence,
            chunk: fault.chunk.map(ChunkNumber::from),
            what: fault.what.clone(),
        }
    }
}

impl LaneItem {
    fn new((lane, found): (&String, &LaneFindings)) -> Self {
        Self {
            lane: lane.clone(),
            chunks: found.chunks,
            rows: found.rows,
            deleted: found.deleted,
            rejects: found.rejects,
            not_decrypted: found.not_decrypted,
            positions_not_compared: found.positions_not_compared,
            money: found.money.clone(),
            epoch: found.epoch,
            number: found.number,
            head: found.head,
            publishers: found.publishers.iter().map(PublisherItem::from).collect(),
            openings: found.openings.iter().map(OpeningItem::from).collect(),
            begins_at: found.begins_at,
            read_while_gate_closed: found.read_while_gate_closed,
            first_stored_at: found.stored.map(|(first, _)| Time(first)),
            last_stored_at: found.stored.map(|(_, last)| Time(last)),
        }
    }
}

impl AuditReport {
    /// Creates it from the findings.
    pub(in crate::commands) fn new(findings: &Findings) -> Self {
        Self {
            lanes: findings.lanes.iter().map(LaneItem::new).collect(),
            chunks: findings.chunks,
            chunks_verified: findings.chunks_verified,
            chunks_not_decrypted: findings.chunks_not_decrypted,
            chunks_unanchored: findings.chunks_unanchored,
            receipts_verified: findings.receipts_verified,
            entries_verified: findings.entries_verified,
            heads: HeadsItem::from(&findings.heads),
            faults: findings.faults.iter().map(FaultItem::from).collect(),
            view: view(findings),
        }
    }
}

impl Report for AuditReport {
    fn view(&self) -> View {
        self.view.clone()
    }
}

fn view(findings: &Findings) -> View {
    let mut view = View::new();
    for (lane, report) in &findings.lanes {
        view.line(format!(
            "{lane}: {} chunks, {} rows, up to epoch {} number {}",
            report.chunks, report.rows, report.epoch, report.number
        ));
    }
    view.line(format!(
        "{} of {} chunks, {} receipts and {} audit entries are valid",
        findings.chunks_verified, findings.chunks, findings.receipts_verified, findings.entries_verified
    ));
    if findings.chunks_not_decrypted > 0 {
        let what = format!(
            ": rows, rejects and sums of money of {} encrypted chunks; their signatures, links, numbers and bodies are valid. To \
             check them too, add a seed of the recipient to [encryption]",
            findings.chunks_not_decrypted
        );
        view.line(Line::styled(Style::Waiting, "NOT CHECKED").and(what));
    }
    for fault in &findings.faults {
        view.line(Line::styled(Style::Alarm, "FAULT").and(format!(" {fault}")));
    }
    view
}
