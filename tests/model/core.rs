//! The simulated system of record: transactions that take their cursor at their begin, at
//! their statement or from a sequence, and commit whenever they like.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemas::cursor::{Cursor, Scalar};
use schemas::source::SourceMark;
use source::backwards::{Greatest, beyond};
use source::fence::{Fence, OpenTransaction, TransactionId};

use super::rng::Rng;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Transaction,
    Statement,
    Sequence,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) key: i64,
    /// The cursor's first column: milliseconds, or a number of the sequence.
    pub(super) at: i64,
    pub(super) version: i64,
    pub(super) gone: bool,
}

/// What becomes of a core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Restore {
    /// An older copy of its files is put back.
    Copy,
    /// It is restored to a point in time, which begins another timeline.
    PointInTime,
    /// Another server takes its place, with some of what an older copy held.
    Replaced,
}

#[derive(Debug, Clone)]
struct Tx {
    id: i32,
    began: i64,
    prepared: Option<i64>,
    writes: BTreeMap<i64, Row>,
}

/// First a wider type, then another one, then one that is wider than that.
pub(super) const LAST_GENERATION: usize = 3;

/// More than a `smallint` holds.
pub(super) const WIDE: i64 = 100_000;

#[derive(Clone)]
pub(super) struct Core {
    pub(super) mode: Mode,
    rows: BTreeMap<i64, Row>,
    /// When the last version of each key was committed.
    commits: BTreeMap<i64, i64>,
    open: Vec<Tx>,
    system: u32,
    timeline: u32,
    /// Counted up by whatever it writes.
    written: i64,
    /// Counted up when another one takes its place: connections to it break then.
    pub(super) life: u32,
    versions: i64,
    sequence: i64,
    ids: i32,
    /// Which types the columns have; counted up by each change.
    pub(super) generation: usize,
}

pub(super) fn time(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap()
}

impl Core {
    pub(super) fn new(mode: Mode) -> Self {
        Self {
            mode,
            rows: BTreeMap::new(),
            commits: BTreeMap::new(),
            open: Vec::new(),
            system: 1,
            timeline: 1,
            written: 0,
            life: 0,
            versions: 0,
            sequence: 0,
            ids: 0,
            generation: 0,
        }
    }

    /// The columns get other types, as by ALTER TABLE.
    pub(super) fn alter(&mut self) {
        self.generation = (self.generation + 1).min(LAST_GENERATION);
    }

    /// One act of the business.
    pub(super) fn act(&mut self, rng: &mut Rng, now: i64) {
        let which = rng.below(self.open.len());
        match rng.below(10) {
            0..=2 if self.open.len() < 3 => {
                self.ids += 1;
                self.open.push(Tx {
                    id: self.ids,
                    began: now,
                    prepared: None,
                    writes: BTreeMap::new(),
                });
            }
            3..=5 if !self.open.is_empty() => (0..=rng.below(3)).for_each(|_| self.write(rng, which, now)),
            6..=8 if !self.open.is_empty() => self.end(which, !rng.percent(10), now),
            9 if !self.open.is_empty() && rng.percent(30) => {
                if let Some(tx) = self.open.get_mut(which) {
                    tx.prepared.get_or_insert(now);
                }
            }
            _ => {}
        }
    }

    fn write(&mut self, rng: &mut Rng, which: usize, now: i64) {
        let key = rng.span(1, 16);
        let locked = self
            .open
            .iter()
            .enumerate()
            .any(|(other, tx)| other != which && tx.writes.contains_key(&key));
        let Some(tx) = self
            .open
            .get_mut(which)
            .filter(|tx| tx.prepared.is_none() && !locked)
        else {
            return;
        };
        self.versions += 1;
        // What a narrower type could not hold.
        let version = self.versions + if self.generation > 0 { WIDE } else { 0 };
        self.sequence += 1;
        let at = match self.mode {
            Mode::Transaction => tx.began,
            Mode::Statement => now,
            Mode::Sequence => self.sequence,
        };
        tx.writes.insert(
            key,
            Row {
                key,
                at,
                version,
                gone: rng.percent(40),
            },
        );
    }

    fn end(&mut self, which: usize, commit: bool, now: i64) {
        let tx = self.open.swap_remove(which);
        self.written += 1;
        if commit {
            self.commits.extend(tx.writes.keys().map(|key| (*key, now)));
            self.rows.extend(tx.writes);
        }
    }

    pub(super) fn end_all(&mut self, now: i64) {
        while !self.open.is_empty() {
            self.end(0, true, now);
        }
    }

    /// A row is deleted, and nothing tells of it.
    pub(super) fn vanish(&mut self, rng: &mut Rng) -> bool {
        let key = rng.span(1, 16);
        let is_locked = self.open.iter().any(|tx| tx.writes.contains_key(&key));
        if is_locked || self.rows.remove(&key).is_none() {
            return false;
        }
        self.written += 1;
        true
    }

    /// An older copy of it, or another database with what the copy held, takes its place. Transactions that are open are lost.
    pub(super) fn restore(&mut self, copy: &Self, how: Restore, rng: &mut Rng) {
        let before = std::mem::replace(self, copy.clone());
        self.open.clear();
        (self.system, self.timeline) = (before.system, before.timeline);
        self.life = before.life + 1;
        // Neither does a number of a transaction come again, nor does the oracle take one version for another.
        (self.ids, self.versions) = (before.ids, before.versions);
        match how {
            Restore::Copy => {}
            Restore::PointInTime => self.timeline += 1,
            Restore::Replaced => {
                self.system += 1;
                self.rows.retain(|_, _| !rng.percent(20));
            }
        }
    }

    /// What it tells of itself.
    pub(super) fn mark(&self) -> SourceMark {
        SourceMark {
            system: Some(format!("system {}", self.system)),
            timeline: Some(self.timeline),
            written: Some(Cursor(vec![Scalar::Int(self.written)])),
            ..SourceMark::default()
        }
    }

    /// Whether it holds nothing at a position, or beyond it. Of times a deleted row disproves nothing.
    pub(super) fn is_beyond(&self, position: &Cursor) -> bool {
        let highest = self.highest();
        let greatest = Greatest {
            value: highest.as_ref(),
            given_out: Some(self.sequence),
            with_texts: false,
        };
        self.mode == Mode::Sequence && !beyond(std::slice::from_ref(position), greatest).is_empty()
    }

    /// Whether a row is there that was committed before.
    pub(super) fn has_since(&self, key: i64, before: i64) -> bool {
        let is_old = self.commits.get(&key).is_some_and(|at| *at < before);
        is_old && self.rows.get(&key).is_some_and(|row| !row.gone)
    }

    pub(super) fn highest(&self) -> Option<Scalar> {
        self.rows.values().map(|row| row.at).max().map(Scalar::Int)
    }

    pub(super) fn open(&self) -> Vec<OpenTransaction> {
        let seen = |tx: &Tx| OpenTransaction {
            id: match tx.prepared {
                None => TransactionId::Session {
                    pid: tx.id,
                    started_us: tx.began * 1_000,
                },
                Some(_) => TransactionId::Prepared(tx.id.to_string()),
            },
            xid: None,
            role: "clerk".into(),
            application: "claims".into(),
            since: time(tx.prepared.unwrap_or(tx.began)),
            origin: None,
        };
        self.open.iter().map(seen).collect()
    }

    pub(super) fn read(&self, after: Option<&Cursor>, fence: &Fence, limit: usize) -> Vec<Row> {
        let after = after.map(|cursor| match cursor.0.as_slice() {
            [Scalar::Int(at), Scalar::Int(key)] => (*at, *key),
            other => panic!("a cursor of another shape: {other:?}"),
        });
        let within = |at: i64| match fence {
            Fence::Below(Scalar::Int(bound)) => at < *bound,
            Fence::UpTo(Scalar::Int(bound)) => at <= *bound,
            Fence::Open => true,
            other => panic!("a fence of another shape: {other:?}"),
        };
        let mut rows: Vec<Row> = self.rows.values().filter(|row| within(row.at)).copied().collect();
        rows.retain(|row| after.is_none_or(|after| (row.at, row.key) > after));
        rows.sort_by_key(|row| (row.at, row.key));
        rows.truncate(limit);
        rows
    }

    /// What the receiver must hold in the end.
    pub(super) fn living(&self) -> BTreeMap<i64, i64> {
        self.rows
            .values()
            .filter(|row| !row.gone)
            .map(|row| (row.key, row.version))
            .collect()
    }

    /// The last version of every row, deleted ones too.
    pub(super) fn latest(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }

    pub(super) fn everything(&self) -> Fence {
        Fence::Open
    }
}
