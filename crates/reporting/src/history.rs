//! PURE: the gate's last 24 hours in buckets of five minutes.
//!
//! The gate counts the time that it was open and closed. Each reading adds what was counted since the one before to the bucket of
//! that time. A time without readings adds nothing: it is what is missing to the length of a bucket.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};
use schemas::status_report::{BUCKET_MS, HistoryBucket, MAX_BUCKETS};

/// The longest time between two readings that counts as observed. The process was suspended, or the clock was changed, in a
/// longer one.
const MAX_GAP_MS: i64 = 10_000;

/// The gate's counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GateReading {
    /// Milliseconds open since the start of the process.
    pub open_ms: u64,
    /// Milliseconds closed since the start of the process.
    pub closed_ms: u64,
    /// Whether the gate is open at a limited duty.
    pub is_limited: bool,
    /// Rows read from the source since the start of the process.
    pub rows: u64,
    /// The load of the source's machine, in thousandths of its capacity; `None` without a sample.
    pub load_permille: Option<u32>,
}

/// What one reading adds.
#[derive(Debug, Clone, Copy, Default)]
struct Added {
    open_ms: u64,
    limited_ms: u64,
    closed_ms: u64,
    rows: u64,
    load_permille: Option<u32>,
}

/// The buckets.
#[derive(Debug, Clone, Default)]
pub struct History {
    buckets: VecDeque<HistoryBucket>,
    last: Option<(Timestamp, GateReading)>,
}

impl History {
    /// Takes over the buckets of an earlier process, without those that are too old or begin in the future. Buckets that were
    /// recorded since are kept.
    pub fn restore(&mut self, earlier: Vec<HistoryBucket>, now: Timestamp) {
        let own = std::mem::take(&mut self.buckets);
        let until = own.front().map_or(now, |bucket| bucket.start);
        let mut last = None;
        for bucket in earlier {
            let is_later = last.is_none_or(|last| last < bucket.start);
            let times = [bucket.open_ms, bucket.limited_ms, bucket.closed_ms];
            let sum: u64 = times.into_iter().map(u64::from).sum();
            let is_valid = bucket.start == start_of(bucket.start) && sum <= u64::from(BUCKET_MS);
            if is_later && is_valid && bucket.start <= until {
                last = Some(bucket.start);
                self.buckets.push_back(bucket);
            }
        }
        for bucket in own {
            let added = Added {
                open_ms: bucket.open_ms.into(),
                limited_ms: bucket.limited_ms.into(),
                closed_ms: bucket.closed_ms.into(),
                rows: bucket.rows,
                load_permille: bucket.load_permille,
            };
            self.add(bucket.start, added);
        }
        self.forget(now);
    }

    /// Adds a reading. A clock that was set back only pauses the history until it has caught up.
    pub fn record(&mut self, reading: GateReading, now: Timestamp) {
        let before = self.last.replace((now, reading));
        let Some((since, before)) = before else { return };
        let elapsed = now.duration_since(since).as_millis();
        let elapsed = i64::try_from(elapsed).unwrap_or(i64::MAX);
        // Rows are counted even if the time is not: they were read.
        let rows = reading.rows.saturating_sub(before.rows);
        if !(1..=MAX_GAP_MS).contains(&elapsed) {
            let added = Added {
                rows,
                load_permille: reading.load_permille,
                ..Added::default()
            };
            self.add(now, added);
            self.forget(now);
            return;
        }
        let open = reading.open_ms.saturating_sub(before.open_ms);
        let closed = reading.closed_ms.saturating_sub(before.closed_ms);
        let begin = start_of(now);
        // The part of the time that belongs to the bucket before.
        let earlier = begin.duration_since(since).as_millis();
        let earlier = i64::try_from(earlier).unwrap_or(0).clamp(0, elapsed);
        let share = |ms: u64| {
            let ms = u128::from(ms) * u128::from(earlier.unsigned_abs()) / u128::from(elapsed.unsigned_abs());
            u64::try_from(ms).unwrap_or(0)
        };
        let time = |open_ms: u64, closed_ms: u64| {
            let (open_ms, limited_ms) = if reading.is_limited {
                (0, open_ms)
            } else {
                (open_ms, 0)
            };
            Added {
                open_ms,
                limited_ms,
                closed_ms,
                ..Added::default()
            }
        };
        if earlier > 0 {
            self.add(since, time(share(open), share(closed)));
        }
        let rest = Added {
            rows,
            load_permille: reading.load_permille,
            ..time(open - share(open), closed - share(closed))
        };
        self.add(now, rest);
        self.forget(now);
    }

    /// Returns the buckets, oldest first.
    #[must_use]
    pub fn buckets(&self) -> Vec<HistoryBucket> {
        self.buckets.iter().cloned().collect()
    }

    fn add(&mut self, at: Timestamp, added: Added) {
        let start = start_of(at);
        match self.buckets.back() {
            // The clock was set back.
            Some(last) if last.start > start => return,
            Some(last) if last.start == start => {}
            _ => self.buckets.push_back(HistoryBucket {
                start,
                open_ms: 0,
                limited_ms: 0,
                closed_ms: 0,
                rows: 0,
                load_permille: None,
            }),
        }
        let Some(bucket) = self.buckets.back_mut() else {
            return;
        };
        let mut room = u64::from(BUCKET_MS)
            .saturating_sub(u64::from(bucket.open_ms))
            .saturating_sub(u64::from(bucket.limited_ms))
            .saturating_sub(u64::from(bucket.closed_ms));
        for (sum, ms) in [
            (&mut bucket.closed_ms, added.closed_ms),
            (&mut bucket.limited_ms, added.limited_ms),
            (&mut bucket.open_ms, added.open_ms),
        ] {
            // The clocks differ a little: the times of a bucket are never longer than it.
            let ms = ms.min(room);
            room -= ms;
            *sum += u32::try_from(ms).unwrap_or(0);
        }
        bucket.rows = bucket.rows.saturating_add(added.rows);
        bucket.load_permille = bucket.load_permille.max(added.load_permille);
    }

    fn forget(&mut self, now: Timestamp) {
        let oldest = now - SignedDuration::from_hours(24) - SignedDuration::from_millis(BUCKET_MS.into());
        while self.buckets.len() > MAX_BUCKETS
            || self.buckets.front().is_some_and(|first| first.start <= oldest)
        {
            self.buckets.pop_front();
        }
    }
}

/// Returns the start of the bucket of a time.
fn start_of(at: Timestamp) -> Timestamp {
    let ms = at.as_millisecond();
    let begin = ms - ms.rem_euclid(i64::from(BUCKET_MS));
    Timestamp::from_millisecond(begin).unwrap_or(at)
}

#[cfg(test)]
mod tests;
