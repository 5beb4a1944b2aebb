//! PURE: the state of a request, from the messages of the streams alone.
//!
//! An agent that lost its local files computes the same. Each step has its time and the clock that it is by. Clocks of several
//! parties are never compared, so the state is the last step of a request's life, not the one with the latest time. Messages about
//! another request of the same id are excluded and reported as inconsistencies.

mod step;

use jiff::Timestamp;
use schemas::confirm::Confirm;
use schemas::digest::Digest;
use schemas::progress::Progress;
use schemas::reply::Reply;
use schemas::request::{Cancel, Request};
use serde::Serialize;

pub use step::{Clock, State, Step};

/// A verified message, with its digest and time of storage.
#[derive(Debug)]
pub struct Stored<'a, T> {
    /// The message.
    pub message: &'a T,
    /// The digest of its published bytes.
    pub digest: Digest,
    /// When the exchange stored it.
    pub stored_at: Timestamp,
}

impl<T> Clone for Stored<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Stored<'_, T> {}

/// The messages of one request. Without any there is no status.
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestMessages<'a> {
    /// When it was filed locally, if the exchange does not hold it yet.
    pub filed_at: Option<Timestamp>,
    /// The request.
    pub request: Option<Stored<'a, Request>>,
    /// Its cancellation.
    pub cancel: Option<Stored<'a, Cancel>>,
    /// The bureau's latest progress.
    pub progress: Option<Stored<'a, Progress>>,
    /// Its outcome.
    pub reply: Option<Stored<'a, Reply>>,
    /// The insurer's confirmation that the outcome is stored.
    pub confirm: Option<Stored<'a, Confirm>>,
}

/// The state of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// All steps, in the order of a request's life. The last one is the current state. Never empty.
    pub steps: Vec<Step>,
    /// Its position in the queue. 1 is the next.
    pub place: Option<u64>,
    /// When its answer is expected.
    pub forecast: Option<Timestamp>,
    /// When its cancellation was stored, by the exchange's clock.
    pub cancel_requested_at: Option<Timestamp>,
    /// Whether its deadline has passed without an outcome. It will expire and not be answered.
    pub overdue: bool,
    /// Rows withheld from its answer, of persons whose data is not sent.
    pub withheld: u64,
    /// Messages on its subjects that do not belong to it.
    pub inconsistencies: Vec<Inconsistency>,
}

/// A message that contradicts the request or the reply that it refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Inconsistency {
    /// The cancellation has another request's digest.
    Cancel,
    /// The progress has another request's digest.
    Progress,
    /// The reply has another request's digest. It is the permanent outcome, and not an answer to this request.
    Reply,
    /// The insurer confirmed another reply.
    Confirm,
}

impl Status {
    /// Returns the current state.
    #[must_use]
    pub fn now(&self) -> Option<&Step> {
        self.steps.last()
    }

    /// Returns the final outcome with its time, or `None` while it waits.
    #[must_use]
    pub fn outcome(&self) -> Option<&Step> {
        self.steps.iter().find(|step| step.state.is_outcome())
    }
}

/// Computes the status, or returns `None` without any message.
#[must_use]
pub fn compute(known: &RequestMessages<'_>, now: Timestamp) -> Option<Status> {
    let mut inconsistencies = Vec::new();
    let known = retain_consistent(known, &mut inconsistencies);
    let steps = step::all(&known);
    if steps.is_empty() {
        return None;
    }
    let waits = known.reply.is_none();
    let progress = known.progress.filter(|_| waits);
    let deadline = known.request.and_then(|request| request.message.deadline);
    Some(Status {
        steps,
        place: progress.and_then(|progress| progress.message.place),
        forecast: progress.and_then(|progress| progress.message.forecast),
        cancel_requested_at: known.cancel.map(|cancel| cancel.stored_at),
        overdue: waits && deadline.is_some_and(|deadline| deadline <= now),
        withheld: known.reply.map_or(0, |reply| reply.message.withheld),
        inconsistencies,
    })
}

/// Removes messages that do not belong together. Without the request itself every message is kept.
fn retain_consistent<'a>(
    known: &RequestMessages<'a>,
    inconsistencies: &mut Vec<Inconsistency>,
) -> RequestMessages<'a> {
    let request = known.request.map(|request| request.digest);
    let mut keep = |named: Option<Digest>, real: Option<Digest>, doubt| {
        let holds = named.is_none() || real.is_none() || named == real;
        if !holds {
            inconsistencies.push(doubt);
        }
        holds
    };
    let cancel = keep(
        known.cancel.map(|message| message.message.request),
        request,
        Inconsistency::Cancel,
    );
    let progress = keep(
        known.progress.map(|message| message.message.request),
        request,
        Inconsistency::Progress,
    );
    let reply = keep(
        known.reply.map(|message| message.message.request),
        request,
        Inconsistency::Reply,
    );
    let digest = known.reply.map(|reply| reply.digest);
    let confirm = keep(
        known.confirm.map(|message| message.message.reply),
        digest,
        Inconsistency::Confirm,
    );
    RequestMessages {
        cancel: known.cancel.filter(|_| cancel),
        progress: known.progress.filter(|_| progress),
        reply: known.reply.filter(|_| reply),
        confirm: known.confirm.filter(|_| confirm && reply),
        ..*known
    }
}

#[cfg(test)]
mod tests;
