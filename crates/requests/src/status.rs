//! PURE: how a request stands, from what the streams hold and from nothing else.
//!
//! Whoever lost every local file reads the same. Each step has its time and whose clock it is: clocks of several
//! parties are never compared, so the state is the last step of a request's life and not the one with the latest
//! time. What is about another request of the same id is left out, and told as a doubt.

mod step;

use jiff::Timestamp;
use schemas::confirm::Confirm;
use schemas::digest::Digest;
use schemas::progress::Progress;
use schemas::reply::Reply;
use schemas::request::{Cancel, Request};
use serde::Serialize;

pub use step::{Clock, State, Step};

/// A verified message, with its place in the streams.
#[derive(Debug)]
pub struct Stored<'a, T> {
    /// What it says.
    pub said: &'a T,
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

/// What is known of one request. All of it may be missing; then there is no status.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known<'a> {
    /// When somebody handed it in here, for a request that the exchange does not hold yet.
    pub filed_at: Option<Timestamp>,
    /// The request.
    pub request: Option<Stored<'a, Request>>,
    /// The wish to cancel it.
    pub cancel: Option<Stored<'a, Cancel>>,
    /// What the bureau told last.
    pub progress: Option<Stored<'a, Progress>>,
    /// Its outcome.
    pub reply: Option<Stored<'a, Reply>>,
    /// That the insurer stored the outcome.
    pub confirm: Option<Stored<'a, Confirm>>,
}

/// How a request stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Every step that is known, in the order of its life; the last one is how it stands. Never empty.
    pub steps: Vec<Step>,
    /// Its place in the queue; 1 is the next.
    pub place: Option<u64>,
    /// When its answer may be expected.
    pub forecast: Option<Timestamp>,
    /// When somebody asked to cancel it, by the exchange's clock.
    pub cancel_asked: Option<Timestamp>,
    /// That its deadline has passed without an outcome: it will be told as expired, and not answered.
    pub overdue: bool,
    /// Rows that its answer leaves out, of persons about whom nothing is sent.
    pub withheld: u64,
    /// Messages of its subjects that do not belong to it.
    pub doubts: Vec<Doubt>,
}

/// A message that contradicts the request or the reply that it is filed under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// The cancel names another request's digest.
    Cancel,
    /// The progress does.
    Progress,
    /// The reply does: it is the outcome for ever, and no answer to this request.
    Reply,
    /// The insurer confirms another reply.
    Confirm,
}

impl Status {
    /// How it stands.
    #[must_use]
    pub fn now(&self) -> Option<&Step> {
        self.steps.last()
    }

    /// Its final outcome, with the time; none while it waits.
    #[must_use]
    pub fn outcome(&self) -> Option<&Step> {
        self.steps.iter().find(|step| step.state.is_outcome())
    }
}

/// The status by what is known; none where nothing is.
#[must_use]
pub fn of(known: &Known<'_>, now: Timestamp) -> Option<Status> {
    let mut doubts = Vec::new();
    let known = consistent(known, &mut doubts);
    let steps = step::all(&known);
    if steps.is_empty() {
        return None;
    }
    let waits = known.reply.is_none();
    let progress = known.progress.filter(|_| waits);
    let deadline = known.request.and_then(|request| request.said.deadline);
    Some(Status {
        steps,
        place: progress.and_then(|progress| progress.said.place),
        forecast: progress.and_then(|progress| progress.said.forecast),
        cancel_asked: known.cancel.map(|cancel| cancel.stored_at),
        overdue: waits && deadline.is_some_and(|deadline| deadline <= now),
        withheld: known.reply.map_or(0, |reply| reply.said.withheld),
        doubts,
    })
}

/// Without what does not belong together. Where the request itself is not known, nothing can be doubted.
fn consistent<'a>(known: &Known<'a>, doubts: &mut Vec<Doubt>) -> Known<'a> {
    let request = known.request.map(|request| request.digest);
    let mut keep = |named: Option<Digest>, real: Option<Digest>, doubt| {
        let holds = named.is_none() || real.is_none() || named == real;
        if !holds {
            doubts.push(doubt);
        }
        holds
    };
    let cancel = keep(known.cancel.map(|said| said.said.request), request, Doubt::Cancel);
    let progress = keep(
        known.progress.map(|said| said.said.request),
        request,
        Doubt::Progress,
    );
    let reply = keep(known.reply.map(|said| said.said.request), request, Doubt::Reply);
    let digest = known.reply.map(|reply| reply.digest);
    let confirm = keep(known.confirm.map(|said| said.said.reply), digest, Doubt::Confirm);
    Known {
        cancel: known.cancel.filter(|_| cancel),
        progress: known.progress.filter(|_| progress),
        reply: known.reply.filter(|_| reply),
        confirm: known.confirm.filter(|_| confirm && reply),
        ..*known
    }
}

#[cfg(test)]
mod tests;
