//! The view of a running agent.

use std::sync::Arc;

use gate::Gate;
use source::Source;
use tokio::sync::watch;

use crate::blocklist::BlockListStatus;
use crate::conditions::{Conditions, FeedConditions};
use crate::lease_keeper::LeaseWatch;
use crate::record_tracker::RecordTracker;
use crate::status::{LeaseStatus, SocialStatus, StatusRegistry};

/// A view of a running agent.
#[derive(Clone)]
pub struct SocialView {
    pub(super) instance: String,
    pub(super) gate: Gate,
    pub(super) source: Arc<dyn Source>,
    pub(super) lease: LeaseWatch,
    pub(super) blocklist: Option<watch::Receiver<BlockListStatus>>,
    pub(super) registry: StatusRegistry,
    pub(super) conditions: Conditions,
    pub(super) record_tracker: RecordTracker,
}

impl SocialView {
    /// Subscribes to the conditions of the feeds.
    #[must_use]
    pub fn feed_conditions(&self) -> watch::Receiver<FeedConditions> {
        self.conditions.feeds()
    }

    /// Returns the status of the agent.
    #[must_use]
    pub fn status(&self) -> SocialStatus {
        let state = self.lease.state();
        SocialStatus {
            instance: self.instance.clone(),
            gate: self.gate.status(),
            lease: LeaseStatus {
                held: self.lease.term().is_some(),
                holder: state.holder,
                term: state.term,
                error: state.error,
            },
            orders: self.record_tracker.status(),
            feeds: self.registry.feeds(),
            lanes: self.registry.lanes(),
            requests: self.registry.request_status(),
            blocklist: self.blocklist.as_ref().map(|status| status.borrow().clone()),
            driver: self.source.driver_counts(),
        }
    }
}
