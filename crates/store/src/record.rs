//! What both stores keep of a lane and of a chunk.

use jiff::Timestamp;
use schemas::cursor::Cursor;
use schemas::digest::Digest;
use schemas::manifest::Manifest;
use schemas::name::Lane;
use serde::Serialize;

use crate::error::{Error, ErrorKind, Result};
use crate::frontier::Frontier;
use crate::layout::LaneTables;
use crate::ledger::{EntryState, Judgement, LaneState};
use crate::merge::Place;
use crate::port::{Arrival, LaneReport, Outcome, Unreadable};
use crate::table::asked::{Asked, Question};
use crate::table::intake::{Given, Refused};
use crate::table::shape::Shape;

/// A lane.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LaneRecord {
    pub(crate) state: LaneState,
    pub(crate) frontier: Frontier,
    /// What its tables look like; none before they are made.
    pub(crate) shape: Option<Shape>,
    /// What it waits for.
    pub(crate) asked: Option<Question>,
    /// What was refused until somebody acts.
    pub(crate) refused: Option<Refused>,
}

/// Its parts that are kept as JSON.
pub(crate) struct Texts {
    pub(crate) openings: String,
    pub(crate) frontier: String,
    pub(crate) columns: Option<String>,
    pub(crate) asked: Option<String>,
    pub(crate) refused: Option<String>,
    pub(crate) compaction: Option<String>,
}

impl LaneRecord {
    pub(crate) fn texts(&self) -> Result<Texts> {
        Ok(Texts {
            openings: text(&self.state.openings)?,
            frontier: text(&self.frontier)?,
            columns: self.shape.as_ref().map(text).transpose()?,
            asked: self.asked.as_ref().map(text).transpose()?,
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
            unremoved: frontier.unremoved,
            stopped: self.state.stopped.clone(),
            waits: self.asked.as_ref().map(|asked| asked.told(lane)),
            refused: self.refused.as_ref().map(|refused| refused.why.clone()),
            compacted: Some(self.state.base().place()).filter(|place| *place > Place::BEGINNING),
            owed: self.state.owed(frontier),
            lineage_start: self.state.lineage_start(),
        }
    }

    /// As it is judged.
    pub(crate) fn given<'a>(&'a self, tables: &'a LaneTables) -> Given<'a> {
        Given {
            lane: &tables.lane,
            state: &self.state,
            frontier: &self.frontier,
            shape: self.shape.as_ref(),
            asked: self.asked.as_ref(),
            refused: self.refused.as_ref(),
            tables,
        }
    }

    /// Notes what somebody has to be asked.
    pub(crate) fn ask(&mut self, place: Place, changes: Vec<Asked>, since: Timestamp) {
        self.asked = Some(Question {
            place,
            changes,
            since,
        });
    }

    /// Takes the operator's word: what was asked may be done when a chunk brings it.
    pub(crate) fn accept(&mut self) -> Option<Question> {
        let question = self.asked.take()?;
        if let Some(shape) = &mut self.shape {
            shape.accept(&question);
        }
        Some(question)
    }
}

/// A ledger entry, whole.
#[derive(Debug, Clone)]
pub(crate) struct LedgerRow {
    pub(crate) place: Place,
    pub(crate) digest: Digest,
    pub(crate) previous: Option<Digest>,
    pub(crate) state: EntryState,
    pub(crate) sequence: u64,
    pub(crate) publisher: String,
    pub(crate) rows: u64,
    pub(crate) rows_quarantined: u64,
    /// How many more rows its table has since, with the others of its transaction; `None` where that is not known.
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

    /// The place that a message claims which could not be opened. Nothing of it is trusted.
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
            place: Place {
                epoch: manifest.epoch,
                number: manifest.number,
            },
            digest,
            previous: manifest.previous,
            state: EntryState::Stored,
            sequence,
            publisher: manifest.publisher.instance.clone(),
            rows: manifest.totals.rows,
            rows_quarantined: 0,
            rows_net: Some(0),
            cursor_after: manifest.cursor_after.clone(),
            read_from: manifest.read_from,
            read_to: manifest.read_to,
            exchanged_at,
        }
    }

    pub(crate) fn cursor_text(&self) -> Result<Option<String>> {
        self.cursor_after.as_ref().map(text).transpose()
    }
}

/// What a caller is told of a judgement that was carried out.
pub(crate) fn outcome(judgement: &Judgement, rows: u64, quarantined: u64) -> Outcome {
    match judgement {
        Judgement::Store | Judgement::OpenEpoch { .. } => Outcome::Stored { rows, quarantined },
        Judgement::Already => Outcome::Already,
        Judgement::Superseded => Outcome::Superseded,
        Judgement::Fork { reason }
        | Judgement::StoppedBefore { reason }
        | Judgement::BadOpening { reason } => Outcome::Stopped {
            reason: reason.clone(),
        },
        Judgement::Later { reason } => Outcome::Later {
            reason: reason.clone(),
        },
    }
}

/// The id of a message in quarantine: of its bytes, so that it is kept once however often it
/// comes.
pub(crate) fn message_id(message: &Unreadable) -> String {
    Digest::of(&[&message.bytes]).to_string()
}

/// The id of a row in quarantine.
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

/// One of our own tables holds what we did not write.
pub(crate) fn broken(table: &str) -> Error {
    Error::new(
        ErrorKind::Database,
        format!("{table} holds what this version cannot read"),
        "undo what was changed there by hand, or run the version that wrote it",
    )
}
