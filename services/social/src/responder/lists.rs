//! The rules as they are at one moment: kinds, block list, holds. What is judged by them is judged by all of one
//! state, which has a number ([`Lists::version`]): rows that were screened by another one are read again.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use requests::admission::{RowLimit, Rules};
use requests::argument::Bound;
use requests::blocklist::{BlockList, Blocked, NoAnswer};
use requests::kind::Kinds;
use requests::queue::{Entry as Queued, Key};
use requests::quota::{History, Quota};
use schemas::control::{Action, AnyAction, Order, hold_of};
use schemas::digest::Digest;
use schemas::person::PersonKey;
use schemas::progress::Waiting;
use schemas::reply::Outcome;

use super::answering::AnswerOptions;
use super::book::Entry;
use super::plan::{self, Next};
use crate::hold::Holds;

/// One state of the rules.
#[derive(Debug)]
pub struct Lists {
    /// What may be asked.
    pub kinds: Arc<Kinds>,
    list: Arc<BlockList>,
    holds: Holds,
    orders: Option<Vec<Order>>,
    persons: Arc<PersonKey>,
    /// Counted up with every change.
    pub version: u64,
}

/// What is to be done for a request, without the rules that said so.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// See [`Next::Reply`].
    Reply(Outcome, Option<Digest>),
    /// See [`Next::Wait`].
    Wait(Waiting),
    /// See [`Next::Answer`].
    Answer(Box<Allowed>),
    /// See [`Next::RunOut`].
    RunOut,
}

/// How a request may be answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Allowed {
    /// A value for each of `$1..$n`.
    pub bound: Vec<Bound>,
    /// Rows, at most, and what says so.
    pub most_rows: (u64, RowLimit),
    /// The digest of the kind's definition.
    pub definition: Digest,
    /// Persons whose rows a hold keeps out.
    pub held_persons: BTreeMap<Digest, String>,
    /// Its place in the queue.
    pub queued: Queued,
}

impl Lists {
    /// The rules now.
    #[must_use]
    pub fn new(
        kinds: Arc<Kinds>,
        list: Arc<BlockList>,
        holds: &Holds,
        persons: Arc<PersonKey>,
        version: u64,
    ) -> Self {
        Self {
            kinds,
            list,
            holds: holds.clone(),
            orders: orders(holds),
            persons,
            version,
        }
    }

    /// Whether they were made of these lists.
    #[must_use]
    pub fn is_of(&self, list: &Arc<BlockList>, holds: &Holds) -> bool {
        Arc::ptr_eq(&self.list, list) && self.holds == *holds
    }

    /// The block list, with the key that can ask it.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub fn blocked(&self) -> Result<Blocked<'_>, NoAnswer> {
        self.list.under(&self.persons)
    }

    /// Decides about a request; `cost_ms` is what its answer will probably cost.
    #[must_use]
    pub fn decide(
        &self,
        (key, entry): (&Key, &Entry),
        quota: Option<(&Quota, &History)>,
        options: &AnswerOptions,
        now: Timestamp,
        cost_ms: u64,
    ) -> Decision {
        let blocked = match self.blocked() {
            Ok(blocked) => blocked,
            // Nobody can tell whom it means, so nothing is answered.
            Err(_) if entry.cancelled => return Decision::Reply(Outcome::Cancelled, None),
            Err(_) if is_over(entry, now) => return Decision::Reply(Outcome::Expired, None),
            Err(_) => {
                let reason = "the bureau's block list cannot be asked now".to_owned();
                return Decision::Wait(Waiting::Held { reason });
            }
        };
        let rules = Rules {
            kinds: &self.kinds,
            blocked,
            orders: self.orders.as_deref(),
            quota,
            retention_days: options.retention_days,
            now,
        };
        match plan::next(key, entry, &rules, options) {
            Next::Reply(outcome, definition) => Decision::Reply(outcome, definition),
            Next::Wait(waiting) => Decision::Wait(waiting),
            Next::RunOut => Decision::RunOut,
            Next::Answer(admitted) => Decision::Answer(Box::new(Allowed {
                most_rows: (admitted.most_rows, admitted.limited_by),
                definition: admitted.definition,
                queued: plan::queued(key, entry, &admitted, cost_ms),
                held_persons: admitted.held_persons,
                bound: admitted.bound,
            })),
        }
    }
}

fn is_over(entry: &Entry, now: Timestamp) -> bool {
    let deadline = entry.request.as_ref().ok().and_then(|request| request.deadline);
    deadline.is_some_and(|deadline| deadline <= now)
}

/// The holds as orders; none: they were never read.
fn orders(holds: &Holds) -> Option<Vec<Order>> {
    let Holds::Known(known) = holds else { return None };
    let order = |one: &crate::hold::InForce| Order {
        id: one.id.clone(),
        scope: hold_of(&one.id),
        action: AnyAction::Known(Action::Hold(one.hold.clone())),
        actor: one.actor.clone(),
        reason: one.reason.clone(),
        given_at: Timestamp::UNIX_EPOCH,
        expires: one.until,
    };
    Some(known.iter().map(order).collect())
}
