//! What holds and the block list mean for a lane, judged while it works.

use std::sync::Arc;

use schemas::name::Lane;
use schemas::person::PersonKey;
use tokio::sync::watch;

use super::LaneWorker;
use crate::blocklist::ListWatch;
use crate::hold::{self, HoldWatch, LaneHold};

impl LaneWorker {
    pub(super) fn judging(&self) -> Judging {
        Judging {
            lane: self.parts.lane.clone(),
            person: self.parts.person.clone(),
            key: self.parts.person_key.clone(),
            listed: self.parts.listed.clone(),
        }
    }
}

/// What it takes to judge holds.
pub(super) struct Judging {
    lane: Lane,
    person: Option<String>,
    key: Option<Arc<PersonKey>>,
    listed: Option<ListWatch>,
}

impl Judging {
    pub(super) fn judge(&self, holds: &HoldWatch) -> LaneHold {
        let (person, key) = (self.person.as_deref(), self.key.as_ref());
        let hold = hold::judge(&holds.borrow(), &self.lane, person, key);
        match &self.listed {
            Some(listed) => hold::and_listed(hold, &listed.borrow(), person, key),
            None => hold,
        }
    }
}

/// Waits until holds, or the block list, mean something else.
pub(super) async fn otherwise_than(hold: &LaneHold, judging: &Judging, holds: &mut HoldWatch) {
    let mut listed = judging.listed.clone();
    loop {
        holds.mark_unchanged();
        if let Some(listed) = &mut listed {
            listed.mark_unchanged();
        }
        if judging.judge(holds) != *hold {
            return;
        }
        tokio::select! {
            () = changed(Some(holds)) => {}
            () = changed(listed.as_mut()) => {}
        }
    }
}

/// Whoever told of it may have ended: what was told last stays.
async fn changed<T>(watch: Option<&mut watch::Receiver<T>>) {
    let changed = match watch {
        Some(watch) => watch.changed().await.is_ok(),
        None => false,
    };
    if !changed {
        std::future::pending().await
    }
}
