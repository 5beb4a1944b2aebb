//! The simulated receiver: a ledger, current rows and tombstones, a history, changed in
//! transactions. What a chunk is, which version wins, what a delete leaves, how far the frontier
//! reaches, and how the tables follow the core's columns is decided by the product's own functions.

use std::collections::{BTreeMap, BTreeSet};

use schemas::column::{ColumnType, RowSchema};
use store::frontier::{Advance, Frontier, Noted, advance};
use store::layout::{Layout, Mode};
use store::ledger::{ChunkLinks, Entry, EntryState, Judgement, LaneState};
use store::merge::{Effect, Place, effect, tombstone_passed};
use store::table::asked::Question;
use store::table::intake::{Given, Incoming, Verdict, intake};
use store::table::lattice::{Widening, widened};
use store::table::shape::{Change, Shape, Step};
use store::{LaneReport, Outcome};

use super::core::{LAST_GENERATION, WIDE};
use super::exchange::Chunk;
use super::faults::Env;
use super::poller::lane;
use super::publisher::schema;

pub(super) struct Store {
    env: Env,
    layout: Layout,
    schemas: Vec<RowSchema>,
    state: LaneState,
    ledger: BTreeMap<Place, Noted>,
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
    violation: Option<String>,
    calls: u64,
}

fn place(chunk: &Chunk) -> Place {
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
    }
}

impl Store {
    pub(super) fn new(env: Env) -> Self {
        Self {
            env,
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
            frontier: Frontier::default(),
            shape: None,
            asked: None,
            columns: BTreeMap::new(),
            rows: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            history: BTreeMap::new(),
            violation: None,
            calls: 0,
        }
    }

    /// One transaction.
    pub(super) fn store(&mut self, chunks: &[&Chunk]) -> Vec<Outcome> {
        self.calls += 1;
        let entries: BTreeMap<Place, Entry> = self
            .ledger
            .iter()
            .map(|(place, noted)| {
                (
                    *place,
                    Entry {
                        digest: noted.digest,
                        previous: noted.previous,
                        state: noted.state,
                    },
                )
            })
            .collect();
        let schemas = self.schemas.clone();
        let incoming: Vec<Incoming<'_>> = chunks
            .iter()
            .map(|chunk| Incoming {
                links: links(chunk),
                schema: &schemas[chunk.generation],
                rows: chunk.rows.len() as u64,
            })
            .collect();
        let intake = loop {
            let name = lane();
            let given = Given {
                lane: &name,
                state: &self.state,
                frontier: &self.frontier,
                shape: self.shape.as_ref(),
                asked: self.asked.as_ref(),
                layout: &self.layout,
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
        if intake.state != self.state {
            self.state = intake.state;
            self.leave_behind();
        }
        let outcomes = chunks
            .iter()
            .zip(intake.verdicts)
            .map(|(chunk, verdict)| self.keep(chunk, &verdict))
            .collect();
        let noted: Vec<Noted> = self.ledger.values().cloned().collect();
        let Advance { frontier, broken } = advance(&self.frontier, &self.state, &noted);
        self.frontier = frontier;
        if let Some(reason) = broken {
            self.state.stopped.get_or_insert(reason);
        }
        let frontier = &self.frontier;
        self.tombstones
            .retain(|_, tombstone| !tombstone_passed(*tombstone, frontier));
        outcomes
    }

    /// What a database does for the steps.
    fn alter(&mut self, change: &Change) {
        for step in &change.steps {
            match step {
                Step::Make => {
                    let columns = change.shape.columns(&self.layout);
                    self.columns
                        .extend(columns.into_iter().map(|column| (column.name, column.kind)));
                }
                Step::Add(column) => {
                    self.columns
                        .entry(column.name.clone())
                        .or_insert_with(|| column.kind.clone());
                }
                Step::Retype { name, to, .. } if self.env.widening => {
                    self.columns.insert(name.clone(), to.clone());
                }
                Step::Rename { from, to } if self.env.asking => {
                    if let Some(kind) = self.columns.remove(from) {
                        self.columns.insert(to.clone(), kind);
                    }
                    for (_, column, _) in self.rows.values_mut().filter(|(_, column, _)| column == from) {
                        column.clone_from(to);
                    }
                }
                _ => {}
            }
        }
        self.shape = Some(change.shape.clone());
    }

    /// A new epoch marks what it leaves behind, as the stores do.
    fn leave_behind(&mut self) {
        let epoch = self.state.epoch;
        self.asked = self.asked.take().filter(|asked| asked.place.epoch >= epoch);
        let Some(continues) = self.state.openings.get(&epoch).copied() else {
            return;
        };
        let last = continues.map_or((0, 0), |link| (link.epoch, link.number));
        for ((place, _), (.., behind)) in &mut self.history {
            *behind |= (place.epoch, place.number) > last && place.epoch < epoch;
        }
    }

    fn keep(&mut self, chunk: &Chunk, verdict: &Verdict) -> Outcome {
        let rows = chunk.rows.len() as u64;
        match verdict {
            Verdict::Judged(Judgement::Store | Judgement::OpenEpoch { .. }) => {
                // A crash between the two, where they are not one.
                let torn = !self.env.one_transaction && self.calls.is_multiple_of(7);
                if !torn {
                    self.ledger.insert(place(chunk), noted(chunk, EntryState::Stored));
                }
                self.merge(chunk);
                if torn {
                    // Whoever crashed there settled nothing: it is delivered again.
                    return Outcome::Later {
                        reason: "torn".to_owned(),
                    };
                }
                verdict.outcome(rows, 0)
            }
            Verdict::Judged(Judgement::Superseded) => {
                let at = place(chunk);
                self.ledger
                    .entry(at)
                    .or_insert_with(|| noted(chunk, EntryState::Superseded));
                Outcome::Superseded
            }
            Verdict::Judged(Judgement::Later { reason }) => Outcome::Stopped {
                reason: reason.clone(),
            },
            _ => verdict.outcome(rows, 0),
        }
    }

    fn merge(&mut self, chunk: &Chunk) {
        let at = place(chunk);
        let Some(shape) = self.shape.clone().filter(|_| !chunk.rows.is_empty()) else {
            return;
        };
        let given = self.schemas[chunk.generation].clone();
        let index = given.index_of("version").unwrap();
        let kind = given.columns[index].kind.clone();
        let routes = shape.routes(&given, at, &self.layout);
        let column = if self.env.aside {
            routes.names[index].clone()
        } else {
            "version".to_owned()
        };
        for (ordinal, row) in chunk.rows.iter().enumerate() {
            let version = (row.key, row.version, row.gone, false);
            if self.history.insert((at, ordinal), version).is_some() {
                self.violated(format!("{at:?} is twice in the history"));
            }
            self.must_fit(&column, &kind, row.version);
        }
        // Within a chunk the last version of a key wins.
        let last: BTreeMap<i64, _> = chunk.rows.iter().map(|row| (row.key, row)).collect();
        for (key, row) in last {
            let stored = self.rows.get(&key).map(|(place, ..)| *place);
            let tombstone = self.tombstones.get(&key).copied();
            let effect = match (self.env.guard, row.gone) {
                (true, gone) => effect(at, gone, stored, tombstone),
                (false, true) => Effect::Remove,
                (false, false) => Effect::Write,
            };
            match effect {
                Effect::Keep => {}
                Effect::Write => {
                    self.rows.insert(key, (at, column.clone(), row.version));
                    self.tombstones.remove(&key);
                }
                Effect::Remove => {
                    self.rows.remove(&key);
                    if self.env.tombstones {
                        self.tombstones.insert(key, at);
                    }
                }
            }
        }
    }

    /// What a database would say to the value.
    fn must_fit(&mut self, column: &str, kind: &ColumnType, version: i64) {
        let fits = match self.columns.get(column) {
            None => false,
            Some(ColumnType::Int2) if version > WIDE => false,
            Some(holds) => {
                matches!(widened(holds, kind), Widening::Alike | Widening::Narrower)
                    || (*holds == ColumnType::Int2 && *kind == ColumnType::Int8)
            }
        };
        if !fits {
            let holds = self.columns.get(column).cloned();
            self.violated(format!(
                "{version} of {kind:?} does not fit column {column} of {holds:?}"
            ));
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

    /// Whatever stands here must be so: nothing that did not fit, and of each key the newest
    /// version of the history, unless it was left behind or deletes.
    pub(super) fn judge(&self, core: &BTreeMap<i64, i64>) -> Result<(), String> {
        if let Some(violation) = &self.violation {
            return Err(violation.clone());
        }
        let mut newest: BTreeMap<i64, Option<i64>> = BTreeMap::new();
        for (key, version, gone, behind) in self.history.values() {
            if !behind {
                newest.insert(*key, (!gone).then_some(*version));
            }
        }
        let living: BTreeMap<i64, i64> = newest
            .into_iter()
            .filter_map(|(key, version)| Some((key, version?)))
            .collect();
        if &living != core {
            return Err(format!(
                "the history's newest are {living:?}, the core's {core:?}"
            ));
        }
        let stored: BTreeSet<Place> = self.history.keys().map(|(place, _)| *place).collect();
        let lacks = |noted: &&Noted| {
            noted.state == EntryState::Stored && noted.rows > 0 && !stored.contains(&noted.place)
        };
        match self.ledger.values().find(lacks) {
            Some(noted) => Err(format!("{:?} is stored and not in the history", noted.place)),
            None => Ok(()),
        }
    }

    pub(super) fn report(&self) -> Option<LaneReport> {
        if self.ledger.is_empty() && self.state.stopped.is_none() {
            return None;
        }
        let frontier = self.frontier.clone();
        let ahead = |noted: &&Noted| noted.place > frontier.place() && noted.state == EntryState::Stored;
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
            stopped: self.state.stopped.clone(),
            waits: self.asked.as_ref().map(|asked| asked.told(&lane())),
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
