//! The history of a recipient, as far as quotas need it: rows per minute, requests of an hour.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::StreamPosition;

const HOUR: SignedDuration = SignedDuration::from_hours(1);
const DAY: SignedDuration = SignedDuration::from_hours(24);
const MINUTE: i64 = 60;

/// The history of one recipient. It is built from requests and replies in any order; a repeated request or outcome has no effect.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    /// Requests that count for the hourly limit, by sequence.
    counted: BTreeMap<u64, Timestamp>,
    open: BTreeSet<u64>,
    closed: BTreeSet<u64>,
    /// Every request below it has its outcome.
    floor: u64,
    /// Rows by the minute in which their reply was stored, in minutes since 1970.
    rows: BTreeMap<i64, u64>,
}

impl History {
    /// Adds a request that the exchange stored.
    pub fn add_request(&mut self, request: StreamPosition) {
        if request.sequence >= self.floor && !self.closed.contains(&request.sequence) {
            self.counted.insert(request.sequence, request.stored_at);
            self.open.insert(request.sequence);
        }
    }

    /// Adds an outcome, stored at `at`, with the rows that it disclosed. Without `counts`, as for a request refused for a quota, it does
    /// not count for the hour; otherwise a client that retries too early would never pass.
    pub fn add_outcome(&mut self, request: StreamPosition, at: Timestamp, rows: u64, counts: bool) {
        if request.sequence < self.floor || !self.closed.insert(request.sequence) {
            return;
        }
        self.open.remove(&request.sequence);
        if counts {
            self.counted.insert(request.sequence, request.stored_at);
        } else {
            self.counted.remove(&request.sequence);
        }
        if rows > 0 {
            let sum = self.rows.entry(at.as_second().div_euclid(MINUTE)).or_default();
            *sum = sum.saturating_add(rows);
        }
    }

    /// Removes what no quota needs. Call it after everything up to now was added: later additions older than the oldest open request
    /// are ignored.
    pub fn prune(&mut self, now: Timestamp) {
        let last = self.closed.last().map_or(0, |sequence| sequence + 1);
        self.floor = self.floor.max(self.open.first().copied().unwrap_or(last));
        self.closed = self.closed.split_off(&self.floor);
        let day = now.saturating_sub(DAY).unwrap_or(now);
        let old = day.as_second().div_euclid(MINUTE);
        self.rows = self.rows.split_off(&old);
        // The hour is counted from the oldest open request, which may have waited for days.
        let oldest = self.open.first().and_then(|sequence| self.counted.get(sequence));
        let from = oldest.copied().unwrap_or(now).min(now);
        let from = from.saturating_sub(HOUR).unwrap_or(from);
        self.counted.retain(|_, stored_at| *stored_at >= from);
    }

    /// Returns the number of requests without an outcome.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Returns when the hourly limit admits the request, or `None` if it does now.
    pub(super) fn hourly_retry_at(&self, request: StreamPosition, most: u32) -> Option<Timestamp> {
        let from = request
            .stored_at
            .saturating_sub(HOUR)
            .unwrap_or(request.stored_at);
        let Some(place) = usize::try_from(most).ok()?.checked_sub(1) else {
            return Some(
                request
                    .stored_at
                    .saturating_add(HOUR)
                    .unwrap_or(request.stored_at),
            );
        };
        let (_, oldest) = self.counted.range(..request.sequence).rev().nth(place)?;
        (*oldest > from).then(|| oldest.saturating_add(HOUR).unwrap_or(*oldest))
    }

    /// Whether `most` or more of the requests before it are open.
    pub(super) fn has_open_before(&self, sequence: u64, most: u32) -> bool {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        self.open.range(..sequence).take(most).count() >= most
    }

    /// Returns the rows left of `most` in the last 24 hours, or an error with the time at which there are some.
    pub(super) fn remaining_rows(&self, most: u64, now: Timestamp) -> Result<u64, Timestamp> {
        let from = now
            .saturating_sub(DAY)
            .unwrap_or(now)
            .as_second()
            .div_euclid(MINUTE);
        let within = || self.rows.range(from..);
        let used = within().fold(0_u64, |sum, (_, rows)| sum.saturating_add(*rows));
        if used < most {
            return Ok(most - used);
        }
        let mut left = used;
        for (minute, rows) in within() {
            left = left.saturating_sub(*rows);
            if left < most {
                // The whole minute must have passed.
                let end = Timestamp::from_second((minute + 1) * MINUTE).unwrap_or(now);
                return Err(end.saturating_add(DAY).unwrap_or(end));
            }
        }
        Err(now.saturating_add(DAY).unwrap_or(now))
    }
}
