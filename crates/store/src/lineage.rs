//! PURE: a lane's state, and the lineage of its epochs: which chunks of an old epoch count.
//!
//! Each epoch after the first is opened by a chunk that names the chunk it continues. Following these links back from
//! the current epoch gives the lineage. Chunks of an old epoch after the link were lost or abandoned; an epoch
//! without a link to it does not count.

use std::collections::BTreeMap;

use schemas::manifest::Link;
use serde::{Deserialize, Serialize};

use crate::chunk_number::ChunkNumber;
use crate::compaction::Compaction;

/// The state of a lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneState {
    /// The current epoch.
    pub epoch: u32,
    /// Every accepted opening with the chunk that it continues. The first epoch has none.
    pub openings: BTreeMap<u32, Option<Link>>,
    /// Why the lane is stopped, if it is.
    pub stopped: Option<String>,
    /// The summary of folded ledger entries; `None` before any is folded.
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

/// How much of an epoch counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All: it is the current epoch.
    Open,
    /// Up to a chunk that epoch `next` continues.
    At {
        /// The last chunk that counts.
        link: Link,
        /// The epoch that continues it.
        next: u32,
    },
    /// Nothing: the lineage skips it. `next` is the next epoch that counts.
    Void {
        /// That epoch.
        next: u32,
    },
    /// Not opened yet.
    Unopened,
}

/// Chunk numbers of an epoch that a later epoch supersedes: those above `above`, up to `last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SupersededRange {
    /// The epoch.
    pub epoch: u32,
    /// The last number that still counts; 0: none does.
    pub above: u64,
    /// The last number that counted; `u64::MAX`: every number did.
    pub last: u64,
}

impl SupersededRange {
    /// Returns whether the range contains a chunk.
    #[must_use]
    pub fn contains(&self, chunk_number: ChunkNumber) -> bool {
        chunk_number.epoch == self.epoch
            && chunk_number.number > self.above
            && chunk_number.number <= self.last
    }
}

impl LaneState {
    /// Returns the chunks that counted in `before` and are superseded now. They are the end of the old lineage: each chunk of an
    /// earlier epoch that still counts has a lower chunk number than all of them.
    ///
    /// A chunk that still counts and that the exchange stored **later** than a superseded one was republished after a
    /// restore of the exchange. If both contain a row, the republished version is the newer one although its chunk
    /// number is lower. Therefore the stores demote superseded rows to chunk number 0.0 and store the republished
    /// chunk again.
    #[must_use]
    pub fn superseded_since(&self, before: &Self) -> Vec<SupersededRange> {
        let number = |last: Option<u64>| last.unwrap_or(u64::MAX);
        let range = |epoch| {
            let last = number(before.counts_up_to(epoch));
            let above = number(self.counts_up_to(epoch));
            (above < last).then_some(SupersededRange { epoch, above, last })
        };
        (1..self.epoch).filter_map(range).collect()
    }

    /// Returns the last number of an epoch that counts in the current lineage; `None`: every number does.
    #[must_use]
    pub fn counts_up_to(&self, epoch: u32) -> Option<u64> {
        match self.end(epoch) {
            End::Open => None,
            End::At { link, .. } => Some(link.number),
            End::Void { .. } | End::Unopened => Some(0),
        }
    }

    /// Returns the first chunk of the lineage of the current epoch. The feed was sent again from its beginning there, so nothing
    /// before it counts.
    #[must_use]
    pub fn lineage_start(&self) -> ChunkNumber {
        let mut epoch = self.epoch;
        // Each link leads to an earlier epoch, so the loop ends.
        while let Some(link) = self.openings.get(&epoch).copied().flatten()
            && link.epoch < epoch
        {
            epoch = link.epoch;
        }
        ChunkNumber { epoch, number: 1 }
    }

    /// Returns how much of an epoch counts in the current lineage.
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
                // The guard on `at` ends the loop for any links.
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
    fn lineage_opening_supersedes_end_of_old_lineage() {
        let range = |epoch, above, last| SupersededRange { epoch, above, last };
        let first = lane(1, &[]);
        let second = lane(2, &[(2, Some((1, 9)))]);
        assert_eq!(second.superseded_since(&first), [range(1, 9, u64::MAX)]);
        assert_eq!(second.superseded_since(&second), []);
        // Epoch 3 continues an earlier chunk of epoch 1 and skips epoch 2.
        let third = lane(3, &[(2, Some((1, 9))), (3, Some((1, 4)))]);
        let both = [range(1, 4, 9), range(2, 0, u64::MAX)];
        assert_eq!(third.superseded_since(&second), both);
        // Epoch 3 continues epoch 2: the chunks that epoch 2 superseded are not superseded again.
        let third = lane(3, &[(2, Some((1, 9))), (3, Some((2, 7)))]);
        assert_eq!(third.superseded_since(&second), [range(2, 7, u64::MAX)]);
        // Epoch 3 sends the feed again from its beginning.
        let third = lane(3, &[(2, Some((1, 9))), (3, None)]);
        let all = [range(1, 0, 9), range(2, 0, u64::MAX)];
        assert_eq!(third.superseded_since(&second), all);
        let chunk_number = |epoch, number| ChunkNumber { epoch, number };
        assert!(all[0].contains(chunk_number(1, 9)) && !all[0].contains(chunk_number(1, 10)));
        assert!(both[0].contains(chunk_number(1, 5)) && !both[0].contains(chunk_number(1, 4)));
    }

    #[test]
    fn lineage_start_is_last_opening_without_link() {
        let start = |epoch, openings: &[_]| lane(epoch, openings).lineage_start();
        let first = |epoch| ChunkNumber { epoch, number: 1 };
        assert_eq!(start(1, &[]), first(1));
        assert_eq!(start(2, &[(2, Some((1, 9)))]), first(1));
        assert_eq!(
            start(4, &[(2, Some((1, 9))), (3, None), (4, Some((3, 2)))]),
            first(3)
        );
        // A link that does not lead to an earlier epoch ends the walk.
        assert_eq!(start(3, &[(3, Some((3, 2)))]), first(3));
    }
}
