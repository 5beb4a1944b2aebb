//! The simulated system of record: transactions take their cursor at begin, at the statement or from a sequence, and commit at
//! any time.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemas::cursor::{Cursor, Scalar};
use schemas::source::SourceIdentity;
use source::fence::{Fence, OpenTransaction, TransactionId};
use source::position_check::{GreatestValue, beyond};

use harness::rng::Rng;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Transaction,
    Statement,
    Sequence,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) key: i64,
    /// The cursor's first column: milliseconds, or a sequence number.
    pub(super) at: i64,
    pub(super) version: i64,
    pub(super) deleted: bool,
}

/// A restore of the core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Restore {
    /// An older copy of its files.
    Copy,
    /// A restore to a point in time, which begins another timeline.
    PointInTime,
    /// Another server with some of what an older copy held.
    Replaced,
}

#[derive(Debug, Clone)]
struct Tx {
    id: i32,
    began: i64,
    prepared: Option<i64>,
    writes: BTreeMap<i64, Row>,
}

/// A wider type, then another type, then one that is wider than that.
pub(super) const LAST_GENERATION: usize = 3;

/// More than a `smallint` holds.
pub(super) const WIDE: i64 = 100_000;

#[derive(Clone)]
pub(super) struct Core {
    pub(super) mode: Mode,
    rows: BTreeMap<i64, Row>,
    /// Time of the commit of the last version of each key.
    commits: BTreeMap<i64, i64>,
    open: Vec<Tx>,
    system: u32,
    timeline: u32,
    /// Incremented by each write.
    written: i64,
    /// Incremented when another core takes its place: connections break then.
    pub(super) incarnation: u32,
    versions: i64,
    sequence: i64,
    ids: i32,
    /// Generation of the column types; incremented by each change.
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
            incarnation: 0,
            versions: 0,
            sequence: 0,
            ids: 0,
            generation: 0,
        }
    }

    /// Changes the column types, as ALTER TABLE does.
    pub(super) fn alter(&mut self) {
        self.generation = (self.generation + 1).min(LAST_GENERATION);
    }

    /// Performs one step of the business.
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
        // A value that a narrower type could not hold.
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
                deleted: rng.percent(40),
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

    /// Deletes a row without a trace.
    pub(super) fn vanish(&mut self, rng: &mut Rng) -> bool {
        let key = rng.span(1, 16);
        let is_locked = self.open.iter().any(|tx| tx.writes.contains_key(&key));
        if is_locked || self.rows.remove(&key).is_none() {
            return false;
        }
        self.written += 1;
        true
    }

    /// Replaces the core with an older copy, or with another database that has its rows. Open transactions are lost.
    pub(super) fn restore(&mut self, copy: &Self, how: Restore, rng: &mut Rng) {
        let before = std::mem::replace(self, copy.clone());
        self.open.clear();
        (self.system, self.timeline) = (before.system, before.timeline);
        self.incarnation = before.incarnation + 1;
        // Neither transaction numbers nor versions are used again, so that the oracle does not confuse versions.
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

    /// Returns the identity and position that it reports of itself.
    pub(super) fn mark(&self) -> SourceIdentity {
        SourceIdentity {
            system: Some(format!("system {}", self.system)),
            timeline: Some(self.timeline),
            written: Some(Cursor(vec![Scalar::Int(self.written)])),
            ..SourceIdentity::default()
        }
    }

    /// Returns whether it holds nothing at or after a position. With a cursor of times a deleted row is no evidence.
    pub(super) fn is_beyond(&self, position: &Cursor) -> bool {
        let highest = self.highest();
        let greatest = GreatestValue {
            value: highest.as_ref(),
            last_assigned: Some(self.sequence),
            with_texts: false,
        };
        self.mode == Mode::Sequence && !beyond(std::slice::from_ref(position), greatest).is_empty()
    }

    /// Returns whether a row exists that was committed before.
    pub(super) fn has_since(&self, key: i64, before: i64) -> bool {
        let is_old = self.commits.get(&key).is_some_and(|at| *at < before);
        is_old && self.rows.get(&key).is_some_and(|row| !row.deleted)
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

    /// Returns what the receiver must hold in the end.
    pub(super) fn live_rows(&self) -> BTreeMap<i64, i64> {
        self.rows
            .values()
            .filter(|row| !row.deleted)
            .map(|row| (row.key, row.version))
            .collect()
    }

    /// Returns the last version of every row, deleted ones included.
    pub(super) fn latest(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }

    pub(super) fn everything(&self) -> Fence {
        Fence::Open
    }
}
