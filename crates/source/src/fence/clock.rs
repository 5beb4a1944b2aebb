//! The source's clock beside what was believed of it.
//!
//! A fence is a time by the source's clock, and holds only while that clock goes forward. Two faults are told apart:
//!
//! - **It went back**: rows get times at or below positions that were read. Nothing is read until the clock has passed the
//!   newest fence and every position again, and positions at or above the lowest time that the clock can have shown are
//!   taken back, so that the stretch is read again.
//! - **It is ahead of the agent's**: which of the two is wrong cannot be known. The lower one bounds the fence: if the
//!   source's is wrong, nothing of the coming time is skipped when it is set right; if the agent's is wrong, rows are
//!   read late, and that is shown.
//!
//! The agent's own clock decides nothing else. How long ago the last look was is told by a steady clock.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// Looks whose times differ by less than this from the steady clock are not taken for a step.
pub(super) const JITTER: Duration = Duration::from_millis(100);

/// How long before the first look a step back may lie, beyond the time since the last chunk was read.
const RESTART: Duration = Duration::from_secs(900);

/// What one look showed of clocks.
#[derive(Debug, Clone, Copy)]
pub struct ClockLook {
    /// The source's clock.
    pub source: Timestamp,
    /// The agent's clock.
    pub agent: Timestamp,
    /// The agent's steady clock when the look began, and when it had ended.
    pub steady: (Duration, Duration),
    /// The highest position that is read on from.
    pub position: Option<Timestamp>,
    /// When the rows before it were read, by the agent's clock of then.
    pub read_at: Option<Timestamp>,
}

/// What is wrong with the source's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockTrouble {
    /// It is below the newest fence or a position: nothing is read.
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

/// What came of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClockReading {
    /// The fence within which may be read.
    pub below: Option<Timestamp>,
    /// What is wrong.
    pub trouble: Option<ClockTrouble>,
    /// Positions at or above are to be taken back to it.
    pub again: Option<Timestamp>,
}

/// The source's clock, as far as looks showed it.
#[derive(Debug, Clone)]
pub struct SourceClock {
    margin: Duration,
    /// The newest fence taken.
    newest: Option<Timestamp>,
    /// The source's clock at the last look, and the steady clock when that look began and had ended.
    last: Option<(Timestamp, (Duration, Duration))>,
    /// Positions at or above are to be taken back to it: told until it is done, for the rest of a look may fail.
    again: Option<Timestamp>,
}

impl SourceClock {
    /// With the fence's margin.
    #[must_use]
    pub fn new(margin: Duration) -> Self {
        Self {
            margin,
            newest: None,
            last: None,
            again: None,
        }
    }

    /// Bounds a fence by what is known of the clock.
    pub fn take(&mut self, look: &ClockLook, below: Option<Timestamp>) -> ClockReading {
        let last = self.last.replace((look.source, look.steady));
        let floor = self.newest.max(look.position);
        let behind = floor.filter(|floor| look.source < *floor);
        let lowest = match last {
            Some((_, (began, _))) => minus(look.source, look.steady.1.saturating_sub(began)),
            // Unless the clock is behind, nothing hints at a step.
            None if behind.is_none() => look.source,
            None => minus(look.source, since(look).saturating_add(RESTART)),
        };
        // A look that takes long proves no step: only what the clock lacks at least counts.
        let is_stepped = last.is_some_and(|(before, (_, ended))| {
            let elapsed = look.steady.0.saturating_sub(ended);
            plus(look.source, JITTER) < plus(before, elapsed)
        });
        let is_overtaken = look.position.is_some_and(|position| lowest <= position);
        if is_overtaken && (behind.is_some() || is_stepped) {
            let again = minus(lowest, self.margin);
            self.again = Some(self.again.map_or(again, |before| before.min(again)));
        }
        self.again = self
            .again
            .filter(|again| look.position.is_some_and(|position| position >= *again));
        let again = self.again;
        if let Some(floor) = behind {
            let by = span(floor, look.source);
            return ClockReading {
                below: None,
                trouble: Some(ClockTrouble::Behind { by }),
                again,
            };
        }
        let most = plus(look.agent, self.margin);
        let is_ahead = below.is_some_and(|below| below > most);
        let below = below.map(|below| below.min(most));
        self.newest = self.newest.max(below);
        ClockReading {
            // What is taken back is read from its new position, with the next look.
            below: below.filter(|_| again.is_none()),
            trouble: is_ahead.then(|| ClockTrouble::Ahead {
                by: span(look.source, look.agent),
            }),
            again,
        }
    }
}

/// How long ago the position was read by the agent's clock, which may have been set back meanwhile.
fn since(look: &ClockLook) -> Duration {
    look.read_at
        .map_or(Duration::ZERO, |read_at| span(look.agent, read_at))
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
