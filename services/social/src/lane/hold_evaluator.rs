//! Evaluates holds and the block list for a lane while it works.

use std::sync::Arc;

use schemas::name::Lane;
use schemas::person::PersonKey;
use tokio::sync::watch;

use super::LaneWorker;
use crate::blocklist::ListWatch;
use crate::hold::HoldWatch;
use disclosure::hold::{self, HoldEffect};

impl LaneWorker {
    pub(super) fn hold_evaluator(&self) -> HoldEvaluator {
        HoldEvaluator {
            lane: self.parts.lane.clone(),
            person: self.parts.person.clone(),
            key: self.parts.person_key.clone(),
            listed: self.parts.listed.clone(),
        }
    }
}

/// The inputs for evaluating holds, except the holds themselves.
pub(super) struct HoldEvaluator {
    lane: Lane,
    person: Option<String>,
    key: Option<Arc<PersonKey>>,
    listed: Option<ListWatch>,
}

impl HoldEvaluator {
    pub(super) fn evaluate(&self, holds: &HoldWatch) -> HoldEffect {
        let (person, key) = (self.person.as_deref(), self.key.as_ref());
        let hold = hold::evaluate(&holds.borrow(), &self.lane, person, key);
        match &self.listed {
            Some(listed) => hold::with_block_list(hold, &listed.borrow(), person, key),
            None => hold,
        }
    }
}

/// Waits until the effect of holds or the block list on a lane differs from `hold`.
pub(super) async fn hold_changed(hold: &HoldEffect, hold_evaluator: &HoldEvaluator, holds: &mut HoldWatch) {
    let mut listed = hold_evaluator.listed.clone();
    loop {
        holds.mark_unchanged();
        if let Some(listed) = &mut listed {
            listed.mark_unchanged();
        }
        if hold_evaluator.evaluate(holds) != *hold {
            return;
        }
        tokio::select! {
            () = changed(Some(holds)) => {}
            () = changed(listed.as_mut()) => {}
        }
    }
}

/// Waits for a change; never returns if there is no watch or its sender has ended.
async fn changed<T>(watch: Option<&mut watch::Receiver<T>>) {
    let changed = match watch {
        Some(watch) => watch.changed().await.is_ok(),
        None => false,
    };
    if !changed {
        std::future::pending().await
    }
}
