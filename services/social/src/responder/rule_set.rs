//! A consistent set of the current rules: kinds, block list and holds. Each set has a version ([`RuleSet::version`]); rows that
//! were filtered by another version are read again.

use std::collections::BTreeMap;
use std::sync::Arc;

use disclosure::blocklist::{BlockList, BlockListError, BlockListView};
use disclosure::hold::{ActiveHold, Holds};
use jiff::Timestamp;
use requests::admission::{RowLimit, Rules};
use requests::argument::Bound;
use requests::kind::Kinds;
use requests::queue::{QueuedRequest as Queued, RequestKey};
use requests::quota::{History, Quota};
use schemas::control::{Action, AnyAction, Order, hold_scope};
use schemas::digest::Digest;
use schemas::person::PersonKey;
use schemas::progress::Waiting;
use schemas::reply::Outcome;

use super::answer_config::AnswerOptions;
use super::plan::{self, Next};
use super::request_index::PendingRequest;

/// One version of the rules.
#[derive(Debug)]
pub struct RuleSet {
    /// The kinds.
    pub kinds: Arc<Kinds>,
    list: Arc<BlockList>,
    holds: Holds,
    orders: Option<Vec<Order>>,
    persons: Arc<PersonKey>,
    /// Increases with every change.
    pub version: u64,
}

/// The decision about a request, independent of the rules' lifetime.
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
    /// The row limit, and which rule sets it.
    pub max_rows: (u64, RowLimit),
    /// The digest of the kind's definition.
    pub definition: Digest,
    /// Persons whose rows a hold withholds.
    pub held_persons: BTreeMap<Digest, String>,
    /// Its queue entry.
    pub queued: Queued,
}

impl RuleSet {
    /// Takes the current rules.
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

    /// Returns whether the set was made of these lists.
    #[must_use]
    pub fn is_based_on(&self, list: &Arc<BlockList>, holds: &Holds) -> bool {
        Arc::ptr_eq(&self.list, list) && self.holds == *holds
    }

    /// Returns the block list with the key for lookups.
    ///
    /// # Errors
    /// [`BlockListError`].
    pub fn blocked(&self) -> Result<BlockListView<'_>, BlockListError> {
        self.list.with_key(&self.persons)
    }

    /// Decides about a request; `cost_ms` is the estimated cost of its answer.
    #[must_use]
    pub fn decide(
        &self,
        (key, entry): (&RequestKey, &PendingRequest),
        quota: Option<(&Quota, &History)>,
        options: &AnswerOptions,
        now: Timestamp,
        cost_ms: u64,
    ) -> Decision {
        let blocked = match self.blocked() {
            Ok(blocked) => blocked,
            // The list cannot be checked, so nothing is answered.
            Err(_) if entry.cancelled => return Decision::Reply(Outcome::Cancelled, None),
            Err(_) if is_expired(entry, now) => return Decision::Reply(Outcome::Expired, None),
            Err(_) => {
                let reason = "the bureau's block list cannot be checked now".to_owned();
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
                max_rows: (admitted.max_rows, admitted.limited_by),
                definition: admitted.definition,
                queued: plan::queued(key, entry, &admitted, cost_ms),
                held_persons: admitted.held_persons,
                bound: admitted.bound,
            })),
        }
    }
}

fn is_expired(entry: &PendingRequest, now: Timestamp) -> bool {
    let deadline = entry.request.as_ref().ok().and_then(|request| request.deadline);
    deadline.is_some_and(|deadline| deadline <= now)
}

/// Returns the holds as orders; `None` if they were never read.
fn orders(holds: &Holds) -> Option<Vec<Order>> {
    let Holds::Known(known) = holds else { return None };
    let order = |one: &ActiveHold| Order {
        id: one.id.clone(),
        scope: hold_scope(&one.id),
        action: AnyAction::Known(Action::Hold(one.hold.clone())),
        actor: one.actor.clone(),
        reason: one.reason.clone(),
        given_at: Timestamp::UNIX_EPOCH,
        expires: one.until,
    };
    Some(known.iter().map(order).collect())
}
