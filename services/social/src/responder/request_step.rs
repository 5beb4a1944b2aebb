//! PURE: the responder's decisions for one request.
//!
//! A request begins, and begins again with each term of the lease, with what the streams hold. The executor performs each
//! [`Action`] and returns an [`Event`]; the simulation uses this function too.
//!
//! - **One message at a time.** The next part follows the acknowledgement of the one before it, and the reply follows that of the
//!   last part. So a reply names only parts that are stored.
//! - **One outcome.** A subject holds one message permanently. If it holds this process's own bytes, an acknowledgement was lost.
//!   Other bytes at the reply's subject are the outcome.
//! - **One writer for each attempt.** If the first part of an attempt has other bytes, the attempt is another process's and the next
//!   number is used. Other bytes at a later part make the attempt void.
//! - **Rules before data.** A quantum is read only with a decision that was made together with its permit.

use std::time::Duration;

use jiff::Timestamp;
use schemas::digest::Digest;
use schemas::progress::Waiting;
use schemas::reply::Outcome;
use tokio::time::Instant;

use super::answer_config::AnswerOptions;
use super::plan;
use super::request_state::{Attempt, Message, PartTotals, Processing, Publication, ReadEnd, RequestState};
use super::rule_set::{Allowed, Decision};
use crate::retry;

/// How long a request waits for quota that running answers may leave.
const QUOTA_RETRY: Duration = Duration::from_secs(1);

/// An event at a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The rules were evaluated.
    Decided(Decision),
    /// A permit for its next quantum was granted, and the rules were evaluated after that.
    Permitted(Decision),
    /// Running answers have used the rest of the recipient's daily rows.
    QuotaUsed,
    /// A quantum was read.
    QuantumRead(QuantumEnd),
    /// The source, signing or the exchange made the attempt impossible, for this reason.
    AttemptFailed(String),
    /// The part in flight is stored.
    PartStored {
        /// The digest of its published bytes.
        digest: Digest,
        /// Its totals.
        totals: PartTotals,
    },
    /// The reply in flight is stored.
    ReplyStored,
    /// The subject of the message in flight holds other bytes.
    Exists,
    /// The message in flight was not acknowledged. It may be stored.
    Unconfirmed,
    /// The time of its back-off has come.
    BackoffEnded,
}

/// The end of a quantum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuantumEnd {
    /// Blocks that were closed.
    pub blocks: usize,
    /// Rows of the attempt so far, stored or not.
    pub rows: u64,
    /// How reading ended, if it has.
    pub ended: Option<ReadEnd>,
    /// How long nothing more is read for it.
    pub wait: Option<Duration>,
}

/// An action of the executor.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Evaluate the rules, and return [`Event::Decided`].
    Decide,
    /// Read one quantum with the permit, as the rules allow.
    Read(Box<Allowed>),
    /// Close its query and drop the rows of the open block, which are read again.
    Pause,
    /// Sign this message and store it.
    Publish(Message),
    /// Store the bytes of the message in flight again, after the back-off for so many tries.
    Retry(u32),
    /// Drop the first closed block: it is stored.
    DropBlock,
    /// Report why the attempt failed, and drop everything that was read in it.
    Fail(String),
    /// Drop everything that was read for it: it has its outcome.
    Drop,
}

/// What a step depends on besides request and event.
#[derive(Debug, Clone, Copy)]
pub struct StepContext<'a> {
    /// Now, by the local monotonic clock.
    pub now: Instant,
    /// Now, by the exchange's clock, if it is known.
    pub exchange_now: Option<Timestamp>,
    /// The request's deadline.
    pub deadline: Option<Timestamp>,
    /// A random number from 0 to 1, for the jitter of back-offs.
    pub jitter: f64,
    /// The options.
    pub options: &'a AnswerOptions,
}

/// Applies an event to a request.
#[must_use]
pub fn step(request: Processing, event: Event, context: &StepContext<'_>) -> (Processing, Vec<Action>) {
    let mut next = request;
    let state = std::mem::take(&mut next.state);
    let actions = match (state, event) {
        (state, Event::Decided(decision)) if state.takes_decision() => next.decide(state, decision, context),
        (RequestState::Queued(_), Event::Permitted(Decision::Answer(allowed))) => next.read(allowed),
        (state, Event::Permitted(decision)) if state.takes_decision() => {
            next.decide(state, decision, context)
        }
        (RequestState::Queued(_), Event::QuotaUsed) => next.back_off(context.now + QUOTA_RETRY),
        (RequestState::Reading, Event::QuantumRead(end)) => next.quantum_read(end, context),
        (RequestState::Reading | RequestState::Publishing(_), Event::AttemptFailed(why)) => {
            next.fail(why, context)
        }
        (RequestState::Publishing(publication), Event::PartStored { digest, totals }) => {
            next.part_stored(publication, digest, totals, context)
        }
        (RequestState::Publishing(publication), Event::ReplyStored)
            if matches!(publication.message, Message::Reply { .. }) =>
        {
            next.close()
        }
        (RequestState::Publishing(publication), Event::Exists) => next.message_exists(&publication, context),
        (RequestState::Publishing(publication), Event::Unconfirmed) => {
            next.message_unconfirmed(publication, context)
        }
        (RequestState::Backoff { .. }, Event::BackoffEnded) => vec![Action::Decide],
        // The result of work that was dropped is ignored.
        (state, _) => {
            next.state = state;
            Vec::new()
        }
    };
    (next, actions)
}

impl Processing {
    fn decide(&mut self, state: RequestState, decision: Decision, context: &StepContext<'_>) -> Vec<Action> {
        let is_backing_off = matches!(state, RequestState::Backoff { .. });
        match decision {
            // An outcome that could not be stored backs off like any attempt.
            Decision::Reply(..) if is_backing_off => {
                self.state = state;
                Vec::new()
            }
            Decision::Reply(outcome, definition) => self.reply(outcome, definition, context),
            Decision::Wait(waiting) => self.wait(&state, waiting),
            // It waits for its deadline.
            Decision::RunOut => self.wait(&state, Waiting::Taken),
            Decision::Answer(allowed) => {
                self.state = match state {
                    RequestState::Waiting => RequestState::Queued(Box::new(allowed.queued)),
                    state => state,
                };
                let waiting = self.attempt.as_ref().map_or(Waiting::Taken, Attempt::progress);
                self.progress.waiting = Some(waiting);
                Vec::new()
            }
        }
    }

    fn wait(&mut self, state: &RequestState, waiting: Waiting) -> Vec<Action> {
        self.progress.waiting = Some(waiting);
        self.state = match state {
            RequestState::Backoff { until } => RequestState::Backoff { until: *until },
            _ => RequestState::Waiting,
        };
        match self.attempt {
            Some(_) => vec![Action::Pause],
            None => Vec::new(),
        }
    }

    fn read(&mut self, allowed: Box<Allowed>) -> Vec<Action> {
        self.state = RequestState::Reading;
        if self.attempt.is_none() {
            // The first part shows whether the attempt is another process's.
            self.attempt = Some(Attempt::new(1, allowed.definition));
        }
        vec![Action::Read(allowed)]
    }

    fn quantum_read(&mut self, end: QuantumEnd, context: &StepContext<'_>) -> Vec<Action> {
        if let Some(attempt) = &mut self.attempt {
            attempt.blocks += end.blocks;
            attempt.rows = end.rows;
            attempt.ended = end.ended;
        }
        self.publish_next(end.wait.map(|wait| context.now + wait), context)
    }

    /// Publishes the next part or the reply. If there is neither, the rules decide when to read on.
    fn publish_next(&mut self, resume_at: Option<Instant>, context: &StepContext<'_>) -> Vec<Action> {
        let Some(attempt) = &self.attempt else {
            return vec![Action::Decide];
        };
        if attempt.blocks > 0 {
            let message = Message::Part {
                attempt: attempt.number,
                number: attempt.next_number(),
            };
            return self.publish(message, resume_at);
        }
        if let Some(outcome) = attempt.outcome() {
            let definition = attempt.definition;
            return self.reply(outcome, Some(definition), context);
        }
        match resume_at.filter(|resume_at| *resume_at > context.now) {
            Some(resume_at) => {
                // It also decides now, because the rules may have changed meanwhile.
                let mut actions = self.back_off(resume_at);
                actions.push(Action::Decide);
                actions
            }
            None => vec![Action::Decide],
        }
    }

    fn publish(&mut self, message: Message, resume_at: Option<Instant>) -> Vec<Action> {
        self.state = RequestState::Publishing(Publication {
            message: message.clone(),
            tries: 0,
            resume_at,
        });
        vec![Action::Publish(message)]
    }

    /// Publishes the outcome. An answer is never late: its parts are disclosed, but the outcome is that it expired.
    fn reply(
        &mut self,
        outcome: Outcome,
        definition: Option<Digest>,
        context: &StepContext<'_>,
    ) -> Vec<Action> {
        let is_late = is_answer(&outcome)
            && context
                .exchange_now
                .is_some_and(|now| plan::runs_out(context.deadline, now, context.options));
        let outcome = if is_late { Outcome::Expired } else { outcome };
        let attempt = self.attempt.as_ref().map(|attempt| attempt.number);
        let message = Message::Reply {
            attempt: attempt.filter(|_| !outcome.parts().is_empty()),
            outcome,
            definition,
            not_before: context.deadline.filter(|_| is_late),
        };
        self.publish(message, None)
    }

    fn part_stored(
        &mut self,
        publication: Publication,
        digest: Digest,
        totals: PartTotals,
        context: &StepContext<'_>,
    ) -> Vec<Action> {
        let Some(attempt) = self.attempt.as_mut().filter(|attempt| attempt.blocks > 0) else {
            self.state = RequestState::Publishing(publication);
            return Vec::new();
        };
        attempt.blocks -= 1;
        attempt.stored.push(digest);
        attempt.totals.rows += totals.rows;
        attempt.totals.withheld += totals.withheld;
        attempt.totals.rejects += totals.rejects;
        let mut actions = vec![Action::DropBlock];
        actions.extend(self.publish_next(publication.resume_at, context));
        actions
    }

    fn message_exists(&mut self, publication: &Publication, context: &StepContext<'_>) -> Vec<Action> {
        match publication.message {
            Message::Reply { .. } => self.close(),
            Message::Part {
                attempt: taken,
                number: 1,
            } => {
                if let Some(attempt) = &mut self.attempt {
                    attempt.number = taken.saturating_add(1);
                }
                self.publish_next(publication.resume_at, context)
            }
            Message::Part { .. } => self.fail(
                "another responder wrote into the same attempt".to_owned(),
                context,
            ),
        }
    }

    fn message_unconfirmed(
        &mut self,
        mut publication: Publication,
        context: &StepContext<'_>,
    ) -> Vec<Action> {
        // Its deadline may have come meanwhile.
        if let Message::Reply {
            outcome, definition, ..
        } = &publication.message
            && is_answer(outcome)
            && let Some(now) = context.exchange_now
            && plan::runs_out(context.deadline, now, context.options)
        {
            let (outcome, definition) = (outcome.clone(), *definition);
            return self.reply(outcome, definition, context);
        }
        publication.tries = publication.tries.saturating_add(1);
        let tries = publication.tries;
        self.state = RequestState::Publishing(publication);
        vec![Action::Retry(tries)]
    }

    fn fail(&mut self, why: String, context: &StepContext<'_>) -> Vec<Action> {
        self.attempt = None;
        self.failures = self.failures.saturating_add(1);
        let mut actions = vec![Action::Fail(why)];
        if self.failures == context.options.retries.saturating_add(1) {
            // No attempts are left, so the outcome does not wait.
            actions.push(Action::Decide);
        } else {
            let wait = retry::with_jitter(self.failures, context.jitter);
            self.back_off(context.now + wait);
        }
        actions
    }

    fn back_off(&mut self, until: Instant) -> Vec<Action> {
        self.state = RequestState::Backoff { until };
        Vec::new()
    }

    fn close(&mut self) -> Vec<Action> {
        self.state = RequestState::Closed;
        self.attempt = None;
        vec![Action::Drop]
    }
}

/// Returns whether an outcome states what the source holds, so that it must be stored before the deadline.
#[must_use]
pub fn is_answer(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Answered { .. } | Outcome::Partial { .. } | Outcome::Empty
    )
}

#[cfg(test)]
mod tests;
