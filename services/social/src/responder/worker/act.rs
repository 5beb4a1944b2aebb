//! Applies events to requests and performs the actions.

use std::collections::VecDeque;
use std::sync::Arc;

use requests::queue::RequestKey;
use schemas::digest::Digest;

use super::super::answer::RequestRef;
use super::super::request_step::{Action, Event};
use super::super::rule_set::Decision;
use super::RequestWorker;

impl RequestWorker {
    /// Applies an event to a request, and the events that follow at once.
    pub(super) fn apply(&mut self, key: &RequestKey, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let moment = self.moment();
            for action in self.table.apply(key, event, moment) {
                events.extend(self.act(key, action));
            }
        }
        // What the step did not use: a permit is returned.
        (self.permit, self.unconfirmed) = (None, None);
    }

    /// Evaluates the rules for a request, and applies the decision.
    pub(super) fn decide_again(&mut self, key: &RequestKey) {
        if let Some(decision) = self.decide(key) {
            self.apply(key, Event::Decided(decision));
        }
    }

    /// Decides about a request under the current rules; `None` while it takes no decision or the exchange's time is unknown.
    pub(super) fn decide(&self, key: &RequestKey) -> Option<Decision> {
        let now = self.now()?;
        let cost = self.costs.estimate(self.kind_of(key).unwrap_or(""));
        self.table.decide(key, &self.rules, now, cost)
    }

    /// Performs an action. Returns the event that follows at once, if any.
    fn act(&mut self, key: &RequestKey, action: Action) -> Option<Event> {
        match action {
            Action::Decide => return self.decide(key).map(Event::Decided),
            Action::Read(allowed) => return self.read(key, allowed),
            Action::Publish(message) => return self.publish(key, message),
            Action::Retry(tries) => self.publish_again(tries),
            Action::Pause => {
                if let Some(answer) = self.answers.get_mut(key) {
                    answer.query = None;
                    if let Some(batch) = &mut answer.batch {
                        batch.batcher.discard_open();
                    }
                }
            }
            Action::DropBlock => {
                if let Some(answer) = self.answers.get_mut(key) {
                    answer.closed.pop_front();
                }
            }
            Action::Fail(why) => self.report_failed_attempt(key, why),
            Action::Drop => {
                self.answers.remove(key);
                self.clear_error(|errors| {
                    errors.attempts.remove(key);
                });
            }
        }
        None
    }

    fn report_failed_attempt(&mut self, key: &RequestKey, why: String) {
        tracing::warn!(recipient = %key.recipient, id = %key.id, error = why, "answer attempt failed");
        self.answers.remove(key);
        self.errors.attempts.insert(key.clone(), why);
        self.show_errors();
        self.update_status(|status| status.failures += 1);
    }

    /// Returns the name of a request's kind, if it is configured.
    pub(super) fn kind_of(&self, key: &RequestKey) -> Option<&str> {
        let request = self.table.index.get(key)?.request.as_ref().ok()?;
        self.rules
            .kinds
            .get(&request.kind)
            .map(requests::kind::Kind::name)
    }

    pub(super) fn request_ref(&self, key: &RequestKey, definition: Option<Digest>) -> Option<RequestRef> {
        let entry = self.table.index.get(key)?;
        Some(RequestRef {
            key: key.clone(),
            request: entry.digest,
            deadline: entry.request.as_ref().ok().and_then(|request| request.deadline),
            definition,
        })
    }

    /// Drops everything, because the streams were rewritten.
    pub(super) fn reset(&mut self) {
        self.table = super::new_table(&self.parts);
        self.follower = super::StreamFollower::default();
        self.answers.clear();
        // Dropping a set ends its tasks.
        self.reading_tasks = tokio::task::JoinSet::new();
        self.publishing_tasks = tokio::task::JoinSet::new();
        self.publishing_slots = Arc::new(super::Semaphore::new(super::MAX_PUBLISHING_TASKS));
    }
}
