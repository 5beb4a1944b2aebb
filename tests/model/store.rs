//! The simulated receiver: a ledger, current rows and tombstones, a history, changed in
//! transactions. What a chunk is, which version wins, what a delete leaves, what the end of a resynchronisation removes, how
//! far the frontier reaches, and how the tables follow the core's columns is decided by the product's own functions.

mod again;
mod judge;
mod quarantine;
mod rows;

use std::collections::BTreeMap;

use schemas::column::{ColumnType, RowSchema};
use schemas::receipt::StoreId;
use store::frontier::{Advance, Frontier, Noted, advance};
use store::layout::{Database, LaneTables, Layout, Mode, Options};
use store::ledger::{ChunkLinks, Entry, EntryState, Judgement, LaneState};
use store::merge::{Place, tombstone_passed};
use store::quarantine::decide::counts;
use store::table::asked::Question;
use store::table::intake::{Given, Incoming, Verdict, intake};
use store::table::shape::Shape;
use store::{Identity, LaneReport, Outcome};

use super::core::LAST_GENERATION;
use super::exchange::{Chunk, Evidence};
use super::faults::Env;
use super::poller::lane;
use super::publisher::schema;
use super::rng::Rng;
pub(super) use quarantine::Id;
use quarantine::Kept;

#[derive(Clone)]
pub(super) struct Store {
    env: Env,
    pub(super) identity: Identity,
    layout: Layout,
    schemas: Vec<RowSchema>,
    state: LaneState,
    ledger: BTreeMap<Place, Noted>,
    /// When the exchange stored what the ledger has.
    exchanged: BTreeMap<Place, i64>,
    frontier: Frontier,
    shape: Option<Shape>,
    asked: Option<Question>,
    /// The table's columns, as DDL left them.
    columns: BTreeMap<String, ColumnType>,
    /// By key: place, and the version in the column that it went to; all others are NULL.
    rows: BTreeMap<i64, (Place, String, i64)>,
    tombstones: BTreeMap<i64, Place>,
    /// By place and ordinal: key, version, whether it deletes, whether it was left behind.
    history: BTreeMap<(Place, usize), (i64, i64, bool, bool)>,
    /// How many rows the table has by the ledger: at first, and more by its chunks.
    base: i64,
    net: i64,
    /// The row count restarts once no chunk is awaited.
    restarts_counting: bool,
    /// What ends of resynchronisations removed since the oracle looked last.
    removed: Vec<(i64, Evidence)>,
    /// What is kept aside, by the chunk's digest and the row's ordinal.
    kept: BTreeMap<Id, Kept>,
    /// What constraints say to a row.
    chance: Rng,
    /// The constraints that came and went have gone.
    calm: bool,
    violation: Option<String>,
    calls: u64,
}

pub(super) fn place(chunk: &Chunk) -> Place {
    Place {
        epoch: chunk.link.epoch,
        number: chunk.link.number,
    }
}

fn links(chunk: &Chunk) -> ChunkLinks {
    ChunkLinks {
        place: place(chunk),
        digest: chunk.link.digest,
        previous: chunk.previous,
        opening: chunk.opening,
        exchanged_at: jiff::Timestamp::UNIX_EPOCH,
    }
}

impl Store {
    /// An empty one. `number` tells it from others.
    pub(super) fn new(env: Env, seed: u64, number: u8) -> Self {
        Self {
            env,
            identity: Identity {
                id: StoreId::of([number; 16]),
                replaces: Vec::new(),
            },
            layout: Layout {
                mode: Mode::Both,
                schema: None,
                table: "f".into(),
                history: "f_history".into(),
                columns: BTreeMap::new(),
            },
            schemas: (0..=LAST_GENERATION).map(schema).collect(),
            state: LaneState::default(),
            ledger: BTreeMap::new(),
            exchanged: BTreeMap::new(),
            frontier: Frontier::default(),
            shape: None,
            asked: None,
            columns: BTreeMap::new(),
            rows: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            history: BTreeMap::new(),
            base: 0,
            net: 0,
            restarts_counting: false,
            removed: Vec::new(),
            kept: BTreeMap::new(),
            chance: Rng::new(!seed),
            calm: false,
            violation: None,
            calls: 0,
        }
    }

    fn tables(&self) -> LaneTables {
        Options::default()
            .tables(Database::Postgres, &lane())
            .with_layout(&self.layout)
    }

    /// One transaction.
    pub(super) fn store(&mut self, chunks: &[&Chunk]) -> Vec<Outcome> {
        self.calls += 1;
        let entries = self.entries();
        let schemas = self.schemas.clone();
        let incoming: Vec<Incoming<'_>> = chunks
            .iter()
            .map(|chunk| Incoming {
                links: links(chunk),
                schema: &schemas[chunk.generation],
                rows: chunk.rows.len() as u64,
                resync: chunk
                    .resync
                    .filter(|resync| self.env.waits || !resync.is_complete),
            })
            .collect();
        let intake = loop {
            let name = lane();
            let tables = self.tables();
            let given = Given {
                lane: &name,
                state: &self.state,
                frontier: &self.frontier,
                shape: self.shape.as_ref(),
                asked: self.asked.as_ref(),
                refused: None,
                tables: &tables,
            };
            let intake = intake(&given, &entries, &incoming);
            if let Some(change) = intake.change {
                self.alter(&change);
                continue;
            }
            let Some((place, changes)) = intake.asks else {
                break intake;
            };
            let question = Question {
                place,
                changes,
                since: jiff::Timestamp::UNIX_EPOCH,
            };
            if self.env.asking {
                self.asked = Some(question);
                break intake_without(intake.verdicts, intake.state);
            }
            // Nobody is asked: what comes goes where the old was.
            if let Some(shape) = &mut self.shape {
                shape.accept(&question);
            }
        };
        let before = std::mem::replace(&mut self.state, intake.state);
        let outcomes = chunks
            .iter()
            .zip(intake.verdicts)
            .map(|(chunk, verdict)| self.keep(chunk, &verdict))
            .collect();
        if before.openings != self.state.openings {
            self.leave_behind(&before);
        }
        self.advance();
        self.begin_count();
        outcomes
    }

    /// The ledger as it judges links.
    fn entries(&self) -> BTreeMap<Place, Entry> {
        let entry = |noted: &Noted| Entry {
            digest: noted.digest,
            previous: noted.previous,
            state: noted.state,
        };
        self.ledger
            .iter()
            .map(|(place, noted)| (*place, entry(noted)))
            .collect()
    }

    /// The frontier, and the tombstones that nothing needs any more.
    fn advance(&mut self) {
        let noted: Vec<Noted> = self.ledger.values().cloned().collect();
        let Advance { frontier, broken } = advance(&self.frontier, &self.state, &noted);
        self.frontier = frontier;
        if let Some(reason) = broken {
            self.state.stopped.get_or_insert(reason);
        }
        let mut frontier = self.frontier.clone();
        if !self.env.tombstones_wait {
            frontier.lowest_quarantined = None;
        }
        self.tombstones
            .retain(|_, tombstone| !tombstone_passed(*tombstone, &frontier));
    }

    /// Marks superseded versions and demotes superseded rows, as the stores do.
    fn leave_behind(&mut self, before: &LaneState) {
        let epoch = self.state.epoch;
        self.asked = self.asked.take().filter(|asked| asked.place.epoch >= epoch);
        for ((place, _), (.., behind)) in &mut self.history {
            *behind = !counts(&self.state, *place);
        }
        let superseded = self.state.superseded_since(before);
        if self.env.demotes_superseded {
            self.await_republished(&superseded);
        }
    }

    fn keep(&mut self, chunk: &Chunk, verdict: &Verdict) -> Outcome {
        let rows = chunk.rows.len() as u64;
        match verdict {
            Verdict::Judged(Judgement::Store | Judgement::OpenEpoch { .. }) => {
                // A crash between the two, where they are not one.
                let torn = !self.env.one_transaction && self.calls.is_multiple_of(7);
                let is_again = self.begin_again(chunk);
                let before = self.rows.len();
                let refused = self.merge(chunk, None);
                if !is_again {
                    self.count_since(before);
                }
                if !torn {
                    let entry = Noted {
                        rows_quarantined: refused,
                        ..noted(chunk, EntryState::Stored)
                    };
                    self.ledger.insert(place(chunk), entry);
                    self.exchanged.insert(place(chunk), chunk.exchanged_at);
                }
                if torn {
                    // Whoever crashed there settled nothing: it is delivered again.
                    return Outcome::Later {
                        reason: "torn".to_owned(),
                    };
                }
                self.end_resync(chunk, is_again, refused);
                verdict.outcome(rows, refused)
            }
            Verdict::Judged(Judgement::Superseded) => {
                let known = self.ledger.get(&place(chunk)).map(|known| known.state);
                if matches!(known, None | Some(EntryState::Quarantined | EntryState::Awaited)) {
                    self.ledger
                        .insert(place(chunk), noted(chunk, EntryState::Superseded));
                }
                Outcome::Superseded
            }
            Verdict::Judged(Judgement::Later { reason }) => Outcome::Stopped {
                reason: reason.clone(),
            },
            _ => verdict.outcome(rows, 0),
        }
    }

    fn violated(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    pub(super) fn asked(&self) -> bool {
        self.asked.is_some()
    }

    /// `slacktide feed accept-change`.
    pub(super) fn accept(&mut self) {
        if let (Some(question), Some(shape)) = (self.asked.take(), &mut self.shape) {
            shape.accept(&question);
        }
    }

    pub(super) fn report(&self) -> Option<LaneReport> {
        if self.ledger.is_empty() && self.state.stopped.is_none() {
            return None;
        }
        let frontier = self.frontier.clone();
        let waits = |state| matches!(state, EntryState::Stored | EntryState::Awaited);
        let ahead = |noted: &&Noted| noted.place > frontier.place() && waits(noted.state);
        let pending = self
            .ledger
            .values()
            .filter(ahead)
            .filter(|noted| noted.place.epoch >= frontier.epoch)
            .count();
        Some(LaneReport {
            lane: lane(),
            epoch: frontier.epoch,
            from: frontier.from,
            to: frontier.number,
            head: frontier.head,
            cursor: frontier.cursor,
            rows: frontier.rows,
            quarantined: frontier.quarantined,
            pending: pending as u64,
            unremoved: frontier.unremoved,
            stopped: self.state.stopped.clone(),
            waits: self.asked.as_ref().map(|asked| asked.told(&lane())),
            refused: None,
            compacted: None,
            owed: None,
            lineage_start: self.state.lineage_start(),
        })
    }

    pub(super) fn epoch(&self) -> u32 {
        self.state.epoch
    }

    pub(super) fn stopped(&self) -> Option<&str> {
        self.state.stopped.as_deref()
    }

    pub(super) fn living(&self) -> BTreeMap<i64, i64> {
        self.rows
            .iter()
            .map(|(key, (_, _, version))| (*key, *version))
            .collect()
    }
}

fn intake_without(verdicts: Vec<Verdict>, state: LaneState) -> store::table::intake::Intake {
    store::table::intake::Intake {
        verdicts,
        state,
        change: None,
        asks: None,
        refused: None,
    }
}

fn noted(chunk: &Chunk, state: EntryState) -> Noted {
    Noted {
        place: place(chunk),
        digest: chunk.link.digest,
        previous: chunk.previous,
        state,
        rows: chunk.rows.len() as u64,
        rows_quarantined: 0,
        cursor_after: chunk.after.clone(),
    }
}
