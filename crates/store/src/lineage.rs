//! PURE: a lane's state, and the lineage of its epochs: which chunks of an old epoch count.
//!
//! Each epoch after the first is opened by a chunk that names the chunk it continues. Walking
//! those links back from the current epoch gives the lineage. What of an old epoch stands
//! beyond the link was lost or left behind; an epoch that no link leads to counts not at all.

use std::collections::BTreeMap;

use schemas::manifest::Link;
use serde::{Deserialize, Serialize};

use crate::compaction::Compaction;
use crate::merge::Place;

/// A lane's state, as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneState {
    /// The current epoch.
    pub epoch: u32,
    /// Every accepted opening with the chunk that it continues. The first epoch has none.
    pub openings: BTreeMap<u32, Option<Link>>,
    /// Why the lane is stopped, while it is.
    pub stopped: Option<String>,
    /// What stands for the ledger's entries that were folded; `None` before any was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compaction: Option<Compaction>,
}

impl Default for LaneState {
    fn default() -> Self {
        Self {
            epoch: 1,
            openings: BTreeMap::new(),
            stopped: None,
            compaction: None,
        }
    }
}

/// How far an epoch counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It is the current one.
    Open,
    /// Up to this chunk, which epoch `next` continues.
    At {
        /// The last chunk that counts.
        link: Link,
        /// The epoch that continues it.
        next: u32,
    },
    /// Not at all: the lineage passed it over. `next` is the first epoch after it that counts.
    Void {
        /// That epoch.
        next: u32,
    },
    /// It is not opened yet.
    Unopened,
}

/// Numbers of an epoch that an opening left behind: those above `above`, up to `last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftBehind {
    /// The epoch.
    pub epoch: u32,
    /// The last number that still counts; 0: none does.
    pub above: u64,
    /// The last number that counted; `u64::MAX`: every number did.
    pub last: u64,
}

impl LeftBehind {
    /// Whether a place is among them.
    #[must_use]
    pub fn contains(&self, place: Place) -> bool {
        place.epoch == self.epoch && place.number > self.above && place.number <= self.last
    }
}

impl LaneState {
    /// What counted `before`, and does not any more. Everything of earlier epochs that still counts stands before all of it.
    ///
    /// A chunk that still counts and that the exchange stored **later** than one of these was published anew, on an exchange that
    /// was put back. Where both hold a row, the newer version is the one with the lower place. So such a chunk is stored
    /// again once the versions left behind rank below all others.
    #[must_use]
    pub fn left_behind_since(&self, before: &Self) -> Vec<LeftBehind> {
        let number = |last: Option<u64>| last.unwrap_or(u64::MAX);
        let left = |epoch| {
            let last = number(before.counts_up_to(epoch));
            let above = number(self.counts_up_to(epoch));
            (above < last).then_some(LeftBehind { epoch, above, last })
        };
        (1..self.epoch).filter_map(left).collect()
    }

    /// The last number of an epoch that counts, along the lineage of the current one; `None`: every number does.
    #[must_use]
    pub fn counts_up_to(&self, epoch: u32) -> Option<u64> {
        match self.end(epoch) {
            End::Open => None,
            End::At { link, .. } => Some(link.number),
            End::Void { .. } | End::Unopened => Some(0),
        }
    }

    /// The first chunk that counts, along the lineage of the current epoch: everything was sent again behind it.
    #[must_use]
    pub fn begins(&self) -> Place {
        let mut epoch = self.epoch;
        // Each link leads to an earlier epoch, whatever the links say.
        while let Some(link) = self.openings.get(&epoch).copied().flatten()
            && link.epoch < epoch
        {
            epoch = link.epoch;
        }
        Place { epoch, number: 1 }
    }

    /// How far an epoch counts, along the lineage of the current one.
    #[must_use]
    pub fn end(&self, epoch: u32) -> End {
        if epoch > self.epoch {
            return End::Unopened;
        }
        let mut at = self.epoch;
        loop {
            if at == epoch {
                return End::Open;
            }
            match self.openings.get(&at).copied().flatten() {
                Some(link) if link.epoch == epoch => return End::At { link, next: at },
                // The guard on `at` ends the walk whatever the links say.
                Some(link) if link.epoch > epoch && link.epoch < at => at = link.epoch,
                _ => return End::Void { next: at },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::digest::Digest;

    fn lane(epoch: u32, openings: &[(u32, Option<(u32, u64)>)]) -> LaneState {
        let link = |(epoch, number)| Link {
            epoch,
            number,
            digest: Digest([0; 32]),
        };
        LaneState {
            epoch,
            openings: openings
                .iter()
                .map(|(epoch, continues)| (*epoch, continues.map(link)))
                .collect(),
            ..LaneState::default()
        }
    }

    #[test]
    fn opening_leaves_behind_what_counted_before_it() {
        let left = |epoch, above, last| LeftBehind { epoch, above, last };
        let first = lane(1, &[]);
        let second = lane(2, &[(2, Some((1, 9)))]);
        assert_eq!(second.left_behind_since(&first), [left(1, 9, u64::MAX)]);
        assert_eq!(second.left_behind_since(&second), []);
        // It goes on from below what the one before went on from, which it passes over.
        let third = lane(3, &[(2, Some((1, 9))), (3, Some((1, 4)))]);
        let both = [left(1, 4, 9), left(2, 0, u64::MAX)];
        assert_eq!(third.left_behind_since(&second), both);
        // It goes on from the epoch before: what that one left behind is not left behind again.
        let third = lane(3, &[(2, Some((1, 9))), (3, Some((2, 7)))]);
        assert_eq!(third.left_behind_since(&second), [left(2, 7, u64::MAX)]);
        // Everything is sent again.
        let third = lane(3, &[(2, Some((1, 9))), (3, None)]);
        let all = [left(1, 0, 9), left(2, 0, u64::MAX)];
        assert_eq!(third.left_behind_since(&second), all);
        let place = |epoch, number| Place { epoch, number };
        assert!(all[0].contains(place(1, 9)) && !all[0].contains(place(1, 10)));
        assert!(both[0].contains(place(1, 5)) && !both[0].contains(place(1, 4)));
    }

    #[test]
    fn lineage_begins_where_everything_was_sent() {
        let begins = |epoch, openings: &[_]| lane(epoch, openings).begins();
        let first = |epoch| Place { epoch, number: 1 };
        assert_eq!(begins(1, &[]), first(1));
        assert_eq!(begins(2, &[(2, Some((1, 9)))]), first(1));
        assert_eq!(
            begins(4, &[(2, Some((1, 9))), (3, None), (4, Some((3, 2)))]),
            first(3)
        );
        // An opening that leads nowhere ends the walk.
        assert_eq!(begins(3, &[(3, Some((3, 2)))]), first(3));
    }
}
