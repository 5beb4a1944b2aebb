//! The simulated receiver's quarantine: each verb one transaction, as in the stores. What may be
//! tried again, what became of it and how the frontier is counted anew is the product's.

use store::frontier::Noted;
use store::ledger::{EntryState, Judgement, plan};
use store::merge::Place;
use store::quarantine::decide::{self, Below, message_became, recount, untried};
use store::quarantine::{Became, Ending, Kind};
use store::table::shape::{Fit, fit};

use super::super::exchange::Chunk;
use super::rows::stubborn;
use super::{Store, links, noted, place};

/// The chunk's digest, and its row's ordinal; a message has none.
pub(in super::super) type Id = ([u8; 32], Option<usize>);

/// Something kept aside.
#[derive(Clone)]
pub(in super::super) struct Kept {
    pub(super) kind: Kind,
    pub(super) place: Option<Place>,
    pub(super) chunk: Chunk,
    pub(super) ended: Option<Ending>,
}

impl Store {
    /// One that left the quarantine before is in it again: its chunk is stored again.
    pub(super) fn keep_row(&mut self, chunk: &Chunk, ordinal: usize) {
        let kept = Kept {
            kind: Kind::Row,
            place: Some(place(chunk)),
            chunk: chunk.clone(),
            ended: None,
        };
        self.kept.insert((chunk.link.digest.0, Some(ordinal)), kept);
    }

    /// Keeps a message that does not open, with the place that it claims.
    pub(in super::super) fn quarantine(&mut self, chunk: &Chunk, claims: bool) {
        let at = place(chunk);
        self.kept
            .entry((chunk.link.digest.0, None))
            .or_insert_with(|| Kept {
                kind: Kind::Message,
                place: claims.then_some(at),
                chunk: chunk.clone(),
                ended: None,
            });
        if claims {
            self.exchanged.entry(at).or_insert(chunk.exchanged_at);
            self.ledger.entry(at).or_insert_with(|| Noted {
                rows: 0,
                ..noted(chunk, EntryState::Quarantined)
            });
        }
        self.advance();
    }

    /// What is there to be tried.
    pub(in super::super) fn open(&self) -> Vec<(Id, Kind)> {
        self.kept
            .iter()
            .filter(|(_, kept)| kept.ended.is_none())
            .map(|(id, kept)| (*id, kept.kind))
            .collect()
    }

    /// The message, as it opens today.
    pub(in super::super) fn message(&self, id: &Id) -> Option<Chunk> {
        self.kept.get(id).map(|kept| kept.chunk.clone())
    }

    pub(in super::super) fn judged(&self, chunk: &Chunk) -> Judgement {
        plan(&self.state, &self.entries(), &[links(chunk)])
            .judgements
            .pop()
            .unwrap()
    }

    pub(in super::super) fn retry_rows(&mut self, ids: &[Id]) -> Vec<Became> {
        let became = ids.iter().map(|id| self.retry_row(id)).collect();
        self.recount();
        became
    }

    fn retry_row(&mut self, id: &Id) -> Became {
        let Some(kept) = self.kept.get(id) else {
            return Became::Unknown;
        };
        if let Some(answer) = untried(kept.kind, kept.ended, &self.state, kept.place) {
            if answer == Became::LeftBehind {
                self.end(id, Ending::LeftBehind);
            }
            return answer;
        }
        let (chunk, at) = (kept.chunk.clone(), place(&kept.chunk));
        let columns = &self.schemas[chunk.generation];
        let fits = fit(self.shape.as_ref(), columns, at, &self.tables(), at) == Fit::Fits;
        if !fits {
            return Became::Never {
                reason: "it has no place any more".to_owned(),
            };
        }
        let before = self.rows.len();
        if self.merge(&chunk, id.1) > 0 {
            return Became::Stays {
                reason: "refused again".to_owned(),
            };
        }
        // A crash between the two, where they are not one.
        if self.env.ends_with_row || self.chance.percent(80) {
            self.end(id, Ending::Released);
            self.count_since(before);
            if let Some(noted) = self.ledger.get_mut(&at) {
                noted.rows_quarantined = noted.rows_quarantined.saturating_sub(1);
            }
        }
        Became::Released { rows: 1, refused: 0 }
    }

    /// Ends a message's entry whose chunk is stored.
    pub(in super::super) fn finish(&mut self, chunk: &Chunk, id: &Id) -> Became {
        let became = match self.kept.get(id).map(|kept| kept.ended) {
            None => Became::Unknown,
            Some(Some(how)) => Became::Ended { how },
            Some(None) => {
                let noted = self.ledger.get(&place(chunk)).map(|noted| decide::Noted {
                    digest: noted.digest,
                    state: noted.state,
                    rows: noted.rows,
                    refused: noted.rows_quarantined,
                });
                let became = message_became(chunk.link.digest, noted, false);
                match became {
                    Became::Released { .. } => self.end(id, Ending::Released),
                    Became::LeftBehind => self.end(id, Ending::LeftBehind),
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
        if let Some(kept) = self.kept.get_mut(id) {
            kept.ended.get_or_insert(how);
        }
    }

    /// Ends the entries of a chunk's rows, because the chunk is stored again; what was given up is stored, too.
    pub(super) fn end_rows(&mut self, chunk: &Chunk) {
        for ((digest, ordinal), kept) in &mut self.kept {
            if *digest == chunk.link.digest.0 && ordinal.is_some() {
                kept.ended = Some(Ending::Released);
            }
        }
    }

    pub(super) fn recount(&mut self) {
        if self.frontier.number > 0 && self.env.recounts {
            self.frontier = recount(&self.frontier, &self.state, &self.below());
        }
    }

    /// What the stores read of the ledger for it.
    pub(super) fn below(&self) -> Below {
        let at = self.frontier.place();
        let trusted = |noted: &&Noted| {
            noted.place.epoch == at.epoch && noted.place <= at && noted.state == EntryState::Stored
        };
        let open = |place: Place| {
            self.kept
                .values()
                .any(|kept| kept.place == Some(place) && kept.ended.is_none())
        };
        let marked = |noted: &&Noted| {
            noted.place <= at && (noted.state == EntryState::Quarantined || noted.rows_quarantined > 0)
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
                .map(|noted| (noted.place, open(noted.place)))
                .collect(),
        }
    }

    /// Constraints that came and went, and keys that were not trusted: no more of it.
    pub(in super::super) fn calm(&mut self) {
        self.calm = true;
    }

    /// Nothing is left in quarantine but what no retry helps.
    pub(in super::super) fn settled(&self) -> bool {
        let stays = |(id, kept): (&Id, &Kept)| {
            let row = id.1.and_then(|ordinal| kept.chunk.rows.get(ordinal));
            kept.ended.is_some() || row.is_some_and(stubborn)
        };
        self.kept.iter().all(stays)
    }

    /// How many entries there were, or ended so.
    pub(in super::super) fn ended(&self, how: Option<Ending>) -> usize {
        self.kept
            .values()
            .filter(|kept| how.is_none() || kept.ended == how)
            .count()
    }

    /// Where a retry does not ask first, it may stop the lane.
    pub(in super::super) fn must_not_stop(&mut self, before: bool) {
        if !before && self.state.stopped.is_some() {
            self.violated("a retry stopped the lane".to_owned());
        }
    }

    pub(in super::super) fn asks_first(&self) -> bool {
        self.env.asked_first
    }
}
