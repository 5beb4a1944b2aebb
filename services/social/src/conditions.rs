//! The conditions of lanes and feeds that other tasks decide by. The status page shows them too, but nothing reads that page.
//!
//! A lane's worker and a feed's publisher set them; [`crate::notice`] and the alarm of a core that is never idle read them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use schemas::name::{FeedName, Lane};
use tokio::sync::watch;

/// The condition of a lane.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LaneCondition {
    /// The kind of stop, if an operator must act; see [`crate::stop::StopReason::kind`].
    pub stopped_by: Option<&'static str>,
    /// Whether a hold stops it from publishing.
    pub is_held: bool,
    /// The codes for which "caught up" cannot be claimed of this lane alone.
    pub unverified: BTreeSet<&'static str>,
}

/// The condition of a feed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FeedCondition {
    /// Whether it needs a permit and the gate is closed.
    pub waits_for_gate: bool,
    /// When everything within the fence was last read.
    pub caught_up_at: Option<Timestamp>,
    /// The codes for which "caught up" cannot be claimed of its lanes.
    pub unverified: BTreeSet<&'static str>,
}

/// The conditions of all feeds.
pub type FeedConditions = BTreeMap<FeedName, FeedCondition>;

/// The conditions of all lanes that have been in a state.
pub type LaneConditions = BTreeMap<Lane, LaneCondition>;

/// Takes the conditions of lanes and feeds. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Conditions {
    feeds: watch::Sender<FeedConditions>,
    lanes: watch::Sender<LaneConditions>,
}

impl Conditions {
    /// Changes the condition of a feed.
    pub fn feed(&self, feed: &FeedName, change: impl FnOnce(&mut FeedCondition)) {
        self.feeds.send_if_modified(|feeds| set(feeds, feed, change));
    }

    /// Changes the condition of a lane.
    pub fn lane(&self, lane: &Lane, change: impl FnOnce(&mut LaneCondition)) {
        self.lanes.send_if_modified(|lanes| set(lanes, lane, change));
    }

    /// Subscribes to the conditions of feeds.
    #[must_use]
    pub fn feeds(&self) -> watch::Receiver<FeedConditions> {
        self.feeds.subscribe()
    }

    /// Subscribes to the conditions of lanes.
    #[must_use]
    pub fn lanes(&self) -> watch::Receiver<LaneConditions> {
        self.lanes.subscribe()
    }
}

/// Adds or removes a code. Returns whether that changed anything.
pub(crate) fn set_code(codes: &mut BTreeSet<&'static str>, code: &'static str, is_set: bool) -> bool {
    if is_set {
        codes.insert(code)
    } else {
        codes.remove(code)
    }
}

/// Changes one entry. Returns whether it is another one now.
fn set<K: Ord + Clone, V: Clone + PartialEq + Default>(
    conditions: &mut BTreeMap<K, V>,
    key: &K,
    change: impl FnOnce(&mut V),
) -> bool {
    let before = conditions.get(key);
    let mut condition = before.cloned().unwrap_or_default();
    change(&mut condition);
    if before == Some(&condition) {
        return false;
    }
    conditions.insert(key.clone(), condition);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_wake_only_for_a_change() {
        let conditions = Conditions::default();
        let (mut feeds, feed) = (conditions.feeds(), "claims".parse().unwrap());
        conditions.feed(&feed, |feed| feed.waits_for_gate = true);
        assert!(feeds.has_changed().unwrap());
        assert!(feeds.borrow_and_update()[&feed].waits_for_gate);
        conditions.feed(&feed, |feed| feed.waits_for_gate = true);
        assert!(!feeds.has_changed().unwrap());
        conditions.feed(&feed, |feed| {
            set_code(&mut feed.unverified, "fence_stalled", true);
        });
        assert!(
            feeds.borrow_and_update()[&feed]
                .unverified
                .contains("fence_stalled")
        );
    }
}
