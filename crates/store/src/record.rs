//! The records of lanes and chunks that both stores keep.

use jiff::Timestamp;
use schemas::cursor::Cursor;
use schemas::digest::Digest;
use schemas::manifest::Manifest;
use schemas::name::Lane;
use serde::Serialize;

use crate::arrival::Arrival;
use crate::chunk_number::ChunkNumber;
use crate::error::{Error, ErrorKind, Result};
use crate::frontier::Frontier;
use crate::layout::LaneTables;
use crate::ledger::{EntryState, LaneState};
use crate::port::{LaneReport, Unreadable};
use crate::table::batch_plan::{LaneSnapshot, Refused};
use crate::table::schema_change::{PendingChange, SchemaChange};
use crate::table::shape::Shape;

/// The record of a lane.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LaneRecord {
    pub(crate) state: LaneState,
    pub(crate) frontier: Frontier,
    /// The shape of its tables; `None` before they are created.
    pub(crate) shape: Option<Shape>,
    /// The change that waits for approval.
    pub(crate) pending_change: Option<PendingChange>,
    /// The refusal that blocks the lane until an operator acts.
    pub(crate) refused: Option<Refused>,
}

/// The parts of a lane's record that are stored as JSON.
pub(crate) struct Texts {
    pub(crate) openings: String,
    pub(crate) frontier: String,
    pub(crate) columns: Option<String>,
    pub(crate) pending_change: Option<String>,
    pub(crate) refused: Option<String>,
    pub(crate) compaction: Option<String>,
}

impl LaneRecord {
    pub(crate) fn texts(&self) -> Result<Texts> {
        Ok(Texts {
            openings: text(&self.state.openings)?,
            frontier: text(&self.frontier)?,
            columns: self.shape.as_ref().map(text).transpose()?,
            pending_change: self.pending_change.as_ref().map(text).transpose()?,
            refused: self.refused.as_ref().map(text).transpose()?,
            compaction: self.state.compaction.as_ref().map(text).transpose()?,
        })
    }

    pub(crate) fn report(&self, lane: &Lane, pending: u64) -> LaneReport {
        let frontier = &self.frontier;
        LaneReport {
            lane: lane.clone(),
            epoch: frontier.epoch,
            from: frontier.from,
            to: frontier.number,
            head: frontier.head,
            cursor: frontier.cursor.clone(),
            rows: frontier.rows,
            quarantined: frontier.quarantined.clone(),
            pending,
            unfinished_removal: frontier.unfinished_removal,
            uncompared: frontier.uncompared,
            stopped: self.state.stopped.clone(),
            pending_change: self
                .pending_change
                .as_ref()
                .map(|pending_change| pending_change.describe(lane)),
            refused: self.refused.as_ref().map(|refused| refused.why.clone()),
            compacted: Some(self.state.base().chunk_number())
                .filter(|chunk_number| *chunk_number > ChunkNumber::BEGINNING),
            refill_until: self.state.refill_until(frontier),
            lineage_start: self.state.lineage_start(),
        }
    }

    /// Returns the view of the record that judgements need.
    pub(crate) fn snapshot<'a>(&'a self, tables: &'a LaneTables) -> LaneSnapshot<'a> {
        LaneSnapshot {
            lane: &tables.lane,
            state: &self.state,
            frontier: &self.frontier,
            shape: self.shape.as_ref(),
            pending_change: self.pending_change.as_ref(),
            refused: self.refused.as_ref(),
            tables,
        }
    }

    /// Records a change that waits for approval.
    pub(crate) fn ask(&mut self, chunk_number: ChunkNumber, changes: Vec<SchemaChange>, since: Timestamp) {
        self.pending_change = Some(PendingChange {
            chunk_number,
            changes,
            since,
        });
    }

    /// Applies the operator's approval: the change is made when a chunk needs it.
    pub(crate) fn accept(&mut self) -> Option<PendingChange> {
        let pending = self.pending_change.take()?;
        if let Some(shape) = &mut self.shape {
            shape.accept(&pending);
        }
        Some(pending)
    }
}

/// A complete ledger entry.
#[derive(Debug, Clone)]
pub(crate) struct LedgerRow {
    pub(crate) chunk_number: ChunkNumber,
    pub(crate) digest: Digest,
    pub(crate) previous: Option<Digest>,
    pub(crate) state: EntryState,
    pub(crate) sequence: u64,
    pub(crate) publisher: String,
    pub(crate) rows: u64,
    pub(crate) rows_quarantined: u64,
    /// The number of rows by which the transaction's chunks changed the table; `None` if unknown.
    pub(crate) rows_net: Option<i64>,
    pub(crate) cursor_after: Option<Cursor>,
    pub(crate) read_from: Timestamp,
    pub(crate) read_to: Timestamp,
    pub(crate) exchanged_at: Timestamp,
}

impl LedgerRow {
    pub(crate) fn of(arrival: &Arrival, state: EntryState, rows_quarantined: u64) -> Self {
        let chunk = &arrival.chunk;
        Self {
            state,
            rows_quarantined,
            ..Self::new(
                &chunk.manifest,
                chunk.digest,
                arrival.sequence,
                arrival.exchanged_at,
            )
        }
    }

    /// Returns the entry that an unopened message claims. It is not trusted.
    pub(crate) fn claimed(message: &Unreadable) -> Option<Self> {
        let (manifest, digest) = message.claims.as_deref()?;
        let sane = manifest.epoch > 0
            && i32::try_from(manifest.epoch).is_ok()
            && manifest.number > 0
            && i64::try_from(manifest.number).is_ok();
        sane.then(|| Self {
            state: EntryState::Quarantined,
            rows: 0,
            ..Self::new(manifest, *digest, message.sequence, message.exchanged_at)
        })
    }

    fn new(manifest: &Manifest, digest: Digest, sequence: u64, exchanged_at: Timestamp) -> Self {
        Self {
            chunk_number: ChunkNumber {
                epoch: manifest.epoch,
                number: manifest.number,
            },
            digest,
            previous: manifest.previous,
            state: EntryState::Stored,
            sequence,
            publisher: manifest.content.instance.clone(),
            rows: manifest.content.totals.rows,
            rows_quarantined: 0,
            rows_net: Some(0),
            cursor_after: manifest.cursor_after.clone(),
            read_from: manifest.content.read_from,
            read_to: manifest.content.read_to,
            exchanged_at,
        }
    }

    pub(crate) fn cursor_text(&self) -> Result<Option<String>> {
        self.cursor_after.as_ref().map(text).transpose()
    }
}

/// Returns the id of a message in quarantine. It derives from the bytes, so a redelivered message is kept once.
pub(crate) fn message_id(message: &Unreadable) -> String {
    Digest::of(&[&message.bytes]).to_string()
}

/// Returns the id of a row in quarantine.
pub(crate) fn row_id(chunk: Digest, ordinal: u64) -> String {
    Digest::of(&[&chunk.0, &ordinal.to_be_bytes()]).to_string()
}

pub(crate) fn text<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| {
        Error::new(
            ErrorKind::Database,
            format!("a record cannot be written: {error}"),
            "report it",
        )
    })
}

/// Returns the error of a bookkeeping table with unreadable content.
pub(crate) fn broken(table: &str) -> Error {
    Error::new(
        ErrorKind::Database,
        format!("{table} holds what this version cannot read"),
        "undo what was changed there by hand, or run the version that wrote it",
    )
}
