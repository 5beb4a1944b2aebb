//! Completes requests: outcomes, finished publications and failed attempts.

use std::sync::Arc;

use jiff::Timestamp;
use requests::queue::RequestKey;
use schemas::digest::Digest;
use schemas::reply::Outcome;
use tokio::time::Instant;

use super::super::answer::{Answer, RequestRef, with_evidence};
use super::super::reply_publisher::PublishOutcome;
use super::{Finished, MAX_PUBLISHING_TASKS, RequestWorker};
use crate::retry;

impl RequestWorker {
    /// Gives a request its final outcome without reading further.
    pub(super) fn finish(&mut self, key: &RequestKey, outcome: Outcome, definition: Option<Digest>) {
        let Some(request_ref) = self.request_ref(key, definition) else {
            return;
        };
        let answer = self.answers.remove(key);
        self.remove_request(key);
        if let Some(state) = self.index.state_mut(key) {
            state.closed = true;
        }
        let mut reply = request_ref.reply(outcome, &self.signer(key), Timestamp::now());
        if let Some(answer) = answer {
            // The source was read, so the reply carries the load evidence.
            reply = with_evidence(reply, &answer);
        }
        self.pending_outcomes.push_back((request_ref, reply));
    }

    pub(super) fn request_ref(&self, key: &RequestKey, definition: Option<Digest>) -> Option<RequestRef> {
        let entry = self.index.get(key)?;
        Some(RequestRef {
            key: key.clone(),
            request: entry.digest,
            deadline: entry.request.as_ref().ok().and_then(|request| request.deadline),
            definition,
        })
    }

    /// Starts publishing outcomes, up to the maximum number of tasks.
    pub(super) fn dispatch(&mut self) {
        while self.publishing_tasks.len() < MAX_PUBLISHING_TASKS
            && let Some((request_ref, reply)) = self.pending_outcomes.pop_front()
        {
            let (publisher, signer) = (Arc::clone(&self.publisher), self.signer(&request_ref.key));
            self.publishing_tasks.spawn(async move {
                let outcome = publisher.publish_reply(&request_ref, reply, &signer).await;
                Finished {
                    key: request_ref.key,
                    answer: None,
                    outcome,
                }
            });
        }
    }

    /// Starts publishing the closed blocks of an answer.
    pub(super) fn publish_answer(&mut self, mut answer: Answer) {
        let key = answer.request_ref.key.clone();
        self.queue.remove(&key);
        if let Some(state) = self.index.state_mut(&key) {
            state.publishing = true;
        }
        let (publisher, signer) = (Arc::clone(&self.publisher), self.signer(&key));
        self.publishing_tasks.spawn(async move {
            let outcome = publisher.publish_answer(&mut answer, &signer).await;
            Finished {
                key,
                answer: Some(Box::new(answer)),
                outcome,
            }
        });
    }

    /// Handles a finished publication.
    pub(super) fn complete(&mut self, done: Finished) {
        let Finished { key, answer, outcome } = done;
        if let Some(state) = self.index.state_mut(&key) {
            state.publishing = false;
        }
        match outcome {
            PublishOutcome::More => {
                if let Some(answer) = answer {
                    self.answers.insert(key.clone(), *answer);
                }
                self.reschedule(&key);
            }
            PublishOutcome::Done(outcome) => {
                self.record_outcome(&key, &outcome, answer.as_deref());
            }
            PublishOutcome::Superseded => {
                self.clear_error(|errors| {
                    errors.attempts.remove(&key);
                });
                self.in_flight.remove(&key);
                if let Some(state) = self.index.state_mut(&key) {
                    state.closed = true;
                }
                self.update_status(|status| status.lost += 1);
            }
            PublishOutcome::AttemptTaken => {
                self.fail(&key, "another responder wrote into the same attempt".to_owned())
            }
            PublishOutcome::Failed(why) => self.fail(&key, why),
            // The term ends, and with it this worker.
            PublishOutcome::LeaseLost => {}
        }
        self.update_counts();
    }

    fn record_outcome(&mut self, key: &RequestKey, outcome: &Outcome, answer: Option<&Answer>) {
        self.clear_error(|errors| {
            errors.attempts.remove(key);
        });
        self.in_flight.remove(key);
        let at = self.now().unwrap_or_else(Timestamp::now);
        self.index.record_own_outcome(key, at, outcome);
        if let Some(state) = self.index.state_mut(key) {
            state.closed = true;
        }
        let parts = answer.map_or(0, |answer| answer.stored.len() as u64);
        let withheld = answer.map_or(0, Answer::withheld);
        tracing::info!(
            recipient = %key.recipient, id = %key.id, outcome = outcome.name(), rows = outcome.rows(), parts, withheld,
            "request completed"
        );
        self.update_status(|status| {
            *status.outcomes.entry(outcome.name().to_owned()).or_default() += 1;
            status.rows += outcome.rows();
            status.withheld += withheld;
            status.parts += parts;
        });
    }

    /// Handles a failed attempt: retries it after a back-off, or gives up.
    pub(super) fn fail(&mut self, key: &RequestKey, why: String) {
        tracing::warn!(recipient = %key.recipient, id = %key.id, error = why, "answer attempt failed");
        self.update_status(|status| status.failures += 1);
        self.errors.attempts.insert(key.clone(), why);
        self.show_errors();
        self.answers.remove(key);
        self.in_flight.remove(key);
        let Some(state) = self.index.state_mut(key) else {
            return;
        };
        state.failures = state.failures.saturating_add(1);
        (state.publishing, state.closed) = (false, false);
        let is_last_attempt = state.failures == self.parts.answering.options.retries.saturating_add(1);
        let wait = retry::after(state.failures);
        if is_last_attempt {
            // No attempts are left, so the outcome does not wait.
            self.reschedule(key);
        } else {
            self.back_off(key, Instant::now() + wait);
        }
    }

    pub(super) fn back_off(&mut self, key: &RequestKey, until: Instant) {
        self.queue.remove(key);
        if let Some(state) = self.index.state_mut(key) {
            state.retry_at = Some(until);
        }
        self.backoffs.insert((until, key.clone()));
    }
}
