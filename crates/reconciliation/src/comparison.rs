//! PURE: which buckets differ, which keys differ, and why.
//!
//! A row that is missing, extra or different is an error. Rows that are late, withheld, rejected or in quarantine are explained: they
//! follow, or are meant to be absent.

use std::collections::{BTreeMap, BTreeSet};

use schemas::digest::Digest;

use crate::tree::{Counted, Tree};
use schemas::key_digest::KeyDigest;

/// A row of the core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoreKey {
    /// The digest of the row; `None` if it is not to be at the store.
    pub row: Option<Digest>,
    /// Its state in the feed.
    pub state: CoreState,
}

/// The state of a row of the core in its feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CoreState {
    /// It was sent, as far as the lane's position shows.
    Present,
    /// It is after the lane's position.
    Late,
    /// It is marked as deleted.
    Deleted,
    /// A hold or the block list withholds it.
    Withheld,
    /// It is sent as a reject.
    Rejected,
}

impl CoreState {
    /// Returns the word for it in answers.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Late => "late",
            Self::Deleted => "deleted",
            Self::Withheld => "withheld",
            Self::Rejected => "rejected",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let all = [
            Self::Present,
            Self::Late,
            Self::Deleted,
            Self::Withheld,
            Self::Rejected,
        ];
        all.into_iter().find(|state| state.word() == word)
    }
}

/// A row of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreKey {
    /// The digest of the row.
    pub row: Digest,
    /// Whether its chunk is newer than the pass at the core: the row changed meanwhile.
    pub is_newer: bool,
    /// How many rows have this key.
    pub copies: u64,
}

/// How the two sides differ in a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// The core has it, and the store does not.
    Missing,
    /// The store has it, and the core does not, or has it marked as deleted.
    Extra,
    /// Its values differ.
    Different,
    /// The store has it more than once.
    Doubled,
    /// Explained: it changed meanwhile, or is after the lane's position.
    Late,
    /// Explained: a hold or the block list withholds it, and the store has an earlier version.
    Withheld,
    /// Explained: the feed sends it as a reject.
    Rejected,
    /// Explained: the store keeps it in quarantine.
    Quarantined,
}

impl Difference {
    /// Returns whether it is an error.
    #[must_use]
    pub fn is_error(self) -> bool {
        matches!(
            self,
            Self::Missing | Self::Extra | Self::Different | Self::Doubled
        )
    }

    /// Returns its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Extra => "extra",
            Self::Different => "different",
            Self::Doubled => "doubled",
            Self::Late => "late",
            Self::Withheld => "withheld",
            Self::Rejected => "rejected",
            Self::Quarantined => "quarantined",
        }
    }
}

/// A key in which the sides differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// How.
    pub difference: Difference,
    /// The key.
    pub key: KeyDigest,
}

/// Returns the buckets that differ. Buckets that the core's answer lacks have no row there.
#[must_use]
pub fn differing_buckets(core: &BTreeMap<usize, Counted>, store: &Tree) -> BTreeSet<usize> {
    let differs = |place: &usize| {
        let bucket = store.buckets.get(*place);
        match (core.get(place), bucket) {
            (Some(core), Some(store)) => !store.equals(core.rows, &core.digest),
            (Some(_), None) => true,
            (None, store) => store.is_some_and(|store| store.rows > 0),
        }
    };
    (0..store.buckets.len()).filter(differs).collect()
}

/// Compares the keys of the differing buckets. `quarantined` are keys of rows that the store keeps in quarantine.
#[must_use]
pub fn compare_keys(
    core: &BTreeMap<KeyDigest, CoreKey>,
    store: &BTreeMap<KeyDigest, StoreKey>,
    quarantined: &BTreeSet<KeyDigest>,
) -> Vec<Finding> {
    let keys: BTreeSet<&KeyDigest> = core.keys().chain(store.keys()).collect();
    let finding = |key: &&KeyDigest| {
        let difference = difference(core.get(*key), store.get(*key))?;
        let difference = match difference {
            Difference::Missing | Difference::Different if quarantined.contains(*key) => {
                Difference::Quarantined
            }
            other => other,
        };
        Some(Finding {
            difference,
            key: **key,
        })
    };
    let mut findings: Vec<Finding> = keys.iter().filter_map(finding).collect();
    findings.sort_unstable();
    findings
}

fn difference(core: Option<&CoreKey>, store: Option<&StoreKey>) -> Option<Difference> {
    use CoreState as C;
    if let Some(store) = store
        && store.copies > 1
    {
        return Some(Difference::Doubled);
    }
    let is_newer = store.is_some_and(|store| store.is_newer);
    let is_equal = core
        .zip(store)
        .is_some_and(|(core, store)| core.row == Some(store.row));
    match (core.map(|core| core.state), store) {
        _ if is_equal => None,
        (None | Some(C::Deleted), None) => None,
        (Some(C::Rejected), _) => Some(Difference::Rejected),
        (Some(C::Withheld), None) => None,
        (Some(C::Withheld), Some(_)) => Some(Difference::Withheld),
        (Some(C::Late), _) => Some(Difference::Late),
        _ if is_newer => Some(Difference::Late),
        (Some(C::Present), None) => Some(Difference::Missing),
        (Some(C::Present), Some(_)) => Some(Difference::Different),
        (None | Some(C::Deleted), Some(_)) => Some(Difference::Extra),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(number: u8) -> KeyDigest {
        let digest = Digest::of(&[&[number]]);
        KeyDigest(digest.0[..16].try_into().unwrap())
    }

    fn core(state: CoreState, row: u8) -> CoreKey {
        CoreKey {
            row: matches!(state, CoreState::Present | CoreState::Late).then(|| Digest([row; 32])),
            state,
        }
    }

    fn store(row: u8, is_newer: bool) -> StoreKey {
        StoreKey {
            row: Digest([row; 32]),
            is_newer,
            copies: 1,
        }
    }

    #[test]
    fn comparison_classifies_each_pair() {
        use CoreState as C;
        use Difference as D;
        for (of_core, of_store, wanted) in [
            (Some(core(C::Present, 1)), Some(store(1, false)), None),
            (Some(core(C::Present, 1)), None, Some(D::Missing)),
            (
                Some(core(C::Present, 1)),
                Some(store(2, false)),
                Some(D::Different),
            ),
            (Some(core(C::Present, 1)), Some(store(2, true)), Some(D::Late)),
            (None, Some(store(1, false)), Some(D::Extra)),
            (None, Some(store(1, true)), Some(D::Late)),
            (Some(core(C::Late, 1)), None, Some(D::Late)),
            (Some(core(C::Late, 1)), Some(store(2, false)), Some(D::Late)),
            (Some(core(C::Late, 1)), Some(store(1, false)), None),
            (Some(core(C::Deleted, 1)), None, None),
            (Some(core(C::Deleted, 1)), Some(store(1, false)), Some(D::Extra)),
            (Some(core(C::Deleted, 1)), Some(store(1, true)), Some(D::Late)),
            (Some(core(C::Withheld, 1)), None, None),
            (
                Some(core(C::Withheld, 1)),
                Some(store(1, false)),
                Some(D::Withheld),
            ),
            (Some(core(C::Rejected, 1)), None, Some(D::Rejected)),
        ] {
            assert_eq!(
                difference(of_core.as_ref(), of_store.as_ref()),
                wanted,
                "{of_core:?} {of_store:?}"
            );
        }
        let twice = StoreKey {
            copies: 2,
            ..store(1, false)
        };
        assert_eq!(
            difference(Some(&core(C::Present, 1)), Some(&twice)),
            Some(D::Doubled)
        );
    }

    #[test]
    fn comparison_quarantined_rows_are_explained() {
        let core = BTreeMap::from([(key(1), core(CoreState::Present, 1))]);
        let found = compare_keys(&core, &BTreeMap::new(), &BTreeSet::from([key(1)]));
        assert_eq!(found.len(), 1);
        assert!(!found[0].difference.is_error());
    }

    proptest! {
        /// Each difference is found with its key, and nothing else.
        #[test]
        fn comparison_finds_exactly_what_differs(
            rows in prop::collection::btree_map(any::<u8>(), 0_u8..3, 0..40),
            others in prop::collection::btree_map(any::<u8>(), 0_u8..3, 0..40),
        ) {
            let cores = rows.iter().map(|(id, row)| (key(*id), core(CoreState::Present, *row))).collect();
            let stores = others.iter().map(|(id, row)| (key(*id), store(*row, false))).collect();
            let mut wanted: Vec<Finding> = (0..=u8::MAX)
                .filter_map(|id| {
                    let difference = match (rows.get(&id), others.get(&id)) {
                        (Some(a), Some(b)) if a != b => Difference::Different,
                        (Some(_), None) => Difference::Missing,
                        (None, Some(_)) => Difference::Extra,
                        _ => return None,
                    };
                    Some(Finding { difference, key: key(id) })
                })
                .collect();
            wanted.sort_unstable();
            prop_assert_eq!(compare_keys(&cores, &stores, &BTreeSet::new()), wanted);
        }
    }
}
