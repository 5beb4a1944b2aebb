//! One quantum on the source for one request.

use std::sync::Arc;
use std::time::Duration;

use gate::Permit;
use jiff::Timestamp;
use requests::kind::Kind;
use requests::mask::plan::Plan;
use requests::queue::Key;
use requests::screen::Screen;
use schemas::reply::Outcome;
use source::{End, ErrorKind, Quantum};
use tokio::time::Instant;

use super::super::ResponderParts;
use super::super::answer::{Answer, Ended, Open, Packed};
use super::super::lists::{Allowed, Decision, Lists};
use super::super::packer::{Packer, Sink, money_sent};
use super::super::question::question;
use super::Desk;
use super::ask::{Trouble, token};
use crate::quantum::Took;
use crate::retry;
use crate::turn::Turned;

/// How old an open block may get.
const CLOSE_AFTER: Duration = Duration::from_secs(5);

/// Questions that stay open at the source while others are answered.
const MOST_OPEN: usize = 4;

impl Desk {
    pub(super) async fn quantum(&mut self, key: &Key, permit: Turned) {
        // The rules may have changed while the gate was waited for.
        self.refresh();
        let Some(Decision::Answer(allowed)) = self.decide(key) else {
            return self.judge(key);
        };
        let (Some(about), lists) = (self.about(key, Some(allowed.definition)), Arc::clone(&self.lists))
        else {
            return;
        };
        let Some(kind) = self
            .book
            .get(key)
            .and_then(|entry| entry.request.as_ref().ok())
            .and_then(|request| lists.kinds.get(&request.kind))
        else {
            return;
        };
        if !self.answers.contains_key(key) && self.is_used_up(key) {
            return;
        }
        let limit = self.parts.sizing.first();
        let mut answer = self
            .answers
            .remove(key)
            .unwrap_or_else(|| Answer::new(about, 1, limit, allowed.most_rows));
        let most_rows = self.most_rows(&answer, kind);
        answer.most_rows = most_rows;
        if let Some(standing) = self.book.standing(key) {
            standing.begun = true;
        }
        let started = Instant::now();
        let parts = Arc::clone(&self.parts);
        let read = Self::read(&parts, &mut answer, &allowed, &lists, kind, &permit).await;
        let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let is_revoked = permit.is_revoked();
        let is_over = answer
            .packed
            .as_ref()
            .is_some_and(|packed| packed.packer.is_over());
        if is_over || matches!(&read, Ok(quantum) if quantum.end == End::Drained) {
            // While it may: giving a question back says a word to the source.
            answer.open = None;
        }
        self.keep_few_open();
        // What follows does not touch the source.
        drop(permit);
        self.queue.charge(&key.recipient, millis);
        answer.cost_ms = answer.cost_ms.saturating_add(millis);
        self.in_flight.insert(key.clone(), answer.rows());
        self.show(|status| {
            status.quanta += 1;
            status.source_ms += millis;
        });
        match read {
            Ok(quantum) => self.took(answer, kind, quantum),
            Err(trouble) => self.failed(answer, kind, trouble, is_revoked),
        }
    }

    async fn read(
        parts: &ResponderParts,
        answer: &mut Answer,
        allowed: &Allowed,
        lists: &Lists,
        kind: &Kind,
        permit: &Permit,
    ) -> Result<Quantum, Trouble> {
        let begun = Timestamp::now();
        let (from, _) = *answer.read.get_or_insert((begun, begun));
        let read = Self::read_rows(parts, answer, allowed, lists, kind, permit).await;
        let (evidence, now) = (permit.load_evidence(), Timestamp::now());
        answer.read = Some((from, now.max(from)));
        gate::merge(&mut answer.load, evidence.clone());
        if let Some(packed) = &mut answer.packed {
            packed.packer.end_quantum(now, evidence);
            if let Some(fault) = packed.packer.take_fault() {
                return Err(Trouble::Kind(fault));
            }
        }
        read
    }

    async fn read_rows(
        parts: &ResponderParts,
        answer: &mut Answer,
        allowed: &Allowed,
        lists: &Lists,
        kind: &Kind,
        permit: &Permit,
    ) -> Result<Quantum, Trouble> {
        let config = kind.config();
        let recipient = answer.about.key.recipient.clone();
        if answer.open.is_none() {
            let sent = kind
                .sent(&allowed.bound)
                .map_err(|error| Trouble::Kind(error.to_string()))?;
            let question = question(kind, sent);
            let reader = parts.source.open_question(&question, permit).await?;
            let grant = kind
                .grant_of(&recipient)
                .ok_or_else(|| Trouble::Kind("the grant is gone".to_owned()))?;
            let mut columns = reader.schema().clone();
            // An answer is a list and no table: its rows need no key.
            kind.name().clone_into(&mut columns.name);
            (columns.key, columns.tombstone) = (Vec::new(), None);
            let plan = Plan::new(&columns, Some(&grant.columns), &grant.masks, &config.money)
                .map_err(|error| Trouble::Kind(error.to_string()))?;
            if answer
                .packed
                .as_ref()
                .is_some_and(|packed| packed.columns != columns)
            {
                return Err(Trouble::Kind(
                    "the source's columns changed in the middle of an answer".to_owned(),
                ));
            }
            if answer.packed.is_none() {
                let money = money_sent(&config.money, plan.schema());
                let packer = Packer::new(&columns, plan.schema(), &config.order, &money)
                    .map_err(|column| Trouble::Kind(format!("it has no column {column:?}")))?;
                answer.packed = Some(Packed {
                    packer,
                    schema: Arc::new(plan.schema().clone()),
                    columns,
                    screened_by: lists.version,
                });
            }
            answer.open = Some(Open { reader, plan });
        }
        let token = token(parts.answering.masking.as_deref(), &recipient, kind)?;
        let (Some(open), Some(packed)) = (&mut answer.open, &mut answer.packed) else {
            return Err(Trouble::Kind("it is not open".to_owned()));
        };
        if packed.screened_by != lists.version {
            // Rows that passed the lists of before, and did not leave yet.
            packed.packer.take_back();
            packed.screened_by = lists.version;
        }
        let blocked = lists
            .blocked()
            .map_err(|error| Trouble::Kind(error.to_string()))?;
        let schema = open.reader.schema().clone();
        let screen = Screen::new(&schema, &config.person, blocked, allowed.held_persons.clone())
            .map_err(|error| Trouble::Kind(error.to_string()))?;
        let (most, _) = answer.most_rows;
        let beyond = most.saturating_sub(packed.packer.count().rows).saturating_add(1);
        let beyond = usize::try_from(beyond).unwrap_or(usize::MAX);
        let asked = if config.order.is_empty() {
            beyond
        } else {
            let sizing = &parts.sizing;
            sizing.within(answer.limit, permit.quantum()).min(beyond)
        };
        packed.packer.begin_quantum(Timestamp::now(), most);
        let after = packed.packer.after().cloned();
        let mut sink = Sink {
            packer: &mut packed.packer,
            plan: &open.plan,
            token: &token,
            screen: &screen,
        };
        let quantum = open.reader.read(after.as_ref(), asked, permit, &mut sink).await?;
        let took = Took {
            limit: answer.limit,
            asked,
            rows: quantum.rows,
            bytes: packed.packer.packed(),
            time: quantum.took,
        };
        if quantum.end != End::Revoked && !config.order.is_empty() {
            answer.limit = parts.sizing.next(took);
        }
        Ok(quantum)
    }

    /// A quantum was read.
    fn took(&mut self, mut answer: Answer, kind: &Kind, quantum: Quantum) {
        self.source_failures = 0;
        let key = answer.about.key.clone();
        self.well(|troubles| {
            troubles.source = None;
            troubles.attempts.remove(&key);
        });
        let has_order = !kind.config().order.is_empty();
        let (most, limited_by) = answer.most_rows;
        if let Some(packed) = &mut answer.packed {
            let ended = if packed.packer.is_over() {
                Some(Ended::Cut(limited_by.reason(most)))
            } else {
                match quantum.end {
                    End::Drained => Some(Ended::All),
                    End::Limit if !has_order => Some(Ended::Cut(limited_by.reason(most))),
                    End::Revoked if !has_order => {
                        packed.packer.restart();
                        None
                    }
                    End::Limit | End::Revoked => None,
                }
            };
            answer.ended = ended;
        }
        self.go_on(answer, kind);
    }

    /// Stores what is closed, or reads on at its next turn.
    fn go_on(&mut self, mut answer: Answer, kind: &Kind) {
        let key = answer.about.key.clone();
        let now = Timestamp::now();
        let has_order = !kind.config().order.is_empty();
        let is_ended = answer.ended.is_some();
        if let Some(packed) = &mut answer.packed {
            let old = packed
                .packer
                .open_since()
                .is_some_and(|since| now.duration_since(since).unsigned_abs() >= CLOSE_AFTER);
            if is_ended || (old && has_order) {
                packed.packer.close(now);
            }
            // An answer that is read at once is whole or not there.
            if has_order || is_ended {
                answer.blocks.extend(packed.packer.take_closed());
            }
        }
        if is_ended {
            self.costs.learn(kind.name(), answer.cost_ms);
            answer.open = None;
            // Its rows are known: who asks next is judged with them.
            let rows = answer.rows();
            let at = self.now().unwrap_or(now);
            self.book.answered(
                &key,
                at,
                &Outcome::Answered {
                    rows,
                    parts: Vec::new(),
                },
            );
            self.in_flight.remove(&key);
        }
        if is_ended || !answer.blocks.is_empty() {
            self.hand_over(answer);
        } else {
            self.answers.insert(key.clone(), answer);
            self.judge(&key);
        }
    }

    fn failed(&mut self, mut answer: Answer, kind: &Kind, trouble: Trouble, is_revoked: bool) {
        let key = answer.about.key.clone();
        let error = match trouble {
            Trouble::Kind(what) => return self.fail(&key, format!("kind {:?}: {what}", kind.name())),
            Trouble::Source(error) => error,
        };
        let has_order = !kind.config().order.is_empty();
        if !has_order && let Some(packed) = &mut answer.packed {
            packed.packer.restart();
        }
        match error.kind {
            // No fault: the gate shut.
            ErrorKind::Revoked => self.go_on(answer, kind),
            _ if is_revoked => {
                answer.open = None;
                self.go_on(answer, kind);
            }
            ErrorKind::TimedOut if has_order && answer.limit > 1 => {
                answer.limit = self.parts.sizing.after_timeout(answer.limit);
                let what = error.to_string();
                self.trouble(&what, |troubles| troubles.source = Some(what.clone()));
                self.go_on(answer, kind);
                self.rest(&key, Instant::now() + retry::after(1));
            }
            ErrorKind::Unreachable => {
                self.source_failures = self.source_failures.saturating_add(1);
                self.source_rests = Some(Instant::now() + retry::after(self.source_failures));
                let what = error.to_string();
                self.trouble(&what, |troubles| troubles.source = Some(what.clone()));
                answer.open = None;
                self.go_on(answer, kind);
            }
            ErrorKind::TimedOut | ErrorKind::Denied | ErrorKind::Refused | ErrorKind::Database => {
                self.fail(&key, error.to_string());
            }
        }
    }

    /// A question that is open holds something of the source; the oldest give it back.
    fn keep_few_open(&mut self) {
        let open = self
            .answers
            .values()
            .filter(|answer| answer.open.is_some())
            .count();
        let next = self.queue.next().map(|entry| entry.key.clone());
        let mut left = open.saturating_sub(MOST_OPEN);
        for (key, answer) in &mut self.answers {
            if left == 0 {
                return;
            }
            if answer.open.is_some() && next.as_ref() != Some(key) {
                answer.open = None;
                left -= 1;
            }
        }
    }
}
