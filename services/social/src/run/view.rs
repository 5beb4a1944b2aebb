//! The agent as others see it.

use std::sync::Arc;

use gate::Gate;
use source::Source;
use tokio::sync::watch;

use crate::blocklist::BlockListStatus;
use crate::lease_keeper::LeaseWatch;
use crate::status::{Board, LeaseStatus, SocialStatus};
use crate::witness::Witness;

/// The agent as others may look at it while it runs.
#[derive(Clone)]
pub struct SocialView {
    pub(super) instance: String,
    pub(super) gate: Gate,
    pub(super) source: Arc<dyn Source>,
    pub(super) lease: LeaseWatch,
    pub(super) blocklist: Option<watch::Receiver<BlockListStatus>>,
    pub(super) board: Board,
    pub(super) witness: Witness,
}

impl SocialView {
    /// The agent at a glance.
    #[must_use]
    pub fn status(&self) -> SocialStatus {
        let standing = self.lease.standing();
        SocialStatus {
            instance: self.instance.clone(),
            gate: self.gate.status(),
            lease: LeaseStatus {
                held: self.lease.term().is_some(),
                holder: standing.holder,
                term: standing.term,
                trouble: standing.trouble,
            },
            orders: self.witness.status(),
            feeds: self.board.feeds(),
            lanes: self.board.lanes(),
            requests: self.board.of_requests(),
            blocklist: self.blocklist.as_ref().map(|status| status.borrow().clone()),
            driver: self.source.counted(),
        }
    }
}
