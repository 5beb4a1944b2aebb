//! The simulated receiver: a ledger, current rows and tombstones, and a history, changed in transactions. The product's own
//! functions decide what a chunk is, which version wins, what a delete leaves, what the end of a resynchronisation removes, how
//! far the frontier moves, and how the tables change with the core's columns.

mod checks;
mod quarantine;
mod refill;
mod rows;

use std::collections::BTreeMap;

use schemas::column::{ColumnType, RowSchema};
use schemas::receipt::StoreId;
use store::advance::{Advance, advance};
use store::frontier::{Frontier, FrontierEntry};
use store::layout::{Database, LaneTables, Layout, Mode, Options};
use store::ledger::{ChunkLinks, Entry, EntryState, Judgement, LaneState};
use store::merge::{ChunkNumber, tombstone_passed};
use store::quarantine::decide::counts;
use store::table::batch_plan::{Incoming, LaneSnapshot, Verdict, plan_batch};
use store::table::schema_change::PendingChange;
use store::table::shape::Shape;
use store::{Identity, LaneReport, Outcome};

use super::core::LAST_GENERATION;
use super::exchange::{Chunk, Evidence};
use super::faults::Env;
use super::poller::lane;
use super::publisher::schema;
use harness::rng::Rng;
pub(super) use quarantine::Id;
use quarantine::QuarantineEntry;

#[derive(Clone)]
pub(super) struct Store {
    env: Env,
    pub(super) identity: Identity,
    layout: Layout,
    schemas: Vec<RowSchema>,
    state: LaneState,
    ledger: BTreeMap<ChunkNumber, FrontierEntry>,
    /// When the exchange stored the chunks of the ledger.
    exchanged: BTreeMap<ChunkNumber, i64>,
    frontier: Frontier,
    shape: Option<Shape>,
    pending_change: Option<PendingChange>,
    /// The table's columns, as DDL left them.
    columns: BTreeMap<String, ColumnType>,
    /// By key: chunk number, column and version; all other columns are NULL.
    rows: BTreeMap<i64, (ChunkNumber, String, i64)>,
    tombstones: BTreeMap<i64, ChunkNumber>,
    /// By chunk number and ordinal: key, version, whether it deletes, whether it is superseded.
    history: BTreeMap<(ChunkNumber, usize), (i64, i64, bool, bool)>,
    /// The table's number of rows by the ledger: at first, and added by its chunks.
    base: i64,
    net_rows: i64,
    /// The row count restarts once no chunk is awaited.
    restarts_counting: bool,
    /// Rows that resynchronisations removed since the oracle's last check.
    removed: Vec<(i64, Evidence)>,
    /// Quarantine entries, by the chunk's digest and the row's ordinal.
    quarantined: BTreeMap<Id, QuarantineEntry>,
    /// Decides which rows constraints refuse.
    rng: Rng,
    /// Temporary constraints are gone.
    faults_ended: bool,
    violation: Option<String>,
    calls: u64,
}

pub(super) fn chunk_number(chunk: &Chunk) -> ChunkNumber {
    ChunkNumber {
        epoch: chunk.link.epoch,
        number: chunk.link.number,
    }
}

fn links(chunk: &Chunk) -> ChunkLinks {
    ChunkLinks {
        chunk_number: chunk_number(chunk),
        digest: chunk.link.digest,
        previous: chunk.previous,
        opening: chunk.opening,
        exchanged_at: jiff::Timestamp::UNIX_EPOCH,
    }
}

impl Store {
    /// Creates an empty store. `number` distinguishes it from others.
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
            pending_change: None,
            columns: BTreeMap::new(),
            rows: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            history: BTreeMap::new(),
            base: 0,
            net_rows: 0,
            restarts_counting: false,
            removed: Vec::new(),
            quarantined: BTreeMap::new(),
            rng: Rng::new(!seed),
            faults_ended: false,
            violation: None,
            calls: 0,
        }
    }

    fn tables(&self) -> LaneTables {
        Options::default()
            .tables(Database::Postgres, &lane())
            .with_layout(&self.layout)
    }

    /// Stores chunks in one transaction.
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
                is_repair: false,
                resync: chunk
                    .resync
                    .filter(|resync| self.env.tail_waits || !resync.is_complete),
            })
            .collect();
        let plan = loop {
            let name = lane();
            let tables = self.tables();
            let snapshot = LaneSnapshot {
                lane: &name,
                state: &self.state,
                frontier: &self.frontier,
                shape: self.shape.as_ref(),
                pending_change: self.pending_change.as_ref(),
                refused: None,
                tables: &tables,
            };
            let plan = plan_batch(&snapshot, &entries, &incoming);
            if let Some(change) = plan.change {
                self.alter(&change);
                continue;
            }
            let Some((chunk_number, changes)) = plan.asks else {
                break plan;
            };
            let change = PendingChange {
                chunk_number,
                changes,
                since: jiff::Timestamp::UNIX_EPOCH,
            };
            if self.env.approval {
                self.pending_change = Some(change);
                break plan_without_changes(plan.verdicts, plan.state);
            }
            // Without approval new values go to the old column.
            if let Some(shape) = &mut self.shape {
                shape.accept(&change);
            }
        };
        let before = std::mem::replace(&mut self.state, plan.state);
        let outcomes = chunks
            .iter()
            .zip(plan.verdicts)
            .map(|(chunk, verdict)| self.apply_verdict(chunk, &verdict))
            .collect();
        if before.openings != self.state.openings {
            self.mark_superseded(&before);
        }
        self.advance();
        self.begin_count();
        outcomes
    }

    /// Returns the ledger as the link check reads it.
    fn entries(&self) -> BTreeMap<ChunkNumber, Entry> {
        let entry = |noted: &FrontierEntry| Entry {
            digest: noted.digest,
            previous: noted.previous,
            state: noted.state,
        };
        self.ledger
            .iter()
            .map(|(chunk_number, noted)| (*chunk_number, entry(noted)))
            .collect()
    }

    /// Moves the frontier and removes tombstones that are no longer needed.
    fn advance(&mut self) {
        let noted: Vec<FrontierEntry> = self.ledger.values().cloned().collect();
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
    fn mark_superseded(&mut self, before: &LaneState) {
        let epoch = self.state.epoch;
        self.pending_change = self
            .pending_change
            .take()
            .filter(|change| change.chunk_number.epoch >= epoch);
        for ((chunk_number, _), (.., behind)) in &mut self.history {
            *behind = !counts(&self.state, *chunk_number);
        }
        let superseded = self.state.superseded_since(before);
        if self.env.demotes_superseded {
            self.await_republished(&superseded);
        }
    }

    fn apply_verdict(&mut self, chunk: &Chunk, verdict: &Verdict) -> Outcome {
        let rows = chunk.rows.len() as u64;
        match verdict {
            Verdict::Judged(Judgement::Store | Judgement::OpenEpoch { .. }) => {
                // A crash between the two, where they are not one transaction.
                let torn = !self.env.one_transaction && self.calls.is_multiple_of(7);
                let is_again = self.begin_restoring(chunk);
                let before = self.rows.len();
                let refused = self.merge(chunk, None);
                if !is_again {
                    self.count_since(before);
                }
                if !torn {
                    let entry = FrontierEntry {
                        rows_quarantined: refused,
                        ..noted(chunk, EntryState::Stored)
                    };
                    self.ledger.insert(chunk_number(chunk), entry);
                    self.exchanged.insert(chunk_number(chunk), chunk.exchanged_at);
                }
                if torn {
                    // The crashed process settled nothing: the chunk is redelivered.
                    return Outcome::Deferred {
                        reason: "torn".to_owned(),
                    };
                }
                self.end_resync(chunk, is_again, refused);
                verdict.outcome(rows, refused)
            }
            Verdict::Judged(Judgement::Superseded) => {
                let known = self.ledger.get(&chunk_number(chunk)).map(|known| known.state);
                if matches!(known, None | Some(EntryState::Quarantined | EntryState::Awaited)) {
                    self.ledger
                        .insert(chunk_number(chunk), noted(chunk, EntryState::Superseded));
                }
                Outcome::Superseded
            }
            Verdict::Judged(Judgement::Deferred { reason }) => Outcome::Stopped {
                reason: reason.clone(),
            },
            _ => verdict.outcome(rows, 0),
        }
    }

    fn record_violation(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    pub(super) fn has_pending_change(&self) -> bool {
        self.pending_change.is_some()
    }

    /// `slacktide feed accept-change`.
    pub(super) fn accept(&mut self) {
        if let (Some(change), Some(shape)) = (self.pending_change.take(), &mut self.shape) {
            shape.accept(&change);
        }
    }

    pub(super) fn report(&self) -> Option<LaneReport> {
        if self.ledger.is_empty() && self.state.stopped.is_none() {
            return None;
        }
        let frontier = self.frontier.clone();
        let waits = |state| matches!(state, EntryState::Stored | EntryState::Awaited);
        let ahead =
            |noted: &&FrontierEntry| noted.chunk_number > frontier.chunk_number() && waits(noted.state);
        let pending = self
            .ledger
            .values()
            .filter(ahead)
            .filter(|noted| noted.chunk_number.epoch >= frontier.epoch)
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
            unfinished_removal: frontier.unfinished_removal,
            uncompared: frontier.uncompared,
            stopped: self.state.stopped.clone(),
            pending_change: self
                .pending_change
                .as_ref()
                .map(|change| change.describe(&lane())),
            refused: None,
            compacted: None,
            refill_until: None,
            lineage_start: self.state.lineage_start(),
        })
    }

    pub(super) fn epoch(&self) -> u32 {
        self.state.epoch
    }

    pub(super) fn stopped(&self) -> Option<&str> {
        self.state.stopped.as_deref()
    }

    pub(super) fn live_rows(&self) -> BTreeMap<i64, i64> {
        self.rows
            .iter()
            .map(|(key, (_, _, version))| (*key, *version))
            .collect()
    }
}

fn plan_without_changes(verdicts: Vec<Verdict>, state: LaneState) -> store::table::batch_plan::BatchPlan {
    store::table::batch_plan::BatchPlan {
        verdicts,
        state,
        change: None,
        asks: None,
        refused: None,
    }
}

fn noted(chunk: &Chunk, state: EntryState) -> FrontierEntry {
    FrontierEntry {
        chunk_number: chunk_number(chunk),
        digest: chunk.link.digest,
        previous: chunk.previous,
        state,
        rows: chunk.rows.len() as u64,
        rows_quarantined: 0,
        cursor_after: chunk.after.clone(),
    }
}
