//! The types of the report's fields.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use schemas::digest::Digest;
use schemas::heads::RecordRef;
use schemas::manifest::{Link, Opening};
use serde::{Serialize, Serializer};

use crate::chain::{OpeningNote, PublisherRun, Report as LaneFindings};
use crate::export::verify::FileReport;
use crate::fault::Fault;
use crate::findings::KeyUse;
use crate::heads::KeptHeads;

/// A time, written in RFC 3339 in UTC with three decimals.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time(pub(super) Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:.3}", self.0))
    }
}

impl JsonSchema for Time {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "date-time",
            "pattern": r"^-?\d{4,6}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$",
        })
    }
}

/// A file of an export.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct FileItem {
    /// Its name.
    pub(super) name: String,
    /// Its number in the export; 0 if it has no readable header.
    pub(super) number: u64,
    /// Messages that were stored before are not in the export.
    pub(super) from: Option<Time>,
    /// The end of the file's period.
    pub(super) until: Option<Time>,
    /// Its records.
    pub(super) records: u64,
    /// Its length in bytes.
    pub(super) bytes: u64,
}

/// Valid messages, by what they are.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct VerifiedCounts {
    pub(super) chunks: u64,
    pub(super) receipts: u64,
    pub(super) requests: u64,
    pub(super) cancels: u64,
    pub(super) approvals: u64,
    pub(super) progress: u64,
    pub(super) parts: u64,
    /// Valid parts whose rows and sums were not checked: they are encrypted and no key was given.
    pub(super) parts_not_decrypted: u64,
    pub(super) replies: u64,
    pub(super) confirms: u64,
    pub(super) entries: u64,
    pub(super) orders: u64,
}

/// The requests, by state.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RequestCounts {
    /// Requests in the streams.
    pub(super) filed: u64,
    /// Those with a reply.
    pub(super) replied: u64,
    /// Those whose reply the recipient confirmed.
    pub(super) confirmed: u64,
    /// Requests without a reply yet.
    pub(super) open: u64,
    /// Replies without a confirmation yet.
    pub(super) unconfirmed: u64,
    /// Parts that no reply names.
    pub(super) unnamed_parts: u64,
}

/// The load evidence of chunks and parts with rows.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct LoadCounts {
    /// Checked against the policy in force.
    pub(super) checked: u64,
    /// The policy did not allow an open gate. The first of each subject is a fault.
    pub(super) violated: u64,
    /// Read with a gate fixed open: no load was measured.
    pub(super) not_measured: u64,
}

/// The use of a key in a stream.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct KeyItem {
    /// The key, `A…`.
    pub(super) key: String,
    /// The stream.
    pub(super) stream: String,
    /// The sequence of the first message that it signed.
    pub(super) first_sequence: u64,
    /// When that message was stored.
    pub(super) first_at: Time,
    /// The sequence of the last message that it signed.
    pub(super) last_sequence: u64,
    /// When that message was stored.
    pub(super) last_at: Time,
    /// The number of messages that it signed.
    pub(super) messages: u64,
}

/// A chunk by its number.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ChunkNumber {
    pub(super) epoch: u32,
    pub(super) number: u64,
}

impl From<(u32, u64)> for ChunkNumber {
    fn from((epoch, number): (u32, u64)) -> Self {
        Self { epoch, number }
    }
}

/// A lane.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct LaneItem {
    /// `RECIPIENT.FEED`.
    pub(super) lane: String,
    /// Valid chunks.
    pub(super) chunks: u64,
    /// Their rows.
    pub(super) rows: u64,
    /// Rows that are marked as deleted.
    pub(super) deleted: u64,
    /// Rows of the source that could not be carried.
    pub(super) rejects: u64,
    /// Encrypted chunks whose rows and sums were not checked.
    pub(super) not_decrypted: u64,
    /// Consecutive chunks whose positions could not be compared.
    pub(super) positions_not_compared: u64,
    /// The exact sums of the columns of money, as texts.
    pub(super) money: BTreeMap<String, String>,
    /// The last epoch.
    pub(super) epoch: u32,
    /// The last number in it.
    pub(super) number: u64,
    /// The digest of the last chunk.
    pub(super) head: Option<Digest>,
    /// One entry for each run of chunks by one publisher process.
    pub(super) publishers: Vec<PublisherItem>,
    /// The openings of later epochs.
    pub(super) openings: Vec<OpeningItem>,
    /// The first chunk, if the stream no longer begins at number 1.
    pub(super) begins_at: Option<Link>,
    /// Chunks whose load evidence shows a closed gate.
    pub(super) read_while_gate_closed: u64,
    /// When the exchange stored the first chunk.
    pub(super) first_stored_at: Option<Time>,
    /// When the exchange stored the last chunk.
    pub(super) last_stored_at: Option<Time>,
}

/// Consecutive chunks by one publisher process.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PublisherItem {
    /// The instance of the process.
    pub(super) instance: String,
    /// Its first chunk.
    pub(super) from: ChunkNumber,
    /// Its last chunk.
    pub(super) to: ChunkNumber,
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
pub(super) struct OpeningItem {
    pub(super) epoch: u32,
    /// Who opened it, why, and what it continues.
    pub(super) opening: Opening,
    /// Whether the stream holds the chunk that it continues.
    pub(super) is_continued_here: bool,
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
pub(super) struct HeadsItem {
    /// The last chunks, by lane.
    pub(super) chunks: BTreeMap<String, Link>,
    /// The frontiers of the last receipts, by lane.
    pub(super) receipts: BTreeMap<String, ChunkNumber>,
    /// The last audit entries, by subject.
    pub(super) entries: BTreeMap<String, RecordRef>,
    /// The last records of orders, by subject.
    pub(super) orders: BTreeMap<String, RecordRef>,
}

impl From<&KeptHeads> for HeadsItem {
    fn from(heads: &KeptHeads) -> Self {
        let receipts = heads.receipts.iter();
        Self {
            chunks: heads.chunks.clone(),
            receipts: receipts.map(|(lane, to)| (lane.clone(), (*to).into())).collect(),
            entries: heads.entries.clone(),
            orders: heads.orders.clone(),
        }
    }
}

/// A fault.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct FaultItem {
    /// `file`, `message`, `chain`, `receipt`, `request` or `load`.
    pub(super) class: &'static str,
    /// The file of an export; `null` for a live stream.
    pub(super) file: Option<String>,
    /// The record in the file; `null` if it is in no record.
    pub(super) record: Option<u64>,
    /// The stream; empty if it is in none.
    pub(super) stream: String,
    /// The subject of the message.
    pub(super) subject: String,
    /// Its sequence in the stream; 0 if a message is missing.
    pub(super) sequence: u64,
    /// The chunk that it claims to be; `null` if it is not a readable chunk.
    pub(super) chunk: Option<ChunkNumber>,
    /// What is wrong.
    pub(super) what: String,
}

impl From<&Fault> for FaultItem {
    fn from(fault: &Fault) -> Self {
        Self {
            class: fault.class.name(),
            file: fault.file.clone(),
            record: fault.record,
            stream: fault.stream.clone(),
            subject: fault.subject.clone(),
            sequence: fault.sequence,
            chunk: fault.chunk.map(ChunkNumber::from),
            what: fault.what.clone(),
        }
    }
}

impl LaneItem {
    pub(super) fn new((lane, found): (&String, &LaneFindings)) -> Self {
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

impl From<&FileReport> for FileItem {
    fn from(file: &FileReport) -> Self {
        Self {
            name: file.name.clone(),
            number: file.number,
            from: file.from.map(Time),
            until: file.until.map(Time),
            records: file.records,
            bytes: file.bytes,
        }
    }
}

impl From<&KeyUse> for KeyItem {
    fn from(key_use: &KeyUse) -> Self {
        Self {
            key: key_use.key.to_string(),
            stream: key_use.stream.to_string(),
            first_sequence: key_use.first_sequence,
            first_at: Time(key_use.first_at),
            last_sequence: key_use.last_sequence,
            last_at: Time(key_use.last_at),
            messages: key_use.messages,
        }
    }
}
