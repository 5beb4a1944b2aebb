//! PURE: what the host did for others than us.
//!
//! Interrupts are nobody's: the kernel does not say for whom it received a packet. Most of them follow from what runs, our
//! rows over a socket not least, and where nothing counts them exactly a tick of 10 ms falls on them now and then. So they are
//! shared out as the processes' own time is: counted as the business's alone they made a gate that has the
//! host for itself shut out its own work several times a second.

use std::collections::BTreeMap;
use std::time::Duration;

/// The host's CPU counters over all cores, in any one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostTimes {
    /// Time in which a core worked or was stolen.
    pub busy: u64,
    /// Of that, time in interrupts.
    pub interrupts: u64,
    /// All time.
    pub total: u64,
    /// Cores.
    pub cores: u32,
    /// Whether they are exact, or sampled at the kernel's ticks; the two are not compared.
    pub precise: bool,
    /// When they were read, on any monotonic clock.
    pub at: Duration,
}

/// One thread of a process in one life: a recycled process id is another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Life {
    /// The process id.
    pub pid: u32,
    /// Which life: a number that no other thread with this process id gets.
    pub started: u64,
}

/// The host's counters and the CPU time of our processes, read together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The host.
    pub host: HostTimes,
    /// CPU time since its start of each thread of ours, in nanoseconds.
    pub own: BTreeMap<Life, u64>,
}

/// Two snapshots that cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    /// The window has no length.
    #[error("no time has passed by the CPU counters")]
    NoWindow,
    /// A counter went back, or busy time exceeds all time.
    #[error("the CPU counters went back")]
    WentBack,
}

/// Percent of all cores that worked for others, between two snapshots; 0 to 100.
///
/// # Errors
/// When the window has no length or the counters went back: then nothing is known.
#[expect(
    clippy::cast_precision_loss,
    reason = "differences over a window are far below 2^52"
)]
pub fn foreground(before: &Snapshot, after: &Snapshot) -> Result<f64, ShareError> {
    if after.host.precise != before.host.precise {
        return Err(ShareError::NoWindow);
    }
    let busy = after
        .host
        .busy
        .checked_sub(before.host.busy)
        .ok_or(ShareError::WentBack)?;
    let interrupts = after.host.interrupts.saturating_sub(before.host.interrupts);
    let total = after
        .host
        .total
        .checked_sub(before.host.total)
        .ok_or(ShareError::WentBack)?;
    let window = after
        .host
        .at
        .checked_sub(before.host.at)
        .ok_or(ShareError::WentBack)?;
    if total == 0 || window.is_zero() || after.host.cores == 0 {
        return Err(ShareError::NoWindow);
    }
    // The exact counter and the clock are not read in one instant.
    let slack = if after.host.precise {
        total / 4 + 10_000_000
    } else {
        0
    };
    if busy > total.saturating_add(slack) {
        return Err(ShareError::WentBack);
    }
    let own_ns: u64 = after
        .own
        .iter()
        .filter_map(|(life, time)| Some(time.saturating_sub(*before.own.get(life)?)))
        .sum();
    let busy_share = (busy as f64 / total as f64).min(1.0);
    let capacity_ns = window.as_secs_f64() * 1e9 * f64::from(after.host.cores);
    let own_share = own_ns as f64 / capacity_ns;
    let interrupted = (interrupts as f64 / total as f64).min(busy_share);
    let worked = busy_share - interrupted;
    let ours = if worked > 0.0 {
        (own_share / worked).min(1.0)
    } else {
        0.0
    };
    Ok((busy_share - own_share - interrupted * ours).clamp(0.0, 1.0) * 100.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn snapshot(ms: u64, busy: u64, total: u64, own: &[(u32, u64)]) -> Snapshot {
        Snapshot {
            host: HostTimes {
                busy,
                interrupts: 0,
                total,
                cores: 2,
                precise: false,
                at: Duration::from_millis(ms),
            },
            own: own
                .iter()
                .map(|(pid, time)| {
                    (
                        Life {
                            pid: *pid,
                            started: 7,
                        },
                        *time * 1_000_000,
                    )
                })
                .collect(),
        }
    }

    fn percent(before: &Snapshot, after: &Snapshot) -> i64 {
        foreground(before, after).map_or(-1, crate::sample::milli)
    }

    /// Trap: its own work read as foreground load, so it pauses itself.
    #[test]
    fn our_own_work_is_not_the_businesss() {
        // 1 s on 2 cores: 160 of 200 ticks busy, 1,200 ms of them ours.
        let before = snapshot(0, 0, 0, &[(1, 500), (2, 0)]);
        let after = snapshot(1_000, 160, 200, &[(1, 1_500), (2, 200)]);
        assert_eq!(percent(&before, &after), 20_000);
    }

    /// Trap: its own work read as foreground load, so it pauses itself.
    #[test]
    fn interrupts_are_shared_out_as_the_work_is() {
        let interrupted = |own: u64| {
            let before = snapshot(0, 0, 0, &[(1, 0)]);
            let mut after = snapshot(1_000, 100, 200, &[(1, own)]);
            after.host.interrupts = 20;
            percent(&before, &after)
        };
        // 80 of 200 ticks in processes, 20 in interrupts: all of them ours, half, none.
        assert_eq!(
            (interrupted(800), interrupted(400), interrupted(0)),
            (0, 25_000, 50_000)
        );
        let idle = snapshot(0, 0, 0, &[]);
        let mut alone = snapshot(1_000, 20, 200, &[]);
        alone.host.interrupts = 20;
        assert_eq!(
            percent(&idle, &alone),
            10_000,
            "interrupts without work are not ours"
        );
    }

    #[test]
    fn a_process_that_vanished_or_came_counts_as_the_businesss() {
        let before = snapshot(0, 0, 0, &[(1, 900_000)]);
        let after = snapshot(1_000, 100, 200, &[(2, 900_000)]);
        assert_eq!(percent(&before, &after), 50_000);
    }

    #[test]
    fn a_recycled_process_id_is_another_process() {
        let before = snapshot(0, 0, 0, &[(1, 100)]);
        let mut after = snapshot(1_000, 100, 200, &[]);
        after.own.insert(Life { pid: 1, started: 8 }, 1_000_000_000);
        assert_eq!(percent(&before, &after), 50_000);
    }

    #[test]
    fn what_cannot_be_compared_is_an_error() {
        let here = snapshot(1_000, 100, 200, &[]);
        assert_eq!(foreground(&here, &here), Err(ShareError::NoWindow));
        assert_eq!(
            foreground(&here, &snapshot(2_000, 99, 300, &[])),
            Err(ShareError::WentBack)
        );
        assert_eq!(
            foreground(&here, &snapshot(900, 100, 300, &[])),
            Err(ShareError::WentBack)
        );
        assert_eq!(
            foreground(&here, &snapshot(2_000, 400, 300, &[])),
            Err(ShareError::WentBack)
        );
    }

    proptest! {
        #[test]
        fn always_a_percentage_and_never_below_what_others_did(
            busy in 0_u64..400, interrupts in 0_u64..500, idle in 0_u64..400, ms in 1_u64..2_000, own in 0_u64..10_000,
        ) {
            let before = snapshot(0, 0, 0, &[(1, 0)]);
            let mut after = snapshot(ms, busy, busy + idle, &[(1, own)]);
            after.host.interrupts = interrupts;
            if let Ok(percent) = foreground(&before, &after) {
                prop_assert!((0.0..=100.0).contains(&percent));
                let without = foreground(&before, &snapshot(ms, busy, busy + idle, &[]));
                prop_assert!(without.is_ok_and(|without| percent <= without));
            } else {
                prop_assert_eq!(busy + idle, 0);
            }
        }
    }
}
