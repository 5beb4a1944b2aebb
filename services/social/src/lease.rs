//! PURE: whether this process may touch the source now, by the lease record and its own clock.
//!
//! No two clocks are ever compared. A standby counts by its own steady clock how long the
//! record has not changed; a holder counts how long ago it *sent* the renewal that succeeded
//! last. The holder gives up `margin` before the others may take over, so a process that was
//! suspended and comes back finds its lease over before it touches anything. Writes go by
//! compare-and-set, so two never both succeed. Safety of the data is the chunks' own
//! compare-and-set; the lease keeps a standby off the core and makes it take over in seconds.

use std::time::Duration;

/// The spans of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long the record holds after it was last written.
    pub ttl: Duration,
    /// How much earlier the holder gives up: the length of a quantum and more.
    pub margin: Duration,
}

impl Timing {
    /// For a time to live; the margin is a quarter of it.
    #[must_use]
    pub fn of(ttl: Duration) -> Self {
        Self { ttl, margin: ttl / 4 }
    }

    /// How often the holder renews.
    #[must_use]
    pub fn renew_every(&self) -> Duration {
        self.ttl / 3
    }
}

/// The record as it was read last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its sequence: changes with every write, expected by the next.
    pub sequence: u64,
    /// Who wrote it.
    pub instance: String,
    /// Its holder gave it back.
    pub released: bool,
    /// Its holder's own time to live.
    pub ttl: Duration,
}

/// What this process knows; times are spans since its own start, by its own steady clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// This process.
    pub instance: String,
    /// The record; none: never written.
    pub record: Option<Record>,
    /// When this sequence of the record was first seen.
    pub seen_at: Duration,
    /// While holding: when the renewal that succeeded last was *sent*.
    pub renewed_at: Option<Duration>,
}

/// What to do about the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Held; look again at this time.
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
    /// Not held, and another's; look again soon, and at this time at the latest.
    Wait {
        /// When it may be taken, should it not change until then.
        until: Duration,
    },
    /// It was held and is over: touch nothing, forget the renewal, then decide again.
    Lost,
}

/// Until when a holder may touch the source.
#[must_use]
pub fn valid_until(renewed_at: Duration, timing: Timing) -> Duration {
    renewed_at + timing.ttl.saturating_sub(timing.margin)
}

/// Decides.
#[must_use]
pub fn decide(view: &View, now: Duration, timing: Timing) -> Decision {
    if let Some(renewed_at) = view.renewed_at {
        let mine = view
            .record
            .as_ref()
            .is_some_and(|record| record.instance == view.instance && !record.released);
        return if !mine || now >= valid_until(renewed_at, timing) {
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
        // Its own record of before a pause: nobody else wrote since, or the write fails.
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
    fn a_holder_renews_at_a_third() {
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
    fn a_suspended_holder_is_over_before_a_standby_may_take() {
        let over = (0..10_000).find(|at| decide(&view("me", Some(1_000)), ms(*at), TIMING) == Decision::Lost);
        // The standby saw the record no earlier than it was sent.
        let taken = (0..10_000).find(|at| {
            matches!(
                decide(&view("other", None), ms(*at), TIMING),
                Decision::Take { expect: 7 }
            )
        });
        assert_eq!((over, taken), (Some(3_250), Some(4_000)));
    }

    #[test]
    fn a_holder_whose_record_was_overwritten_has_lost_it_at_once() {
        assert_eq!(
            decide(&view("other", Some(1_000)), ms(1_001), TIMING),
            Decision::Lost
        );
    }

    #[test]
    fn a_released_or_missing_record_and_ones_own_are_taken_at_once() {
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
    fn the_holders_own_longer_time_to_live_counts() {
        let mut long = view("other", None);
        long.record.as_mut().unwrap().ttl = ms(60_000);
        assert_eq!(
            decide(&long, ms(5_000), TIMING),
            Decision::Wait { until: ms(61_000) }
        );
    }
}
