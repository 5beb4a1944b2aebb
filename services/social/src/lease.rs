//! PURE: decides whether this process may use the source now, by the lease record and its own clock.
//!
//! No two clocks are compared. A standby measures with its monotonic clock how long the record has not changed; a holder
//! measures how long ago it *sent* the last successful renewal. The holder gives up `margin` before others may take it, so a
//! process that was suspended finds its lease expired before it uses the source. Writes use compare-and-set, so two never both
//! succeed. The chunks' own compare-and-set protects the data; the lease keeps a standby off the core and makes it take over
//! within seconds.

use std::time::Duration;

/// The durations of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long the record is valid after a write.
    pub ttl: Duration,
    /// How much earlier the holder gives up; longer than a quantum.
    pub margin: Duration,
}

impl Timing {
    /// Derives the timing from the time to live; the margin is a quarter of it.
    #[must_use]
    pub fn of(ttl: Duration) -> Self {
        Self { ttl, margin: ttl / 4 }
    }

    /// Returns the interval of renewals.
    #[must_use]
    pub fn renew_every(&self) -> Duration {
        self.ttl / 3
    }
}

/// The record as it was read last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its sequence, which changes with every write and which the next write expects.
    pub sequence: u64,
    /// Who wrote it.
    pub instance: String,
    /// Whether its holder released it.
    pub released: bool,
    /// Its holder's own time to live.
    pub ttl: Duration,
}

/// What this process knows. Times are measured from its start by its monotonic clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// This process.
    pub instance: String,
    /// The record; `None` if it was never written.
    pub record: Option<Record>,
    /// When this sequence of the record was first seen.
    pub seen_at: Duration,
    /// While holding: when the last successful renewal was *sent*.
    pub renewed_at: Option<Duration>,
}

/// What to do about the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Held; decide again at this time.
    Hold {
        /// When the next renewal is due.
        until: Duration,
    },
    /// Held; write the record again now.
    Renew,
    /// Not held, and free: write the record, expecting this sequence.
    Take {
        /// 0: the record was never written.
        expect: u64,
    },
    /// Held by another process; poll again soon, at this time at the latest.
    Wait {
        /// When it may be taken if it does not change.
        until: Duration,
    },
    /// Expired: stop using the source, clear the renewal, then decide again.
    Lost,
}

/// Returns until when a holder may use the source.
#[must_use]
pub fn valid_until(renewed_at: Duration, timing: Timing) -> Duration {
    renewed_at + timing.ttl.saturating_sub(timing.margin)
}

/// Decides.
#[must_use]
pub fn decide(view: &View, now: Duration, timing: Timing) -> Decision {
    if let Some(renewed_at) = view.renewed_at {
        let is_own = view
            .record
            .as_ref()
            .is_some_and(|record| record.instance == view.instance && !record.released);
        return if !is_own || now >= valid_until(renewed_at, timing) {
            Decision::Lost
        } else if now >= renewed_at + timing.renew_every() {
            Decision::Renew
        } else {
            Decision::Hold {
                until: renewed_at + timing.renew_every(),
            }
        };
    }
    match &view.record {
        None => Decision::Take { expect: 0 },
        // Its own record from before a pause: no other process wrote since, or the write fails.
        Some(record) if record.released || record.instance == view.instance => Decision::Take {
            expect: record.sequence,
        },
        Some(record) => {
            let until = view.seen_at + record.ttl.max(timing.ttl);
            if now >= until {
                Decision::Take {
                    expect: record.sequence,
                }
            } else {
                Decision::Wait { until }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMING: Timing = Timing {
        ttl: Duration::from_secs(3),
        margin: Duration::from_millis(750),
    };

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn view(instance: &str, renewed_at: Option<u64>) -> View {
        let record = Record {
            sequence: 7,
            instance: instance.into(),
            released: false,
            ttl: TIMING.ttl,
        };
        View {
            instance: "me".into(),
            record: Some(record),
            seen_at: ms(1_000),
            renewed_at: renewed_at.map(ms),
        }
    }

    #[test]
    fn lease_holder_renews_after_a_third_of_the_ttl() {
        assert_eq!(
            decide(&view("me", Some(1_000)), ms(1_999), TIMING),
            Decision::Hold { until: ms(2_000) }
        );
        assert_eq!(
            decide(&view("me", Some(1_000)), ms(2_000), TIMING),
            Decision::Renew
        );
    }

    #[test]
    fn lease_suspended_holder_expires_before_a_takeover() {
        let expired =
            (0..10_000).find(|at| decide(&view("me", Some(1_000)), ms(*at), TIMING) == Decision::Lost);
        // The standby saw the record no earlier than it was sent.
        let taken = (0..10_000).find(|at| {
            matches!(
                decide(&view("other", None), ms(*at), TIMING),
                Decision::Take { expect: 7 }
            )
        });
        assert_eq!((expired, taken), (Some(3_250), Some(4_000)));
    }

    #[test]
    fn lease_overwritten_record_is_lost_at_once() {
        assert_eq!(
            decide(&view("other", Some(1_000)), ms(1_001), TIMING),
            Decision::Lost
        );
    }

    #[test]
    fn lease_released_missing_or_own_record_is_taken_at_once() {
        let mut released = view("other", None);
        released.record.as_mut().unwrap().released = true;
        assert_eq!(decide(&released, ms(1_000), TIMING), Decision::Take { expect: 7 });
        assert_eq!(
            decide(&view("me", None), ms(1_000), TIMING),
            Decision::Take { expect: 7 }
        );
        let none = View {
            record: None,
            ..view("me", None)
        };
        assert_eq!(decide(&none, ms(0), TIMING), Decision::Take { expect: 0 });
    }

    #[test]
    fn lease_longer_ttl_of_the_holder_counts() {
        let mut long = view("other", None);
        long.record.as_mut().unwrap().ttl = ms(60_000);
        assert_eq!(
            decide(&long, ms(5_000), TIMING),
            Decision::Wait { until: ms(61_000) }
        );
    }
}
