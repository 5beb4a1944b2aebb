//! A look at the streams, and what it means for each request.

use std::sync::Arc;

use jiff::Timestamp;
use requests::forecast;
use requests::queue::Key;
use schemas::progress::Waiting;
use tokio::time::Instant;

use super::super::book::Book;
use super::super::follow::{Follow, Round};
use super::super::lists::Decision;
use super::super::plan;
use super::{Desk, trusted};

/// A long queue is numbered this seldom.
const NUMBERED_EACH: std::time::Duration = std::time::Duration::from_secs(10);

/// What is a long one.
const LONG: usize = 20;

impl Desk {
    /// Reads what is new and judges what it changes.
    pub(super) async fn look(&mut self) {
        if let Err(error) = self.read_streams().await {
            let what = error.to_string();
            self.trouble(&what, |troubles| troubles.streams = Some(what.clone()));
            if !self.is_read {
                self.state("waiting for the exchange");
                return;
            }
        } else {
            self.is_read = true;
            self.well(|troubles| troubles.streams = None);
            self.show(|status| status.looked_at = Some(Timestamp::now()));
        }
        for key in self.book.take_removed() {
            self.forget(&key);
        }
        for key in self.book.take_changed() {
            if let Some(entry) = self.book.get(&key)
                && let Some(at) = plan::look_again(entry, &self.lists.kinds)
            {
                self.looks.insert((at, key.clone()));
            }
            self.judge(&key);
        }
        self.look_again();
        self.number();
        self.tell();
        self.count();
        self.forget_troubles();
    }

    /// Troubles of requests that have their outcome, and of the source while nothing is asked of it, concern nobody any more.
    fn forget_troubles(&mut self) {
        let book = &self.book;
        let waits = |key: &Key| book.get(key).is_some_and(|entry| !entry.standing.closed);
        self.troubles.attempts.retain(|key, _| waits(key));
        let is_asked = book.iter().any(|(_, entry)| !entry.standing.closed);
        self.well(|troubles| {
            if !is_asked {
                troubles.source = None;
            }
        });
    }

    async fn read_streams(&mut self) -> exchange::Result<()> {
        let exchange = Arc::clone(&self.parts.exchange);
        if let Some(record) = exchange.lease(&self.parts.source_name).await? {
            self.clock
                .saw(record.stored_at, Instant::now(), self.parts.lease_age);
        }
        self.book.grow_old();
        if self.follow.round(exchange.as_ref(), &mut self.book).await? == Round::Rewritten {
            tracing::warn!("the streams of requests are not what was read before; reading them anew");
            self.begin_anew();
            // What is rewritten once more meanwhile is for the next look.
            self.follow.round(exchange.as_ref(), &mut self.book).await?;
        }
        if let Some(now) = self.now() {
            self.book.end_round(now);
        }
        Ok(())
    }

    fn begin_anew(&mut self) {
        self.book = Book::new(trusted(&self.parts));
        self.follow = Follow::default();
        self.queue = requests::queue::Queue::default();
        self.answers.clear();
        self.in_flight.clear();
        self.finals.clear();
        self.posts.abort_all();
        self.posts = tokio::task::JoinSet::new();
        self.looks.clear();
        self.resting.clear();
    }

    /// It has an outcome, or is gone.
    pub(super) fn forget(&mut self, key: &Key) {
        self.queue.remove(key);
        self.answers.remove(key);
        self.in_flight.remove(key);
        self.resting.retain(|(_, resting)| resting != key);
    }

    /// What time alone may have changed.
    fn look_again(&mut self) {
        let Some(now) = self.now() else { return };
        if self.looks.len() > self.book.len() * 2 + 1_000 {
            self.looks.retain(|(_, key)| self.book.get(key).is_some());
        }
        while let Some((at, _)) = self.looks.first()
            && *at <= now
        {
            let Some((_, key)) = self.looks.pop_first() else {
                break;
            };
            if let Some(entry) = self.book.get(&key) {
                let later = plan::look_again(entry, &self.lists.kinds).filter(|later| *later > now);
                if let Some(deadline) = later {
                    self.looks.insert((deadline, key.clone()));
                }
                self.judge(&key);
            }
        }
    }

    /// What the rules say about a request now; none: it is out of our hands, or nothing can be told yet.
    pub(super) fn decide(&self, key: &Key) -> Option<Decision> {
        let entry = self.book.get(key)?;
        let standing = &entry.standing;
        if standing.closed || standing.posting {
            return None;
        }
        let now = self.now()?;
        let answering = &self.parts.answering;
        // Its answer has begun: its own rows do not stop it.
        let quota = answering
            .quotas
            .get(&key.recipient)
            .filter(|_| !standing.begun)
            .zip(self.book.history(&key.recipient));
        let kind = entry.request.as_ref().map_or("", |request| request.kind.as_str());
        let cost = self.costs.of(kind);
        Some(
            self.lists
                .decide((key, entry), quota, &answering.options, now, cost),
        )
    }

    /// Puts a request where it belongs.
    pub(super) fn judge(&mut self, key: &Key) {
        let Some(decision) = self.decide(key) else { return };
        let rests = self
            .book
            .standing(key)
            .is_some_and(|standing| standing.rests_until.is_some());
        match decision {
            // An outcome that could not be stored rests like anything else.
            Decision::Reply(..) if rests => {
                self.queue.remove(key);
            }
            Decision::Reply(outcome, definition) => self.finish(key, outcome, definition),
            Decision::Wait(waiting) => {
                self.pause(key);
                self.wait(key, Some(waiting));
            }
            Decision::RunOut => {
                self.pause(key);
                self.wait(key, Some(Waiting::Taken));
            }
            Decision::Answer(allowed) => {
                if rests {
                    self.queue.remove(key);
                } else if self.queue.get(key).is_none() {
                    self.queue.put(allowed.queued);
                }
                let waiting = self.answers.get(key).filter(|answer| answer.read.is_some());
                let waiting = waiting.map_or(Waiting::Taken, |answer| Waiting::Answering {
                    attempt: answer.attempt,
                    parts: answer.next_number() - 1,
                    rows: answer.sums.rows,
                });
                self.wait(key, Some(waiting));
            }
        }
    }

    fn wait(&mut self, key: &Key, waiting: Option<Waiting>) {
        if let Some(standing) = self.book.standing(key) {
            standing.waiting = waiting;
        }
    }

    /// Nothing is read for it for now. What was stored is kept in mind, what was not is read again.
    fn pause(&mut self, key: &Key) {
        self.queue.remove(key);
        if let Some(answer) = self.answers.get_mut(key) {
            answer.open = None;
            if let Some(packed) = &mut answer.packed {
                packed.packer.take_back();
            }
        }
    }

    /// Places in the queue, and when each is through.
    fn number(&mut self) {
        let is_due = self
            .placed_at
            .is_none_or(|at| self.queue.len() <= LONG || at.elapsed() >= NUMBERED_EACH);
        if !is_due {
            return;
        }
        self.placed_at = Some(Instant::now());
        let places = self.queue.places();
        let history = self
            .parts
            .answering
            .history
            .as_ref()
            .map(|watch| Arc::clone(&watch.borrow()));
        let now = Timestamp::now();
        let expected = forecast::tell(&places, |work| {
            let work = u64::try_from(work.as_millis()).unwrap_or(u64::MAX);
            // Work is time on the source, so its unit is a millisecond, of which a second has a thousand.
            gate::forecast::forecast(history.as_deref()?, work, Some(1_000.0), now).middle
        });
        self.book.clear_places();
        for one in expected {
            if let Some(standing) = self.book.standing(&one.key) {
                (standing.place, standing.forecast) = (Some(one.place), one.at);
            }
        }
    }

    /// How many wait for what.
    pub(super) fn count(&self) {
        let (mut waiting, mut for_approval, mut held, mut answering) = (0, 0, 0, 0);
        let mut oldest: Option<Timestamp> = None;
        for (_, entry) in self.book.iter().filter(|(_, entry)| !entry.standing.closed) {
            waiting += 1;
            oldest = Some(oldest.map_or(entry.place.stored_at, |oldest| oldest.min(entry.place.stored_at)));
            match &entry.standing.waiting {
                Some(Waiting::WaitsForApproval { .. }) => for_approval += 1,
                Some(Waiting::Held { .. }) => held += 1,
                _ => {}
            }
            answering += u64::from(entry.standing.begun);
        }
        let queued = self.queue.len() as u64;
        self.show(|status| {
            (status.waiting, status.queued, status.answering) = (waiting, queued, answering);
            (status.for_approval, status.held, status.oldest) = (for_approval, held, oldest);
        });
    }
}
