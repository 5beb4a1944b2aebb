//! PURE: a lane's state, and the lineage of its epochs: which chunks of an old epoch count.
//!
//! Each epoch after the first is opened by a chunk that names the chunk it continues. Walking
//! those links back from the current epoch gives the lineage. What of an old epoch stands
//! beyond the link was lost or left behind; an epoch that no link leads to counts not at all.

use std::collections::BTreeMap;

use schemas::manifest::Link;
use serde::{Deserialize, Serialize};

use crate::compaction::Compaction;

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

impl LaneState {
    /// The last number of an epoch that counts, along the lineage of the current one; `None`: every number does.
    #[must_use]
    pub fn counts_up_to(&self, epoch: u32) -> Option<u64> {
        match self.end(epoch) {
            End::Open => None,
            End::At { link, .. } => Some(link.number),
            End::Void { .. } | End::Unopened => Some(0),
        }
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
