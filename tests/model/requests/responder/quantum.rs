//! Quanta of the simulated source, and what must hold whenever one begins.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use ::requests::queue::RequestKey;
use jiff::Timestamp;
use schemas::approval::Decision;
use social::responder::request_state::ReadEnd;
use social::responder::request_step::{Event, QuantumEnd};
use social::responder::rule_set::Allowed;

use super::super::policy::{self, policy};
use super::{Responder, World};
use harness::rng::Rng;

/// The rows of an answer that are not stored.
#[derive(Default)]
pub(super) struct Answer {
    /// The first row that was not read.
    next: u32,
    open: Vec<u32>,
    pub(super) blocks: VecDeque<Rc<Vec<u32>>>,
    /// The greatest number of rows, and whether a quota sets it.
    most: u32,
}

/// A quantum that is being read.
pub(super) struct Reading {
    key: RequestKey,
    pub(super) until: i64,
    /// Whether the gate closed meanwhile.
    pub(super) is_revoked: bool,
}

impl Responder {
    pub(super) fn begin_quantum(
        &mut self,
        key: &RequestKey,
        allowed: &Allowed,
        world: &World<'_>,
        rng: &mut Rng,
    ) {
        self.check_read(key, world);
        let Some(kind) = policy().kinds.get(&self.kind(key, world)) else {
            return;
        };
        let (most, _) = self.table.row_limit(key, kind, self.exchange_now(world));
        let answer = self.answers.entry(key.clone()).or_default();
        answer.most = u32::try_from(most.min(allowed.max_rows.0.max(most))).unwrap_or(u32::MAX);
        self.reading = Some(Reading {
            key: key.clone(),
            until: world.now + rng.span(0, 60),
            is_revoked: false,
        });
    }

    /// Checks what must hold whenever the source is read.
    fn check_read(&mut self, key: &RequestKey, world: &World<'_>) {
        let Some(filed) = world.exchange.request(key) else {
            return self.report(format!("{} was read and is not filed", key.id));
        };
        let entry = self.table.index.get(key);
        if entry.is_none_or(|entry| entry.cancelled) {
            self.report(format!("{} was read after its cancel", key.id));
        }
        let is_late = |deadline: Timestamp| deadline <= self.exchange_now(world);
        if filed.request.deadline.is_some_and(is_late) {
            self.report(format!("{} was read after its deadline", key.id));
        }
        if world.is_held && key.recipient.as_str() == policy::HELD {
            self.report(format!("{} was read while it is held", key.id));
        }
        if filed.request.kind == "missing" {
            self.report(format!("{} was read and is refused", key.id));
        }
        let grants = world
            .exchange
            .approvals
            .iter()
            .filter(|(one, approval)| one == key && approval.decision == Decision::Grant);
        if filed.request.kind == "granted" && grants.count() < 2 {
            self.report(format!("{} was read without its officers", key.id));
        }
        let replied_at = world.exchange.reply(key).map(|stored| stored.at);
        if replied_at.is_some_and(|at| self.polled_at.is_some_and(|polled_at| at < polled_at)) {
            self.report(format!("{} was read although its outcome was read", key.id));
        }
    }

    fn report(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    fn kind(&self, key: &RequestKey, world: &World<'_>) -> String {
        let filed = world.exchange.request(key);
        filed.map_or_else(String::new, |filed| filed.request.kind.clone())
    }

    pub(super) fn end_quantum(&mut self, world: &World<'_>, rng: &mut Rng) {
        let Some(reading) = self.reading.take() else {
            return;
        };
        let key = reading.key;
        self.table.charge(&key.recipient, rng.next() % 20);
        if self.table.index.get(&key).is_none() {
            return;
        }
        let Some(filed) = world.exchange.request(&key) else {
            return;
        };
        let has_order = filed.request.kind != "unordered";
        if world.chaos && rng.percent(15) {
            self.failed_reads.push(key.clone());
            return self.apply(&key, Event::AttemptFailed("it broke".to_owned()), world, rng);
        }
        let Some(answer) = self.answers.get_mut(&key) else {
            return;
        };
        // A quantum that was revoked or timed out has fewer rows.
        let is_cut = reading.is_revoked || world.chaos && rng.percent(10);
        let quantum = if has_order || is_cut {
            rng.span(0, 6)
        } else {
            i64::MAX
        };
        let mut ended = None;
        for _ in 0..quantum {
            if answer.next >= filed.rows {
                ended = (!is_cut).then_some(ReadEnd::Complete);
                break;
            }
            if answer.next >= answer.most {
                ended = Some(ReadEnd::Truncated("there is more".to_owned()));
                break;
            }
            answer.open.push(answer.next);
            answer.next += 1;
            if has_order && rng.percent(25) {
                answer.close_block();
            }
        }
        if ended.is_some() || has_order && rng.percent(10) {
            answer.close_block();
        }
        if !has_order && ended.is_none() {
            *answer = Answer {
                most: answer.most,
                ..Answer::default()
            };
        }
        let rows = u64::from(answer.next);
        let known = self
            .table
            .index
            .get(&key)
            .and_then(|entry| entry.processing.attempt.as_ref())
            .map_or(0, |attempt| attempt.blocks);
        let blocks = self.answers.get(&key).map_or(0, |answer| answer.blocks.len());
        let end = QuantumEnd {
            blocks: blocks - known,
            rows: if world.env.counts_running_rows { rows } else { 0 },
            ended,
            wait: (is_cut && rng.percent(30)).then_some(Duration::from_millis(50)),
        };
        self.apply(&key, Event::QuantumRead(end), world, rng);
    }
}

impl Answer {
    fn close_block(&mut self) {
        if !self.open.is_empty() {
            self.blocks.push_back(Rc::new(std::mem::take(&mut self.open)));
        }
    }

    /// Drops the rows of the open block, which are read again.
    pub(super) fn drop_open(&mut self) {
        self.next -= u32::try_from(self.open.len()).unwrap();
        self.open.clear();
    }
}
