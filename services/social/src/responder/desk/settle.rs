//! Outcomes: given, stored, or to be tried again.

use std::sync::Arc;

use jiff::Timestamp;
use requests::queue::Key;
use schemas::digest::Digest;
use schemas::reply::Outcome;
use tokio::time::Instant;

use super::super::answer::{About, Answer, with_evidence};
use super::super::post::Posted;
use super::{Desk, Done, MOST_POSTS};
use crate::retry;

impl Desk {
    /// Gives a request its final outcome without reading on.
    pub(super) fn finish(&mut self, key: &Key, outcome: Outcome, definition: Option<Digest>) {
        let Some(about) = self.about(key, definition) else {
            return;
        };
        let answer = self.answers.remove(key);
        self.forget(key);
        if let Some(standing) = self.book.standing(key) {
            standing.closed = true;
        }
        let mut reply = about.reply(outcome, &self.signer(key), Timestamp::now());
        if let Some(answer) = answer {
            // It was begun: under which load the source was read is told all the same.
            reply = with_evidence(reply, &answer);
        }
        self.finals.push_back((about, reply));
    }

    pub(super) fn about(&self, key: &Key, definition: Option<Digest>) -> Option<About> {
        let entry = self.book.get(key)?;
        Some(About {
            key: key.clone(),
            request: entry.digest,
            deadline: entry.request.as_ref().ok().and_then(|request| request.deadline),
            definition,
        })
    }

    /// Outcomes on their way, as many as there is room for.
    pub(super) fn dispatch(&mut self) {
        while self.posts.len() < MOST_POSTS
            && let Some((about, reply)) = self.finals.pop_front()
        {
            let (post, signer) = (Arc::clone(&self.post), self.signer(&about.key));
            self.posts.spawn(async move {
                let posted = post.reply(&about, reply, &signer).await;
                Done {
                    key: about.key,
                    answer: None,
                    posted,
                }
            });
        }
    }

    /// Stores what an answer has closed.
    pub(super) fn hand_over(&mut self, mut answer: Answer) {
        let key = answer.about.key.clone();
        self.queue.remove(&key);
        if let Some(standing) = self.book.standing(&key) {
            standing.posting = true;
        }
        let (post, signer) = (Arc::clone(&self.post), self.signer(&key));
        self.posts.spawn(async move {
            let posted = post.answer(&mut answer, &signer).await;
            Done {
                key,
                answer: Some(Box::new(answer)),
                posted,
            }
        });
    }

    /// What a posting came to.
    pub(super) fn settle(&mut self, done: Done) {
        let Done { key, answer, posted } = done;
        if let Some(standing) = self.book.standing(&key) {
            standing.posting = false;
        }
        match posted {
            Posted::More => {
                if let Some(answer) = answer {
                    self.answers.insert(key.clone(), *answer);
                }
                self.judge(&key);
            }
            Posted::Done(outcome) => {
                self.closed(&key, &outcome, answer.as_deref());
            }
            Posted::Lost => {
                self.well(|troubles| {
                    troubles.attempts.remove(&key);
                });
                self.in_flight.remove(&key);
                if let Some(standing) = self.book.standing(&key) {
                    standing.closed = true;
                }
                self.show(|status| status.lost += 1);
            }
            Posted::Taken => self.fail(&key, "another responder wrote into the same attempt".to_owned()),
            Posted::Failed(why) => self.fail(&key, why),
            // All of it is over in a moment.
            Posted::LeaseLost => {}
        }
        self.count();
    }

    fn closed(&mut self, key: &Key, outcome: &Outcome, answer: Option<&Answer>) {
        self.well(|troubles| {
            troubles.attempts.remove(key);
        });
        self.in_flight.remove(key);
        let at = self.now().unwrap_or_else(Timestamp::now);
        self.book.answered(key, at, outcome);
        if let Some(standing) = self.book.standing(key) {
            standing.closed = true;
        }
        let parts = answer.map_or(0, |answer| answer.stored.len() as u64);
        let withheld = answer.map_or(0, Answer::withheld);
        tracing::info!(
            recipient = %key.recipient, id = %key.id, outcome = outcome.name(), rows = outcome.rows(), parts, withheld,
            "request has its outcome"
        );
        self.show(|status| {
            *status.outcomes.entry(outcome.name().to_owned()).or_default() += 1;
            status.rows += outcome.rows();
            status.withheld += withheld;
            status.parts += parts;
        });
    }

    /// An attempt came to nothing: it is made anew after a while, or given up.
    pub(super) fn fail(&mut self, key: &Key, why: String) {
        tracing::warn!(recipient = %key.recipient, id = %key.id, error = why, "an attempt to answer failed");
        self.show(|status| status.failures += 1);
        self.troubles.attempts.insert(key.clone(), why);
        self.show_troubles();
        self.answers.remove(key);
        self.in_flight.remove(key);
        let Some(standing) = self.book.standing(key) else {
            return;
        };
        standing.failures = standing.failures.saturating_add(1);
        (standing.posting, standing.closed) = (false, false);
        let is_first = standing.failures == self.parts.answering.options.retries.saturating_add(1);
        let wait = retry::after(standing.failures);
        if is_first {
            // The last one: its outcome does not wait.
            self.judge(key);
        } else {
            self.rest(key, Instant::now() + wait);
        }
    }

    pub(super) fn rest(&mut self, key: &Key, until: Instant) {
        self.queue.remove(key);
        if let Some(standing) = self.book.standing(key) {
            standing.rests_until = Some(until);
        }
        self.resting.insert((until, key.clone()));
    }
}
