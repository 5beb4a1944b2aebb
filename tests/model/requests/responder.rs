//! A process of the social agent that answers requests, run by the product's own table and step.

mod quantum;

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ::requests::queue::RequestKey;
use ::requests::quota::StreamPosition;
use jiff::Timestamp;
use social::responder::plan;
use social::responder::request_index::Trusted;
use social::responder::request_state::{Message, PartTotals};
use social::responder::request_step::{Action, Event, is_answer};
use social::responder::request_table::{Moment, RequestTable};
use social::responder::rule_set::{Decision, RuleSet};
use tokio::time::Instant;

use super::super::core::time;
use super::env::RequestEnv;
use super::exchange::{Exchange, Sent};
use super::policy::{self, policy};
use harness::rng::Rng;
use quantum::{Answer, Reading};

/// The interval of polls.
const POLL: i64 = 500;

/// What a process sees of the world in one step.
pub(super) struct World<'a> {
    pub(super) exchange: &'a Exchange,
    pub(super) env: RequestEnv,
    pub(super) now: i64,
    /// The instant at time 0.
    pub(super) start: Instant,
    pub(super) is_gate_open: bool,
    pub(super) is_held: bool,
    /// Whether reads may fail.
    pub(super) chaos: bool,
}

/// A message that the process stores, and when.
pub(super) struct Outgoing {
    pub(super) sent: Sent,
    /// It is stored no earlier.
    pub(super) not_before: i64,
}

/// One process.
pub(super) struct Responder {
    /// Identifies the run of the process.
    pub(super) run: u32,
    pub(super) table: RequestTable,
    rules: Arc<RuleSet>,
    answers: BTreeMap<RequestKey, Answer>,
    reading: Option<Reading>,
    /// The request that waits for a permit, with the decision by which it was selected.
    candidate: Option<(RequestKey, Decision)>,
    /// The stream that the current poll reads next.
    poll: Option<usize>,
    poll_began_at: i64,
    /// When the last complete poll began.
    polled_at: Option<i64>,
    next_poll: i64,
    /// How many messages of each stream were read.
    positions: [usize; 4],
    /// How far its clock is behind that of the exchange.
    lag: i64,
    unconfirmed: Option<Sent>,
    pub(super) outbox: Vec<Outgoing>,
    signed: u64,
    pub(super) violation: Option<String>,
    /// The requests whose reads failed.
    pub(super) failed_reads: Vec<RequestKey>,
}

impl Responder {
    pub(super) fn new(run: u32, env: RequestEnv, rng: &mut Rng) -> Self {
        Self {
            run,
            table: RequestTable::new(Trusted::default(), policy::quotas(env.quotas), policy::options()),
            rules: Arc::clone(policy().rules(false)),
            answers: BTreeMap::new(),
            reading: None,
            candidate: None,
            poll: None,
            poll_began_at: 0,
            polled_at: None,
            next_poll: 0,
            positions: [0; 4],
            lag: rng.span(0, 50),
            unconfirmed: None,
            outbox: Vec::new(),
            signed: 0,
            violation: None,
            failed_reads: Vec::new(),
        }
    }

    /// Performs one step: a poll of one stream, a decision, the begin or the end of a quantum.
    pub(super) fn act(&mut self, world: &World<'_>, rng: &mut Rng) {
        if !world.is_gate_open
            && let Some(reading) = &mut self.reading
        {
            reading.is_revoked = true;
        }
        if let Some(stream) = self.poll {
            return self.read_stream(stream, world, rng);
        }
        if self.next_poll <= world.now {
            (self.poll, self.poll_began_at) = (Some(0), world.now);
            self.next_poll = world.now + POLL;
            self.table.index.mark_polled();
            return;
        }
        self.refresh_rules(world, rng);
        if world.env.wakes_backoffs {
            for key in self.table.take_ended_backoffs(self.instant(world)) {
                self.apply(&key, Event::BackoffEnded, world, rng);
            }
        }
        match &self.reading {
            Some(reading) if reading.until <= world.now => self.end_quantum(world, rng),
            Some(_) => {}
            None if self.candidate.is_some() => self.use_permit(world, rng),
            None => self.select(world, rng),
        }
    }

    fn read_stream(&mut self, stream: usize, world: &World<'_>, rng: &mut Rng) {
        let exchange = world.exchange;
        let [replies, requests, cancels, approvals] = self.positions;
        match stream {
            0 if world.env.reads_replies => {
                for stored in exchange.replies.iter().skip(replies) {
                    if let Some(outcome) = super::exchange::outcome(stored) {
                        let key = stored.sent.key.clone();
                        self.table.index.insert_outcome(key, time(stored.at), outcome);
                    }
                }
                self.positions[0] = exchange.replies.len();
            }
            1 => {
                for (sequence, filed) in (1..).zip(&exchange.requests).skip(requests) {
                    let position = StreamPosition {
                        sequence,
                        stored_at: time(filed.stored_at),
                    };
                    let request = Ok(Box::new((*filed.request).clone()));
                    self.table
                        .index
                        .insert_request(filed.key.clone(), position, filed.digest, request);
                }
                self.positions[1] = exchange.requests.len();
            }
            2 => {
                for (key, digest) in exchange.cancels.iter().skip(cancels) {
                    self.table.index.insert_cancel(key.clone(), *digest);
                }
                self.positions[2] = exchange.cancels.len();
            }
            3 => {
                for (key, approval) in exchange.approvals.iter().skip(approvals) {
                    self.table.index.insert_approval(key.clone(), approval.clone());
                }
                self.positions[3] = exchange.approvals.len();
            }
            _ => {}
        }
        self.poll = (stream < 3).then_some(stream + 1);
        if self.poll.is_none() {
            self.polled_at = Some(self.poll_began_at);
            self.end_poll(world, rng);
        }
    }

    fn end_poll(&mut self, world: &World<'_>, rng: &mut Rng) {
        let now = self.exchange_now(world);
        self.table.index.end_round(now);
        for key in self.table.take_removed() {
            self.answers.remove(&key);
        }
        for key in self.table.take_changed(&policy().kinds) {
            self.decide_again(&key, world, rng);
        }
        if world.env.rechecks {
            for key in self.table.take_rechecks(now, &policy().kinds) {
                self.decide_again(&key, world, rng);
            }
        }
    }

    fn refresh_rules(&mut self, world: &World<'_>, rng: &mut Rng) {
        let rules = policy().rules(world.is_held);
        if rules.version != self.rules.version {
            self.rules = Arc::clone(rules);
            let all: Vec<RequestKey> = self.table.index.iter().map(|(key, _)| key.clone()).collect();
            for key in &all {
                self.decide_again(key, world, rng);
            }
        }
    }

    /// Selects the request of the next quantum, which then waits for the gate.
    fn select(&mut self, world: &World<'_>, rng: &mut Rng) {
        if self.polled_at.is_none() {
            return;
        }
        let now = self.exchange_now(world);
        while let Some(key) = self.table.next().cloned() {
            self.decide_again(&key, world, rng);
            if self.table.next() != Some(&key) {
                continue;
            }
            if self.table.is_quota_used(&key, now) {
                self.apply(&key, Event::QuotaUsed, world, rng);
                continue;
            }
            self.candidate = self.decide(&key, world).map(|decision| (key, decision));
            return;
        }
    }

    fn use_permit(&mut self, world: &World<'_>, rng: &mut Rng) {
        if !world.is_gate_open {
            return;
        }
        let Some((key, selected)) = self.candidate.take() else {
            return;
        };
        let decision = if world.env.decides_with_permit {
            self.decide(&key, world)
        } else {
            Some(selected)
        };
        let Some(decision) = decision else { return };
        if self.table.is_quota_used(&key, self.exchange_now(world)) {
            return self.apply(&key, Event::QuotaUsed, world, rng);
        }
        self.apply(&key, Event::Permitted(decision), world, rng);
    }

    fn decide(&self, key: &RequestKey, world: &World<'_>) -> Option<Decision> {
        self.table.decide(key, &self.rules, self.exchange_now(world), 1)
    }

    fn decide_again(&mut self, key: &RequestKey, world: &World<'_>, rng: &mut Rng) {
        if let Some(decision) = self.decide(key, world) {
            self.apply(key, Event::Decided(decision), world, rng);
        }
    }

    pub(super) fn apply(&mut self, key: &RequestKey, event: Event, world: &World<'_>, rng: &mut Rng) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let moment = Moment {
                now: self.instant(world),
                exchange_now: world.env.checks_deadline.then(|| self.exchange_now(world)),
                jitter: 0.5,
            };
            for action in self.table.apply(key, event, moment) {
                events.extend(self.perform(key, action, world, rng));
            }
        }
        self.unconfirmed = None;
    }

    fn perform(
        &mut self,
        key: &RequestKey,
        action: Action,
        world: &World<'_>,
        rng: &mut Rng,
    ) -> Option<Event> {
        match action {
            Action::Decide => return self.decide(key, world).map(Event::Decided),
            Action::Read(allowed) => self.begin_quantum(key, &allowed, world, rng),
            Action::Pause => {
                if let Some(answer) = self.answers.get_mut(key) {
                    answer.drop_open();
                }
            }
            Action::Publish(message) => {
                let rows = match &message {
                    Message::Part { .. } => self.answers.get(key)?.blocks.front().cloned()?,
                    Message::Reply { .. } => Rc::default(),
                };
                let sent = self.sign(key, message, rows);
                return self.send(sent, world);
            }
            Action::Retry(_) => {
                let sent = self.unconfirmed.take()?;
                let sent = if world.env.keeps_bytes {
                    sent
                } else {
                    self.sign(key, sent.message, sent.rows)
                };
                return self.send(sent, world);
            }
            Action::DropBlock => {
                if let Some(answer) = self.answers.get_mut(key) {
                    answer.blocks.pop_front();
                }
            }
            Action::Fail(_) | Action::Drop => {
                self.answers.remove(key);
            }
        }
        None
    }

    fn sign(&mut self, key: &RequestKey, message: Message, rows: Rc<Vec<u32>>) -> Sent {
        self.signed += 1;
        Sent {
            key: key.clone(),
            message,
            by: self.run,
            bytes: (u64::from(self.run) << 32) + self.signed,
            rows,
        }
    }

    fn send(&mut self, sent: Sent, world: &World<'_>) -> Option<Event> {
        let mut not_before = world.now;
        if let Message::Reply {
            outcome,
            not_before: from,
            ..
        } = &sent.message
        {
            // The process waits by its own clock, which is behind.
            if let Some(from) = from {
                not_before = from.as_millisecond() + self.lag;
            }
            let deadline = world
                .exchange
                .request(&sent.key)
                .and_then(|filed| filed.request.deadline);
            let now = self.exchange_now(world);
            if world.env.checks_deadline
                && is_answer(outcome)
                && plan::runs_out(deadline, now, &policy::options())
            {
                self.unconfirmed = Some(sent);
                return Some(Event::Unconfirmed);
            }
        }
        let assumed = (!world.env.awaits_acknowledgements).then(|| stored_event(&sent));
        self.outbox.push(Outgoing { sent, not_before });
        assumed
    }

    /// Handles the exchange's response; `None` if there is none.
    pub(super) fn respond(
        &mut self,
        sent: Sent,
        response: Option<super::exchange::Response>,
        world: &World<'_>,
        rng: &mut Rng,
    ) {
        use super::exchange::Response;
        let key = sent.key.clone();
        let event = match response {
            Some(Response::Exists) if world.env.compares_bytes => Event::Exists,
            Some(_) => {
                if let Message::Reply { outcome, .. } = &sent.message {
                    let now = self.exchange_now(world);
                    self.table.index.record_own_outcome(&key, now, outcome);
                }
                stored_event(&sent)
            }
            None if world.env.retries_unconfirmed => {
                self.unconfirmed = Some(sent);
                Event::Unconfirmed
            }
            None => Event::AttemptFailed("no acknowledgement".to_owned()),
        };
        self.apply(&key, event, world, rng);
    }

    /// Returns whether it has polled since a time and knows no request without an outcome.
    pub(super) fn is_idle(&self, since: i64) -> bool {
        self.polled_at.is_some_and(|at| at >= since) && self.table.index.is_empty()
    }

    /// The process's estimate, which is never later than the exchange's time.
    fn exchange_now(&self, world: &World<'_>) -> Timestamp {
        time(world.now - self.lag)
    }

    fn instant(&self, world: &World<'_>) -> Instant {
        world.start + Duration::from_millis(u64::try_from(world.now - super::simulation::BEGIN).unwrap())
    }

    pub(super) fn describe(&self) -> String {
        let states: Vec<_> = self
            .table
            .index
            .iter()
            .map(|(key, entry)| (key.id.to_string(), &entry.processing.state))
            .collect();
        format!("run {} {states:?}", self.run)
    }
}

fn stored_event(sent: &Sent) -> Event {
    match &sent.message {
        Message::Part { .. } => Event::PartStored {
            digest: sent.digest(),
            totals: PartTotals {
                rows: sent.rows.len() as u64,
                ..PartTotals::default()
            },
        },
        Message::Reply { .. } => Event::ReplyStored,
    }
}
