//! PURE: two looks at the business's processes -> how strained they were in between.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Strain;
use crate::signal::procfs::SchedStat;

/// The statistics of the business's processes at one moment, by life: a number that a process
/// keeps while it is watched and that no other gets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// What each process had by then.
    pub lives: BTreeMap<u64, SchedStat>,
    /// Whether it is known at all whose processes are the business's here.
    pub known: bool,
}

/// The strain between two looks, over the processes that are in both; none when there are none.
/// A process whose counters went back says nothing.
#[must_use]
pub fn between(before: &Snapshot, after: &Snapshot) -> Option<Strain> {
    let mut strain = Strain::default();
    let mut seen = false;
    for (life, now) in &after.lives {
        let Some(then) = before.lives.get(life) else {
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
        strain.run += Duration::from_nanos(run);
        strain.wait += Duration::from_nanos(wait);
        strain.slices = strain.slices.saturating_add(slices);
    }
    seen.then_some(strain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn look(lives: &[(u64, u64, u64, u64)]) -> Snapshot {
        let lives = lives
            .iter()
            .map(|&(life, run, wait, slices)| (life, SchedStat { run, wait, slices }))
            .collect();
        Snapshot { lives, known: true }
    }

    #[test]
    fn only_processes_in_both_looks_count() {
        let before = look(&[(1, 100, 10, 1), (2, 500, 50, 5)]);
        let after = look(&[(2, 700, 80, 7), (3, 9_000, 9_000, 9)]);
        let wanted = Strain {
            run: Duration::from_nanos(200),
            wait: Duration::from_nanos(30),
            slices: 2,
        };
        assert_eq!(between(&before, &after), Some(wanted));
        assert_eq!(between(&before, &look(&[(4, 1, 1, 1)])), None);
        assert_eq!(between(&Snapshot::default(), &after), None);
    }

    proptest! {
        #[test]
        fn counters_that_went_back_never_give_a_value(
            run in 1_u64..u64::MAX, wait: u64, slices: u64, back in 1_u64..u64::MAX,
        ) {
            let before = look(&[(1, run, wait, slices)]);
            let after = look(&[(1, run - back.min(run), wait, slices)]);
            prop_assert_eq!(between(&before, &after), None);
        }
    }
}
