//! The fence of a cursor that is a time of its transaction: `now()`, `clock_timestamp()`.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::open::{FenceHolder, OpenTransaction};

/// A snapshot of the open transactions.
#[derive(Debug, Clone)]
pub struct TransactionSnapshot {
    /// The database's clock before the snapshot. Transactions that began later are not in `open`.
    pub at: Timestamp,
    /// Open transactions of other sessions, without those of roles declared read-only. Prepared ones have their origins.
    pub open: Vec<OpenTransaction>,
}

/// How far may be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeFenceReading {
    /// Rows strictly below it may be read.
    pub below: Option<Timestamp>,
    /// The transaction that blocks the fence for longer than the margin.
    pub holder: Option<FenceHolder>,
    /// How long it has blocked the fence, or zero.
    pub stalled_for: Duration,
}

/// Bounds rows strictly below the oldest start of an open transaction, less a margin, rounded down to the column's resolution.
///
/// A transaction's number (`xmin`) is not usable: the time is fixed at its start, the number at its first write. A prepared
/// transaction shows when it was prepared, not when it began. Earlier snapshots bound the start of each, so the fence moves even
/// under a steady stream of them. A transaction prepared before the first snapshot is not bounded, so there is no fence while
/// it exists.
///
/// A fence is a lower bound while the source's clock goes forward, because later transactions begin above it. So one snapshot
/// serves every feed, also a little later.
#[derive(Debug, Clone)]
pub struct TimeFence {
    margin: Duration,
    resolution: Duration,
}

impl TimeFence {
    /// Creates it with a margin for the database's own clocks (usually 2 s), and the resolution of the column (one microsecond if
    /// not declared).
    #[must_use]
    pub fn new(margin: Duration, resolution: Duration) -> Self {
        Self {
            margin,
            resolution: resolution.max(Duration::from_micros(1)),
        }
    }

    /// Sets the resolution that later fences are rounded down to.
    pub fn round_to(&mut self, resolution: Duration) {
        self.resolution = resolution.max(Duration::from_micros(1));
    }

    /// Takes the fence from a snapshot.
    #[must_use]
    pub fn take(&self, snapshot: &TransactionSnapshot) -> TimeFenceReading {
        // A transaction without a bound sorts first.
        let first = snapshot.open.iter().min_by_key(|one| one.earliest());
        let began = first.map_or(Some(snapshot.at), |one| {
            one.earliest().map(|since| since.min(snapshot.at))
        });
        let margin = SignedDuration::try_from(self.margin).unwrap_or(SignedDuration::MAX);
        let below = began
            .and_then(|began| began.checked_sub(margin).ok())
            .and_then(|fence| round_down(fence, self.resolution));
        let is_long = began.is_none_or(|began| snapshot.at.duration_since(began) > margin);
        let holder = first.filter(|_| is_long);
        let since = holder.map(|holder| began.unwrap_or(holder.since));
        TimeFenceReading {
            below,
            holder: holder.map(OpenTransaction::as_holder),
            stalled_for: since.map_or(Duration::ZERO, |since| {
                Duration::try_from(snapshot.at.duration_since(since)).unwrap_or_default()
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

    /// A fence with a history of snapshots, by a clock that only goes forward.
    struct Traced {
        fence: TimeFence,
        prepared: PreparedTransactions,
    }

    impl Traced {
        fn take(&mut self, snapshot: &TransactionSnapshot) -> TimeFenceReading {
            let mut snapshot = snapshot.clone();
            let steady = Duration::try_from(snapshot.at.duration_since(Timestamp::UNIX_EPOCH)).unwrap();
            self.prepared
                .trace(snapshot.at, (steady, steady), &mut snapshot.open);
            self.fence.take(&snapshot)
        }
    }

    fn fence() -> Traced {
        Traced {
            fence: TimeFence::new(Duration::from_secs(2), Duration::from_micros(1)),
            prepared: PreparedTransactions::default(),
        }
    }

    #[test]
    fn time_fence_without_transactions_is_clock_less_margin() {
        let reading = fence().take(&TransactionSnapshot {
            at: at("10:00:10"),
            open: vec![],
        });
        assert_eq!(
            reading,
            TimeFenceReading {
                below: Some(at("10:00:08")),
                holder: None,
                stalled_for: Duration::ZERO,
            }
        );
    }

    /// Regression: cursors on a timestamp skip rows that commit late.
    #[test]
    fn time_fence_is_bounded_by_the_oldest_transaction() {
        let mut fence = fence();
        let open = vec![session(2, "10:00:09"), session(1, "10:00:00")];
        let reading = fence.take(&TransactionSnapshot {
            at: at("10:00:10"),
            open: open.clone(),
        });
        assert_eq!(reading.below, Some(at("09:59:58")));
        assert_eq!(reading.stalled_for, Duration::from_secs(10));
        let holder = reading.holder.unwrap();
        assert_eq!(
            (holder.role.as_str(), holder.application.as_str(), holder.since),
            ("clerk", "claims", at("10:00:00"))
        );
        // The fence never times out.
        let reading = fence.take(&TransactionSnapshot {
            at: at("23:00:00"),
            open,
        });
        assert_eq!(reading.below, Some(at("09:59:58")));
        let short = vec![session(2, "10:00:09")];
        assert_eq!(
            fence
                .take(&TransactionSnapshot {
                    at: at("10:00:10"),
                    open: short
                })
                .holder,
            None
        );
    }

    /// Regression: prepared transactions leave pg_stat_activity, and show a later time than their rows'.
    #[test]
    fn time_fence_prepared_transaction_freezes_it() {
        let mut fence = fence();
        let first = fence
            .take(&TransactionSnapshot {
                at: at("10:00:10"),
                open: vec![],
            })
            .below;
        let snapshot = TransactionSnapshot {
            at: at("10:05:00"),
            open: vec![prepared("10:00:20")],
        };
        let reading = fence.take(&snapshot);
        assert_eq!(reading.below, first);
        assert_eq!(reading.holder.unwrap().what, "prepared transaction");
        let reading = fence.take(&TransactionSnapshot {
            at: at("10:05:10"),
            open: vec![],
        });
        assert_eq!(reading.below, Some(at("10:05:08")));
    }

    #[test]
    fn time_fence_prepared_before_first_snapshot_gives_none() {
        let mut fence = fence();
        let snapshot = TransactionSnapshot {
            at: at("10:05:00"),
            open: vec![prepared("10:00:20")],
        };
        assert_eq!(fence.take(&snapshot).below, None);
    }

    #[test]
    fn time_fence_is_rounded_down_to_the_resolution() {
        let fence = TimeFence::new(Duration::from_secs(2), Duration::from_secs(1));
        let reading = fence.take(&TransactionSnapshot {
            at: at("10:00:10.9"),
            open: vec![],
        });
        assert_eq!(reading.below, Some(at("10:00:08")));
    }

    /// Regression: with XA clients some transaction is always prepared.
    #[test]
    fn time_fence_moves_under_a_stream_of_prepared() {
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
            let reading = fence.take(&TransactionSnapshot {
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
    fn time_fence_returns_after_early_prepared_ended() {
        let mut fence = fence();
        let old = prepared("09:00:00");
        let new = |name: &str| OpenTransaction {
            id: TransactionId::Prepared(name.into()),
            ..prepared("10:00:05")
        };
        let snapshot = |at_: &str, open: Vec<OpenTransaction>| TransactionSnapshot { at: at(at_), open };
        let reading = fence.take(&snapshot("10:00:00", vec![old.clone()]));
        assert_eq!((reading.below, reading.holder.is_some()), (None, true));
        let reading = fence.take(&snapshot("10:00:10", vec![old, new("a")]));
        assert_eq!(reading.below, None);
        let reading = fence.take(&snapshot("10:00:20", vec![new("a")]));
        assert_eq!(
            reading.below,
            Some(at("09:59:58")),
            "it began after the first look"
        );
        let reading = fence.take(&snapshot("10:00:30", vec![new("b")]));
        assert_eq!(reading.below, Some(at("10:00:18")));
        assert_eq!(
            reading.holder.map(|holder| holder.what),
            Some("prepared transaction".to_owned())
        );
    }
}
