//! Monitors the source's clock, by which a time fence is taken.
//!
//! A time fence is valid only while the clock goes forward. There are two failures:
//!
//! - **The clock was set back**: new rows get times at or below positions that were read. Nothing is read until the clock has
//!   passed the newest fence and every position again. Positions at or above the lowest time that the clock can have shown
//!   move back to it, so that the interval is read again.
//! - **The clock is ahead of the agent's**: either clock may be wrong. The lower one bounds the fence. If the source's is wrong,
//!   no row is skipped when it is corrected. If the agent's is wrong, rows are read late, and the status shows it.
//!
//! The agent's wall clock decides nothing else. A monotonic clock measures the time between samples.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// A smaller difference between the source's clock and the monotonic clock is not taken for a step.
pub(super) const JITTER: Duration = Duration::from_millis(100);

/// How long before the first sample a step back may have happened, in addition to the time since the last chunk was read.
const RESTART_MARGIN: Duration = Duration::from_secs(900);

/// One sample of all clocks.
#[derive(Debug, Clone, Copy)]
pub struct ClockSample {
    /// The source's clock.
    pub source: Timestamp,
    /// The agent's clock.
    pub agent: Timestamp,
    /// The agent's monotonic clock before and after the sample.
    pub steady: (Duration, Duration),
    /// The highest position that reading continues from.
    pub position: Option<Timestamp>,
    /// When the rows before it were read, by the agent's clock at that time.
    pub read_at: Option<Timestamp>,
}

/// A problem of the source's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockProblem {
    /// It is below the newest fence or a position. Nothing is read.
    Behind {
        /// By how much.
        by: Duration,
    },
    /// It is ahead of the agent's clock, which bounds the fence.
    Ahead {
        /// By how much.
        by: Duration,
    },
}

/// The result of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClockReading {
    /// The fence, if rows may be read.
    pub below: Option<Timestamp>,
    /// The problem, if there is one.
    pub problem: Option<ClockProblem>,
    /// The time to which positions at or above it must move back.
    pub reread_from: Option<Timestamp>,
}

/// The source's clock, as observed by samples.
#[derive(Debug, Clone)]
pub struct SourceClock {
    margin: Duration,
    /// The newest fence taken.
    newest: Option<Timestamp>,
    /// The source's clock at the last sample, and the monotonic clock before and after that sample.
    last: Option<(Timestamp, (Duration, Duration))>,
    /// The time to which positions must move back. Returned until it is done, because a later step of the reading may fail.
    reread_from: Option<Timestamp>,
}

impl SourceClock {
    /// Creates it with the fence's margin.
    #[must_use]
    pub fn new(margin: Duration) -> Self {
        Self {
            margin,
            newest: None,
            last: None,
            reread_from: None,
        }
    }

    /// Bounds a fence by the state of the clock.
    pub fn observe(&mut self, sample: &ClockSample, below: Option<Timestamp>) -> ClockReading {
        let last = self.last.replace((sample.source, sample.steady));
        let floor = self.newest.max(sample.position);
        let behind = floor.filter(|floor| sample.source < *floor);
        let lowest = match last {
            Some((_, (began, _))) => minus(sample.source, sample.steady.1.saturating_sub(began)),
            // Unless the clock is behind, nothing indicates a step.
            None if behind.is_none() => sample.source,
            None => minus(sample.source, since(sample).saturating_add(RESTART_MARGIN)),
        };
        // A slow sample proves no step: only the least possible difference counts.
        let is_stepped = last.is_some_and(|(before, (_, ended))| {
            let elapsed = sample.steady.0.saturating_sub(ended);
            plus(sample.source, JITTER) < plus(before, elapsed)
        });
        let is_overtaken = sample.position.is_some_and(|position| lowest <= position);
        if is_overtaken && (behind.is_some() || is_stepped) {
            let reread_from = minus(lowest, self.margin);
            self.reread_from = Some(
                self.reread_from
                    .map_or(reread_from, |before| before.min(reread_from)),
            );
        }
        self.reread_from = self
            .reread_from
            .filter(|reread_from| sample.position.is_some_and(|position| position >= *reread_from));
        let reread_from = self.reread_from;
        if let Some(floor) = behind {
            let by = span(floor, sample.source);
            return ClockReading {
                below: None,
                problem: Some(ClockProblem::Behind { by }),
                reread_from,
            };
        }
        let most = plus(sample.agent, self.margin);
        let is_ahead = below.is_some_and(|below| below > most);
        let below = below.map(|below| below.min(most));
        self.newest = self.newest.max(below);
        ClockReading {
            // Positions that move back are read from with the next sample.
            below: below.filter(|_| reread_from.is_none()),
            problem: is_ahead.then(|| ClockProblem::Ahead {
                by: span(sample.source, sample.agent),
            }),
            reread_from,
        }
    }
}

/// Returns how long ago the position was read, by the agent's clock, which may have been set back since.
fn since(sample: &ClockSample) -> Duration {
    sample
        .read_at
        .map_or(Duration::ZERO, |read_at| span(sample.agent, read_at))
}

fn span(later: Timestamp, earlier: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(earlier)).unwrap_or(Duration::ZERO)
}

pub(super) fn minus(time: Timestamp, span: Duration) -> Timestamp {
    let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
    time.checked_sub(span).unwrap_or(Timestamp::MIN)
}

pub(super) fn plus(time: Timestamp, span: Duration) -> Timestamp {
    let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
    time.checked_add(span).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
