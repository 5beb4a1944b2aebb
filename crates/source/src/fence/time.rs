//! The fence of a time that is taken in the transaction: `now()`, `clock_timestamp()`.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::open::OpenTransaction;
use crate::port::Holder;

/// What one look at the database showed.
#[derive(Debug, Clone)]
pub struct TimeLook {
    /// The database's clock before the look: transactions that began later are not in `open`.
    pub at: Timestamp,
    /// Transactions open then, without our own and those of roles declared read-only; prepared ones with their origins.
    pub open: Vec<OpenTransaction>,
}

/// How far may be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeReading {
    /// Rows strictly below may be read.
    pub below: Option<Timestamp>,
    /// Who keeps it from moving, for longer than the margin.
    pub held: Option<Holder>,
    /// How long the fence has not moved because of that; zero while nobody keeps it.
    pub held_for: Duration,
}

/// Rows strictly below the oldest start of an open transaction, less a margin, rounded down to
/// the column's resolution.
///
/// A transaction's own id (`xmin`) will not do: the time is fixed at its begin, the id comes with
/// its first write. A prepared transaction shows when it was prepared, not when it began; its begin is bounded by
/// what was seen before it was prepared, each by its own, so that a steady stream of them moves the fence on. One that
/// was prepared before the first look is bounded by nothing, so there is no fence while it is there.
///
/// A fence is a lower bound for as long as the source's clock goes forward: whoever begins after the look begins above it. So
/// one look serves every feed, also a little later.
#[derive(Debug, Clone)]
pub struct TimeFence {
    margin: Duration,
    resolution: Duration,
}

impl TimeFence {
    /// With a margin for the database's own clocks (2 s is usual), and the resolution that the
    /// column rounds to (a microsecond where not declared).
    #[must_use]
    pub fn new(margin: Duration, resolution: Duration) -> Self {
        Self {
            margin,
            resolution: resolution.max(Duration::from_micros(1)),
        }
    }

    /// Rounds further fences down to this, where the column keeps no smaller step.
    pub fn round_to(&mut self, resolution: Duration) {
        self.resolution = resolution.max(Duration::from_micros(1));
    }

    /// Takes the fence from a look.
    #[must_use]
    pub fn take(&self, look: &TimeLook) -> TimeReading {
        // One without a bound is the first.
        let first = look.open.iter().min_by_key(|one| one.earliest());
        let began = first.map_or(Some(look.at), |one| {
            one.earliest().map(|since| since.min(look.at))
        });
        let margin = SignedDuration::try_from(self.margin).unwrap_or(SignedDuration::MAX);
        let below = began
            .and_then(|began| began.checked_sub(margin).ok())
            .and_then(|fence| round_down(fence, self.resolution));
        let is_long = began.is_none_or(|began| look.at.duration_since(began) > margin);
        let holder = first.filter(|_| is_long);
        let since = holder.map(|holder| began.unwrap_or(holder.since));
        TimeReading {
            below,
            held: holder.map(OpenTransaction::as_holder),
            held_for: since.map_or(Duration::ZERO, |since| {
                Duration::try_from(look.at.duration_since(since)).unwrap_or_default()
            }),
        }
    }
}

fn round_down(time: Timestamp, resolution: Duration) -> Option<Timestamp> {
    let step = i128::try_from(resolution.as_nanos()).ok()?;
    let nanos = time.as_nanosecond();
    Timestamp::from_nanosecond(nanos - nanos.rem_euclid(step)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fence::{PreparedTransactions, TransactionId};

    fn at(text: &str) -> Timestamp {
        format!("2026-11-22T{text}Z").parse().unwrap()
    }

    fn session(pid: i32, since: &str) -> OpenTransaction {
        OpenTransaction {
            id: TransactionId::Session {
                pid,
                started_us: at(since).as_microsecond(),
            },
            xid: None,
            role: "clerk".into(),
            application: "claims".into(),
            since: at(since),
            origin: None,
        }
    }

    fn prepared(since: &str) -> OpenTransaction {
        OpenTransaction {
            id: TransactionId::Prepared("p1".into()),
            ..session(0, since)
        }
    }

    /// A fence with the looks before it, by a clock that only goes forward.
    struct Traced {
        fence: TimeFence,
        prepared: PreparedTransactions,
    }

    impl Traced {
        fn take(&mut self, look: &TimeLook) -> TimeReading {
            let mut look = look.clone();
            let steady = Duration::try_from(look.at.duration_since(Timestamp::UNIX_EPOCH)).unwrap();
            self.prepared.trace(look.at, (steady, steady), &mut look.open);
            self.fence.take(&look)
        }
    }

    fn fence() -> Traced {
        Traced {
            fence: TimeFence::new(Duration::from_secs(2), Duration::from_micros(1)),
            prepared: PreparedTransactions::default(),
        }
    }

    #[test]
    fn without_transactions_it_is_the_clock_less_the_margin() {
        let reading = fence().take(&TimeLook {
            at: at("10:00:10"),
            open: vec![],
        });
        assert_eq!(
            reading,
            TimeReading {
                below: Some(at("10:00:08")),
                held: None,
                held_for: Duration::ZERO,
            }
        );
    }

    /// Trap: cursors on a timestamp skip rows that commit late.
    #[test]
    fn the_oldest_open_transaction_bounds_it_and_is_named_after_the_margin() {
        let mut fence = fence();
        let open = vec![session(2, "10:00:09"), session(1, "10:00:00")];
        let reading = fence.take(&TimeLook {
            at: at("10:00:10"),
            open: open.clone(),
        });
        assert_eq!(reading.below, Some(at("09:59:58")));
        assert_eq!(reading.held_for, Duration::from_secs(10));
        let held = reading.held.unwrap();
        assert_eq!(
            (held.role.as_str(), held.application.as_str(), held.since),
            ("clerk", "claims", at("10:00:00"))
        );
        // It never lapses by itself.
        let reading = fence.take(&TimeLook {
            at: at("23:00:00"),
            open,
        });
        assert_eq!(reading.below, Some(at("09:59:58")));
        let short = vec![session(2, "10:00:09")];
        assert_eq!(
            fence
                .take(&TimeLook {
                    at: at("10:00:10"),
                    open: short
                })
                .held,
            None
        );
    }

    /// Trap: prepared transactions leave pg_stat_activity, and show a time later than their rows'.
    #[test]
    fn a_prepared_transaction_freezes_it_where_it_was() {
        let mut fence = fence();
        let first = fence
            .take(&TimeLook {
                at: at("10:00:10"),
                open: vec![],
            })
            .below;
        let look = TimeLook {
            at: at("10:05:00"),
            open: vec![prepared("10:00:20")],
        };
        let reading = fence.take(&look);
        assert_eq!(reading.below, first);
        assert_eq!(reading.held.unwrap().what, "prepared transaction");
        let reading = fence.take(&TimeLook {
            at: at("10:05:10"),
            open: vec![],
        });
        assert_eq!(reading.below, Some(at("10:05:08")));
    }

    #[test]
    fn a_transaction_prepared_before_the_first_look_leaves_no_fence_at_all() {
        let mut fence = fence();
        let look = TimeLook {
            at: at("10:05:00"),
            open: vec![prepared("10:00:20")],
        };
        assert_eq!(fence.take(&look).below, None);
    }

    #[test]
    fn it_is_rounded_down_to_what_the_column_keeps() {
        let fence = TimeFence::new(Duration::from_secs(2), Duration::from_secs(1));
        let reading = fence.take(&TimeLook {
            at: at("10:00:10.9"),
            open: vec![],
        });
        assert_eq!(reading.below, Some(at("10:00:08")));
    }

    /// Trap: with XA clients some transaction is always prepared.
    #[test]
    fn fence_moves_on_under_a_steady_stream_of_prepared_transactions() {
        let mut fence = fence();
        let begin = at("10:00:00");
        let second = |second: u64| begin + Duration::from_secs(second);
        let mut last = None;
        for tick in 0..200_u64 {
            // Each begins at its tick, is prepared a second later and ends three seconds after that.
            let open = (tick.saturating_sub(4)..=tick).map(|began| {
                let xid = Some(u32::try_from(began).unwrap());
                let id = if tick > began {
                    TransactionId::Prepared(format!("x{began}"))
                } else {
                    TransactionId::Session {
                        pid: i32::try_from(began).unwrap(),
                        started_us: second(began).as_microsecond(),
                    }
                };
                OpenTransaction {
                    id,
                    xid: xid.filter(|_| tick > began),
                    ..session(1, "10:00:00")
                }
            });
            let open: Vec<_> = open
                .zip(tick.saturating_sub(4)..=tick)
                .map(|(one, began)| OpenTransaction {
                    since: if one.is_prepared() {
                        second(began + 1)
                    } else {
                        second(began)
                    },
                    ..one
                })
                .collect();
            let reading = fence.take(&TimeLook {
                at: second(tick),
                open: open.clone(),
            });
            let oldest = second(tick.saturating_sub(4));
            assert!(reading.below.unwrap() <= oldest, "it passes no open transaction");
            assert!(reading.below >= last, "it does not go back");
            last = reading.below;
        }
        assert!(last.unwrap() >= second(199 - 4 - 3), "it follows them: {last:?}");
    }

    #[test]
    fn fence_returns_when_what_was_prepared_before_the_first_look_has_ended() {
        let mut fence = fence();
        let old = prepared("09:00:00");
        let new = |name: &str| OpenTransaction {
            id: TransactionId::Prepared(name.into()),
            ..prepared("10:00:05")
        };
        let look = |at_: &str, open: Vec<OpenTransaction>| TimeLook { at: at(at_), open };
        let reading = fence.take(&look("10:00:00", vec![old.clone()]));
        assert_eq!((reading.below, reading.held.is_some()), (None, true));
        let reading = fence.take(&look("10:00:10", vec![old, new("a")]));
        assert_eq!(reading.below, None);
        let reading = fence.take(&look("10:00:20", vec![new("a")]));
        assert_eq!(
            reading.below,
            Some(at("09:59:58")),
            "it began after the first look"
        );
        let reading = fence.take(&look("10:00:30", vec![new("b")]));
        assert_eq!(reading.below, Some(at("10:00:18")));
        assert_eq!(
            reading.held.map(|holder| holder.what),
            Some("prepared transaction".to_owned())
        );
    }
}
