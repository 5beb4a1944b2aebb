//! PURE: two snapshots of the business's processes -> scheduler contention between them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::foreground::SchedulerContention;
use crate::signal::procfs::SchedStat;

/// The statistics of the business's processes at one moment, by an id that is unique to one watched process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// The statistics of each process.
    pub processes: BTreeMap<u64, SchedStat>,
    /// Whether it is known which processes are the business's.
    pub known: bool,
}

/// Returns the contention between two snapshots over the processes in both; `None` if there are none. Ignores a process
/// whose counters decreased.
#[must_use]
pub fn contention_between(before: &Snapshot, after: &Snapshot) -> Option<SchedulerContention> {
    let mut contention = SchedulerContention::default();
    let mut seen = false;
    for (id, now) in &after.processes {
        let Some(then) = before.processes.get(id) else {
            continue;
        };
        let deltas = (
            now.run.checked_sub(then.run),
            now.wait.checked_sub(then.wait),
            now.slices.checked_sub(then.slices),
        );
        let (Some(run), Some(wait), Some(slices)) = deltas else {
            continue;
        };
        seen = true;
        contention.run += Duration::from_nanos(run);
        contention.wait += Duration::from_nanos(wait);
        contention.slices = contention.slices.saturating_add(slices);
    }
    seen.then_some(contention)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn snapshot(processes: &[(u64, u64, u64, u64)]) -> Snapshot {
        let processes = processes
            .iter()
            .map(|&(id, run, wait, slices)| (id, SchedStat { run, wait, slices }))
            .collect();
        Snapshot {
            processes,
            known: true,
        }
    }

    #[test]
    fn contention_counts_only_processes_in_both_snapshots() {
        let before = snapshot(&[(1, 100, 10, 1), (2, 500, 50, 5)]);
        let after = snapshot(&[(2, 700, 80, 7), (3, 9_000, 9_000, 9)]);
        let wanted = SchedulerContention {
            run: Duration::from_nanos(200),
            wait: Duration::from_nanos(30),
            slices: 2,
        };
        assert_eq!(contention_between(&before, &after), Some(wanted));
        assert_eq!(contention_between(&before, &snapshot(&[(4, 1, 1, 1)])), None);
        assert_eq!(contention_between(&Snapshot::default(), &after), None);
    }

    proptest! {
        #[test]
        fn contention_decreasing_counters_give_no_value(
            run in 1_u64..u64::MAX, wait: u64, slices: u64, back in 1_u64..u64::MAX,
        ) {
            let before = snapshot(&[(1, run, wait, slices)]);
            let after = snapshot(&[(1, run - back.min(run), wait, slices)]);
            prop_assert_eq!(contention_between(&before, &after), None);
        }
    }
}
