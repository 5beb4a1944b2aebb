//! What holds mean for a lane, judged while it works.

use std::sync::Arc;

use schemas::name::Lane;
use schemas::person::PersonKey;

use super::LaneWorker;
use crate::hold::{self, HoldWatch, LaneHold};

impl LaneWorker {
    pub(super) fn judging(&self) -> Judging {
        Judging {
            lane: self.parts.lane.clone(),
            person: self.parts.person.clone(),
            key: self.parts.person_key.clone(),
        }
    }
}

/// What it takes to judge holds.
pub(super) struct Judging {
    lane: Lane,
    person: Option<String>,
    key: Option<Arc<PersonKey>>,
}

impl Judging {
    pub(super) fn judge(&self, holds: &HoldWatch) -> LaneHold {
        hold::judge(
            &holds.borrow(),
            &self.lane,
            self.person.as_deref(),
            self.key.as_ref(),
        )
    }
}

/// Waits until holds mean something else.
pub(super) async fn otherwise_than(hold: &LaneHold, judging: &Judging, holds: &mut HoldWatch) {
    loop {
        holds.mark_unchanged();
        if judging.judge(holds) != *hold {
            return;
        }
        // Whoever told of them has ended: what was told last stays.
        if holds.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
