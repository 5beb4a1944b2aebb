//! PURE: computes the load that is not ours.
//!
//! Interrupts belong to no process: the kernel does not record for which process it received a packet. Most of them
//! follow from the running work, such as our rows over a socket. Without exact accounting a tick of 10 ms is
//! occasionally charged to them. They are therefore attributed in proportion to the CPU time of the processes. Counting
//! them all as the business's would make a gate on an otherwise idle host close because of its own work several times a
//! second.

use std::collections::BTreeMap;
use std::time::Duration;

/// The host's CPU counters over all cores, in one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostTimes {
    /// Busy and stolen time.
    pub busy: u64,
    /// Time in interrupts; part of `busy`.
    pub interrupts: u64,
    /// Total time.
    pub total: u64,
    /// Number of cores.
    pub cores: u32,
    /// Whether the counters are exact, not sampled at the kernel's ticks; the two kinds are not compared.
    pub precise: bool,
    /// When they were read, on a monotonic clock.
    pub at: Duration,
}

/// One thread of one process instance: a reused process id is another instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ThreadInstance {
    /// The process id.
    pub pid: u32,
    /// A number unique to the instance among those with this process id.
    pub started: u64,
}

/// The host's counters and the CPU time of our processes at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The host's counters.
    pub host: HostTimes,
    /// Total CPU time of each of our threads, in nanoseconds.
    pub own: BTreeMap<ThreadInstance, u64>,
}

/// Why two snapshots cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    /// The window is empty.
    #[error("no time has passed by the CPU counters")]
    NoWindow,
    /// A counter decreased, or busy time exceeds total time.
    #[error("the CPU counters decreased")]
    CounterDecreased,
}

/// Returns the percentage of all cores used by others between two snapshots, from 0 to 100.
///
/// # Errors
/// If the window is empty or a counter decreased.
#[expect(
    clippy::cast_precision_loss,
    reason = "differences over a window are far below 2^52"
)]
pub fn foreground_percent(before: &Snapshot, after: &Snapshot) -> Result<f64, ShareError> {
    if after.host.precise != before.host.precise {
        return Err(ShareError::NoWindow);
    }
    let busy = after
        .host
        .busy
        .checked_sub(before.host.busy)
        .ok_or(ShareError::CounterDecreased)?;
    let interrupts = after.host.interrupts.saturating_sub(before.host.interrupts);
    let total = after
        .host
        .total
        .checked_sub(before.host.total)
        .ok_or(ShareError::CounterDecreased)?;
    let window = after
        .host
        .at
        .checked_sub(before.host.at)
        .ok_or(ShareError::CounterDecreased)?;
    if total == 0 || window.is_zero() || after.host.cores == 0 {
        return Err(ShareError::NoWindow);
    }
    // The exact counter and the clock are not read atomically.
    let slack = if after.host.precise {
        total / 4 + 10_000_000
    } else {
        0
    };
    if busy > total.saturating_add(slack) {
        return Err(ShareError::CounterDecreased);
    }
    let own_ns: u64 = after
        .own
        .iter()
        .filter_map(|(instance, time)| Some(time.saturating_sub(*before.own.get(instance)?)))
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
                        ThreadInstance {
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
        foreground_percent(before, after).map_or(-1, crate::sample::milli)
    }

    /// Trap: its own work read as foreground load, so it pauses itself.
    #[test]
    fn share_excludes_our_own_work() {
        // 1 s on 2 cores: 160 of 200 ticks busy, 1,200 ms of them ours.
        let before = snapshot(0, 0, 0, &[(1, 500), (2, 0)]);
        let after = snapshot(1_000, 160, 200, &[(1, 1_500), (2, 200)]);
        assert_eq!(percent(&before, &after), 20_000);
    }

    /// Trap: its own work read as foreground load, so it pauses itself.
    #[test]
    fn share_attributes_interrupts_proportionally() {
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
    fn share_of_ended_and_new_processes_belongs_to_business() {
        let before = snapshot(0, 0, 0, &[(1, 900_000)]);
        let after = snapshot(1_000, 100, 200, &[(2, 900_000)]);
        assert_eq!(percent(&before, &after), 50_000);
    }

    #[test]
    fn share_reused_process_id_is_another_process() {
        let before = snapshot(0, 0, 0, &[(1, 100)]);
        let mut after = snapshot(1_000, 100, 200, &[]);
        after
            .own
            .insert(ThreadInstance { pid: 1, started: 8 }, 1_000_000_000);
        assert_eq!(percent(&before, &after), 50_000);
    }

    #[test]
    fn share_of_incomparable_snapshots_is_an_error() {
        let here = snapshot(1_000, 100, 200, &[]);
        assert_eq!(foreground_percent(&here, &here), Err(ShareError::NoWindow));
        assert_eq!(
            foreground_percent(&here, &snapshot(2_000, 99, 300, &[])),
            Err(ShareError::CounterDecreased)
        );
        assert_eq!(
            foreground_percent(&here, &snapshot(900, 100, 300, &[])),
            Err(ShareError::CounterDecreased)
        );
        assert_eq!(
            foreground_percent(&here, &snapshot(2_000, 400, 300, &[])),
            Err(ShareError::CounterDecreased)
        );
    }

    proptest! {
        #[test]
        fn share_is_a_percentage_and_never_above_the_total(
            busy in 0_u64..400, interrupts in 0_u64..500, idle in 0_u64..400, ms in 1_u64..2_000, own in 0_u64..10_000,
        ) {
            let before = snapshot(0, 0, 0, &[(1, 0)]);
            let mut after = snapshot(ms, busy, busy + idle, &[(1, own)]);
            after.host.interrupts = interrupts;
            if let Ok(percent) = foreground_percent(&before, &after) {
                prop_assert!((0.0..=100.0).contains(&percent));
                let without = foreground_percent(&before, &snapshot(ms, busy, busy + idle, &[]));
                prop_assert!(without.is_ok_and(|without| percent <= without));
            } else {
                prop_assert_eq!(busy + idle, 0);
            }
        }
    }
}
