//! The simulated receiver's quarantine: each operation is one transaction, as in the stores. The product decides what may be
//! retried, its outcome and how the frontier is recomputed.

use store::frontier::FrontierEntry;
use store::ledger::{EntryState, Judgement, plan};
use store::merge::ChunkNumber;
use store::quarantine::decide::{self, Below, blocked_outcome, message_outcome, recount};
use store::quarantine::{Ending, Kind, RetryOutcome};
use store::table::shape::{Fit, fit};

use super::super::exchange::Chunk;
use super::rows::is_always_refused;
use super::{Store, chunk_number, links, noted};

/// The chunk's digest, and its row's ordinal; `None` for a message.
pub(in super::super) type Id = ([u8; 32], Option<usize>);

#[derive(Clone)]
pub(in super::super) struct QuarantineEntry {
    pub(super) kind: Kind,
    pub(super) chunk_number: Option<ChunkNumber>,
    pub(super) chunk: Chunk,
    pub(super) ended: Option<Ending>,
}

impl Store {
    /// Quarantines a row. An entry that was released before is open again if its chunk is stored again.
    pub(super) fn quarantine_row(&mut self, chunk: &Chunk, ordinal: usize) {
        let entry = QuarantineEntry {
            kind: Kind::Row,
            chunk_number: Some(chunk_number(chunk)),
            chunk: chunk.clone(),
            ended: None,
        };
        self.quarantined
            .insert((chunk.link.digest.0, Some(ordinal)), entry);
    }

    /// Quarantines a message that does not open, with the chunk number that it claims.
    pub(in super::super) fn quarantine(&mut self, chunk: &Chunk, claims: bool) {
        let at = chunk_number(chunk);
        self.quarantined
            .entry((chunk.link.digest.0, None))
            .or_insert_with(|| QuarantineEntry {
                kind: Kind::Message,
                chunk_number: claims.then_some(at),
                chunk: chunk.clone(),
                ended: None,
            });
        if claims {
            self.exchanged.entry(at).or_insert(chunk.exchanged_at);
            self.ledger.entry(at).or_insert_with(|| FrontierEntry {
                rows: 0,
                ..noted(chunk, EntryState::Quarantined)
            });
        }
        self.advance();
    }

    pub(in super::super) fn open(&self) -> Vec<(Id, Kind)> {
        self.quarantined
            .iter()
            .filter(|(_, entry)| entry.ended.is_none())
            .map(|(id, entry)| (*id, entry.kind))
            .collect()
    }

    /// Returns the message as it opens now.
    pub(in super::super) fn message(&self, id: &Id) -> Option<Chunk> {
        self.quarantined.get(id).map(|entry| entry.chunk.clone())
    }

    pub(in super::super) fn judgement_of(&self, chunk: &Chunk) -> Judgement {
        plan(&self.state, &self.entries(), &[links(chunk)])
            .judgements
            .pop()
            .unwrap()
    }

    pub(in super::super) fn retry_rows(&mut self, ids: &[Id]) -> Vec<RetryOutcome> {
        let became = ids.iter().map(|id| self.retry_row(id)).collect();
        self.recount();
        became
    }

    fn retry_row(&mut self, id: &Id) -> RetryOutcome {
        let Some(entry) = self.quarantined.get(id) else {
            return RetryOutcome::Unknown;
        };
        if let Some(answer) = blocked_outcome(entry.kind, entry.ended, &self.state, entry.chunk_number) {
            if answer == RetryOutcome::LeftBehind {
                self.end(id, Ending::LeftBehind);
            }
            return answer;
        }
        let (chunk, at) = (entry.chunk.clone(), chunk_number(&entry.chunk));
        let columns = &self.schemas[chunk.generation];
        let fits = fit(self.shape.as_ref(), columns, at, &self.tables(), at) == Fit::Fits;
        if !fits {
            return RetryOutcome::Never {
                reason: "it has no place any more".to_owned(),
            };
        }
        let before = self.rows.len();
        if self.merge(&chunk, id.1) > 0 {
            return RetryOutcome::Stays {
                reason: "refused again".to_owned(),
            };
        }
        // A crash between the two, where they are not one transaction.
        if self.env.ends_entry_with_row || self.rng.percent(80) {
            self.end(id, Ending::Released);
            self.count_since(before);
            if let Some(noted) = self.ledger.get_mut(&at) {
                noted.rows_quarantined = noted.rows_quarantined.saturating_sub(1);
            }
        }
        RetryOutcome::Released { rows: 1, refused: 0 }
    }

    /// Ends a message's entry whose chunk is stored.
    pub(in super::super) fn finish(&mut self, chunk: &Chunk, id: &Id) -> RetryOutcome {
        let became = match self.quarantined.get(id).map(|entry| entry.ended) {
            None => RetryOutcome::Unknown,
            Some(Some(ending)) => RetryOutcome::Ended { ending },
            Some(None) => {
                let noted = self
                    .ledger
                    .get(&chunk_number(chunk))
                    .map(|noted| decide::ReleasedEntry {
                        digest: noted.digest,
                        state: noted.state,
                        rows: noted.rows,
                        refused: noted.rows_quarantined,
                    });
                let became = message_outcome(chunk.link.digest, noted, false);
                match became {
                    RetryOutcome::Released { .. } => self.end(id, Ending::Released),
                    RetryOutcome::LeftBehind => self.end(id, Ending::LeftBehind),
                    _ => {}
                }
                became
            }
        };
        self.recount();
        became
    }

    pub(in super::super) fn discard(&mut self, id: &Id) {
        self.end(id, Ending::Discarded);
        self.recount();
    }

    fn end(&mut self, id: &Id, how: Ending) {
        if let Some(entry) = self.quarantined.get_mut(id) {
            entry.ended.get_or_insert(how);
        }
    }

    /// Ends the entries of a chunk's rows, because the chunk is stored again; discarded rows are stored too.
    pub(super) fn end_rows(&mut self, chunk: &Chunk) {
        for ((digest, ordinal), entry) in &mut self.quarantined {
            if *digest == chunk.link.digest.0 && ordinal.is_some() {
                entry.ended = Some(Ending::Released);
            }
        }
    }

    pub(super) fn recount(&mut self) {
        if self.frontier.number > 0 && self.env.recounts {
            self.frontier = recount(&self.frontier, &self.state, &self.below());
        }
    }

    /// Returns what the stores read from the ledger for the recount.
    pub(super) fn below(&self) -> Below {
        let at = self.frontier.chunk_number();
        let trusted = |noted: &&FrontierEntry| {
            noted.chunk_number.epoch == at.epoch
                && noted.chunk_number <= at
                && noted.state == EntryState::Stored
        };
        let open = |chunk_number: ChunkNumber| {
            self.quarantined
                .values()
                .any(|entry| entry.chunk_number == Some(chunk_number) && entry.ended.is_none())
        };
        let marked = |noted: &&FrontierEntry| {
            noted.chunk_number <= at && (noted.state == EntryState::Quarantined || noted.rows_quarantined > 0)
        };
        Below {
            head: self
                .ledger
                .get(&at)
                .map(|noted| (noted.digest, noted.state == EntryState::Stored)),
            cursor: self
                .ledger
                .values()
                .rfind(trusted)
                .and_then(|noted| noted.cursor_after.clone()),
            rows: self.ledger.values().filter(trusted).map(|noted| noted.rows).sum(),
            marked: self
                .ledger
                .values()
                .filter(marked)
                .map(|noted| (noted.chunk_number, open(noted.chunk_number)))
                .collect(),
        }
    }

    /// Ends temporary constraints and untrusted keys.
    pub(in super::super) fn end_faults(&mut self) {
        self.faults_ended = true;
    }

    /// Returns whether only entries that no retry can resolve are left.
    pub(in super::super) fn settled(&self) -> bool {
        let stays = |(id, entry): (&Id, &QuarantineEntry)| {
            let row = id.1.and_then(|ordinal| entry.chunk.rows.get(ordinal));
            entry.ended.is_some() || row.is_some_and(is_always_refused)
        };
        self.quarantined.iter().all(stays)
    }

    /// Returns the number of entries, or of those that ended so.
    pub(in super::super) fn ended(&self, how: Option<Ending>) -> usize {
        self.quarantined
            .values()
            .filter(|entry| how.is_none() || entry.ended == how)
            .count()
    }

    /// Without the ledger check, a retry may stop the lane.
    pub(in super::super) fn must_not_stop(&mut self, before: bool) {
        if !before && self.state.stopped.is_some() {
            self.record_violation("a retry stopped the lane".to_owned());
        }
    }

    pub(in super::super) fn checks_ledger_first(&self) -> bool {
        self.env.checks_ledger_first
    }
}
