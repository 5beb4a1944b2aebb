//! The simulated receiver: a ledger, current rows and tombstones, changed in transactions.
//! What a chunk is, which version wins, what a delete leaves and how far the frontier reaches
//! is decided by the product's own functions.

use std::collections::BTreeMap;

use store::frontier::{Advance, Frontier, Noted, advance};
use store::ledger::{ChunkLinks, Entry, EntryState, Judgement, LaneState, plan};
use store::merge::{Effect, Place, effect, tombstone_passed};
use store::{LaneReport, Outcome};

use super::exchange::Chunk;
use super::faults::Env;
use super::poller::lane;

pub(super) struct Store {
    env: Env,
    state: LaneState,
    ledger: BTreeMap<Place, Noted>,
    frontier: Frontier,
    /// By key: place and version.
    rows: BTreeMap<i64, (Place, i64)>,
    tombstones: BTreeMap<i64, Place>,
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
            state: LaneState::default(),
            ledger: BTreeMap::new(),
            frontier: Frontier::default(),
            rows: BTreeMap::new(),
            tombstones: BTreeMap::new(),
        }
    }

    /// One transaction.
    pub(super) fn store(&mut self, chunks: &[&Chunk]) -> Vec<Outcome> {
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
        let chunk_links: Vec<ChunkLinks> = chunks.iter().map(|chunk| links(chunk)).collect();
        let plan = plan(&self.state, &entries, &chunk_links);
        self.state = plan.lane;
        let outcomes = chunks
            .iter()
            .zip(plan.judgements)
            .map(|(chunk, judged)| self.keep(chunk, judged))
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

    fn keep(&mut self, chunk: &Chunk, judged: Judgement) -> Outcome {
        match judged {
            Judgement::Already => Outcome::Already,
            Judgement::Superseded => {
                let at = place(chunk);
                self.ledger
                    .entry(at)
                    .or_insert_with(|| noted(chunk, EntryState::Superseded));
                Outcome::Superseded
            }
            Judgement::Fork { reason }
            | Judgement::BadOpening { reason }
            | Judgement::StoppedBefore { reason }
            | Judgement::Later { reason } => Outcome::Stopped { reason },
            Judgement::Store | Judgement::OpenEpoch { .. } => {
                self.ledger.insert(place(chunk), noted(chunk, EntryState::Stored));
                self.merge(chunk);
                Outcome::Stored {
                    rows: chunk.rows.len() as u64,
                    quarantined: 0,
                }
            }
        }
    }

    fn merge(&mut self, chunk: &Chunk) {
        let at = place(chunk);
        // Within a chunk the last version of a key wins.
        let last: BTreeMap<i64, _> = chunk.rows.iter().map(|row| (row.key, row)).collect();
        for (key, row) in last {
            let stored = self.rows.get(&key).map(|(place, _)| *place);
            let tombstone = self.tombstones.get(&key).copied();
            let effect = match (self.env.guard, row.gone) {
                (true, gone) => effect(at, gone, stored, tombstone),
                (false, true) => Effect::Remove,
                (false, false) => Effect::Write,
            };
            match effect {
                Effect::Keep => {}
                Effect::Write => {
                    self.rows.insert(key, (at, row.version));
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
            waits: None,
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
            .map(|(key, (_, version))| (*key, *version))
            .collect()
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
