//! One schedule: which process acts next, faults, the idle state, and the oracle.

use ::requests::queue::RequestKey;
use schemas::refusal::RefusalCode;
use schemas::reply::Outcome;
use social::responder::request_state::Message;
use tokio::time::Instant;

use super::super::core::time;
use super::env::RequestEnv;
use super::exchange::{Exchange, Response, Sent, Stored, outcome};
use super::policy::{self, policy};
use super::responder::{Outgoing, Responder, World};
use harness::rng::Rng;

/// The exchange's time at which a simulation begins, in milliseconds since 1970.
pub(super) const BEGIN: i64 = 1_769_860_800_000;

/// Steps with faults. After them every request must end.
const CHAOS: usize = 700;
const REST: usize = 20_000;
const REQUESTS: usize = 8;

/// How long a message may be under way. The margin before a deadline is longer.
const MAX_TRANSIT: i64 = 900;

struct InFlight {
    outgoing: Outgoing,
    sent_at: i64,
    is_delivered: bool,
    /// Whether its sender has a response or has given up waiting.
    is_answered: bool,
    /// The response that a suspended sender has not handled, `None` if there is none.
    pending_response: Option<Option<Response>>,
}

struct Slot {
    /// `None` while it is down.
    process: Option<Responder>,
    /// Suspended or down until then.
    until: i64,
}

/// Counts of a schedule, to check that the simulation does something.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Count {
    pub(super) answered: usize,
    pub(super) cancelled: usize,
    pub(super) expired: usize,
    pub(super) refused: usize,
    pub(super) failed: usize,
    /// Parts that no reply names.
    pub(super) orphans: usize,
    pub(super) kills: usize,
    /// Schedules in which two processes stored replies.
    pub(super) shared: usize,
}

struct Simulation {
    env: RequestEnv,
    rng: Rng,
    now: i64,
    start: Instant,
    exchange: Exchange,
    slots: Vec<Slot>,
    in_flight: Vec<InFlight>,
    is_gate_open: bool,
    is_held: bool,
    runs: u32,
    kills: usize,
    failed_reads: Vec<RequestKey>,
    violation: Option<String>,
}

/// Runs a schedule.
///
/// # Errors
/// The first violation, as text.
pub(super) fn run(seed: u64, env: RequestEnv) -> Result<Count, String> {
    let slots = if env.quotas { 1 } else { 2 };
    let mut simulation = Simulation {
        env,
        rng: Rng::new(seed),
        now: BEGIN,
        start: Instant::now(),
        exchange: Exchange::default(),
        slots: (0..slots)
            .map(|_| Slot {
                process: None,
                until: BEGIN,
            })
            .collect(),
        in_flight: Vec::new(),
        is_gate_open: true,
        is_held: false,
        runs: 0,
        kills: 0,
        failed_reads: Vec::new(),
        violation: None,
    };
    for _ in 0..CHAOS {
        simulation.step(true)?;
    }
    let ended_at = simulation.end_faults();
    for _ in 0..REST {
        simulation.step(false)?;
        if simulation.is_idle(ended_at) {
            simulation.check()?;
            return Ok(simulation.count());
        }
    }
    Err(format!("not every request ends: {}", simulation.describe()))
}

impl Simulation {
    fn step(&mut self, chaos: bool) -> Result<(), String> {
        self.now += self.rng.span(0, 25);
        match self.rng.below(100) {
            0..=3 if chaos => self.file(),
            4..=5 if chaos => self.cancel(),
            6..=8 if chaos => self.approve(),
            9..=10 if chaos => self.fault(),
            11..=44 => self.network(chaos),
            _ => self.act(chaos),
        }
        match self
            .violation
            .take()
            .or_else(|| self.exchange.violation().cloned())
        {
            Some(violation) => Err(violation),
            None => Ok(()),
        }
    }

    fn file(&mut self) {
        let number = self.exchange.requests.len();
        if number < REQUESTS {
            let filed = policy().request(number, &mut self.rng, self.now);
            self.exchange.requests.push(filed);
        }
    }

    fn cancel(&mut self) {
        let which = self.rng.below(self.exchange.requests.len());
        if let Some(filed) = self.exchange.requests.get(which)
            && self.rng.percent(25)
            && !self.exchange.cancels.iter().any(|(key, _)| *key == filed.key)
        {
            self.exchange.cancels.push((filed.key.clone(), filed.digest));
        }
    }

    fn approve(&mut self) {
        let waiting = self
            .exchange
            .requests
            .iter()
            .filter(|filed| filed.request.kind == "granted");
        let waiting: Vec<_> = waiting.cloned().collect();
        let (which, officer) = (self.rng.below(waiting.len()), self.rng.below(2));
        if let Some(filed) = waiting.get(which) {
            let is_known = self.exchange.approvals.iter().any(|(key, approval)| {
                *key == filed.key && approval.officer.as_str() == policy::OFFICERS[officer]
            });
            if !is_known {
                let approval = policy().approval(filed, officer, &mut self.rng, self.now);
                self.exchange.approvals.push((filed.key.clone(), approval));
            }
        }
    }

    fn fault(&mut self) {
        let which = self.rng.below(self.slots.len());
        match self.rng.below(8) {
            0..=1 => {
                if let Some(slot) = self.slots.get_mut(which)
                    && let Some(process) = slot.process.take()
                {
                    slot.until = self.now + self.rng.span(10, 800);
                    self.kills += 1;
                    // A successor that does not see a reply which is stored later may exceed a quota.
                    if self.env.quotas {
                        self.in_flight.retain(|one| one.outgoing.sent.by != process.run);
                    }
                }
            }
            // SIGSTOP, and SIGCONT later: memory is kept and the clock went on.
            2 => {
                let until = self.now + self.rng.span(10, 1_200);
                if let Some(slot) = self.slots.get_mut(which) {
                    slot.until = until;
                }
            }
            3..=5 => self.is_gate_open = !self.is_gate_open,
            _ => self.is_held = !self.is_held,
        }
    }

    /// Ends the faults; processes that are down come back.
    fn end_faults(&mut self) -> i64 {
        (self.is_gate_open, self.is_held) = (true, false);
        for slot in &mut self.slots {
            slot.until = slot.until.min(self.now);
        }
        self.now
    }

    /// Delivers a message, or lets its sender give up waiting. It may be stored after that.
    fn network(&mut self, chaos: bool) {
        let which = self.rng.below(self.in_flight.len());
        let Some(mut one) = (which < self.in_flight.len()).then(|| self.in_flight.swap_remove(which)) else {
            return;
        };
        let is_late = self.now - one.sent_at.max(one.outgoing.not_before) > MAX_TRANSIT;
        let (is_lost, is_unconfirmed) = (chaos && self.rng.percent(10), chaos && self.rng.percent(10));
        let mut response = one.pending_response.take().flatten();
        if one.is_delivered && !one.is_answered {
            // Its sender was suspended.
        } else if is_late || is_lost {
            one.is_delivered = true;
        } else if is_unconfirmed && !one.is_answered {
            // It is stored later.
        } else if one.outgoing.not_before <= self.now && !one.is_delivered {
            response = Some(self.store(&one.outgoing.sent));
            one.is_delivered = true;
            if chaos && self.rng.percent(20) {
                response = None;
            }
        } else if one.outgoing.not_before > self.now {
            self.in_flight.push(one);
            return;
        }
        if !one.is_answered && self.is_suspended(one.outgoing.sent.by) {
            one.pending_response = Some(response);
            self.in_flight.push(one);
            return;
        }
        if !one.is_answered {
            one.is_answered = true;
            self.respond(&one.outgoing.sent, response);
        }
        if !one.is_delivered {
            self.in_flight.push(one);
        }
    }

    fn is_suspended(&self, run: u32) -> bool {
        let is_own = |slot: &&Slot| slot.process.as_ref().is_some_and(|process| process.run == run);
        self.slots
            .iter()
            .find(is_own)
            .is_some_and(|slot| slot.until > self.now)
    }

    fn store(&mut self, sent: &Sent) -> Response {
        let before = self.exchange.replies.len();
        let response = self.exchange.store(sent, self.env.one_message, self.now);
        if self.exchange.replies.len() > before
            && let Some(reply) = self.exchange.replies.last()
            && let Err(violation) = self.check_reply(reply)
        {
            self.violation.get_or_insert(violation);
        }
        // A new attempt may begin with a number that the process used before, and finds that out with its first part.
        if response == Response::Exists
            && let Message::Part {
                attempt,
                number: number @ 2..,
            } = &sent.message
            && let Some(before) = self.exchange.parts.get(&(sent.key.clone(), *attempt, *number))
            && before.sent.by == sent.by
        {
            let what = format!("part {attempt}.{number} conflicts with one of the same process");
            self.violation.get_or_insert(what);
        }
        response
    }

    fn respond(&mut self, sent: &Sent, response: Option<Response>) {
        let world = World {
            exchange: &self.exchange,
            env: self.env,
            now: self.now,
            start: self.start,
            is_gate_open: self.is_gate_open,
            is_held: self.is_held,
            chaos: true,
        };
        let slot = self.slots.iter_mut().find(|slot| {
            slot.process
                .as_ref()
                .is_some_and(|process| process.run == sent.by)
        });
        if let Some(process) = slot.and_then(|slot| slot.process.as_mut())
            && self.env.awaits_acknowledgements
        {
            process.respond(sent.clone(), response, &world, &mut self.rng);
            let (violation, outbox) = (process.violation.take(), std::mem::take(&mut process.outbox));
            self.collect(violation, outbox);
        }
    }

    fn act(&mut self, chaos: bool) {
        let which = self.rng.below(self.slots.len());
        let Some(slot) = self.slots.get_mut(which).filter(|slot| slot.until <= self.now) else {
            return;
        };
        let world = World {
            exchange: &self.exchange,
            env: self.env,
            now: self.now,
            start: self.start,
            is_gate_open: self.is_gate_open,
            is_held: self.is_held,
            chaos,
        };
        let process = slot.process.get_or_insert_with(|| {
            self.runs += 1;
            Responder::new(self.runs, self.env, &mut self.rng)
        });
        process.act(&world, &mut self.rng);
        self.failed_reads.append(&mut process.failed_reads);
        let (violation, outbox) = (process.violation.take(), std::mem::take(&mut process.outbox));
        self.collect(violation, outbox);
    }

    fn collect(&mut self, violation: Option<String>, outbox: Vec<Outgoing>) {
        if let Some(violation) = violation {
            self.violation.get_or_insert(violation);
        }
        let sent_at = self.now;
        self.in_flight.extend(outbox.into_iter().map(|outgoing| InFlight {
            outgoing,
            sent_at,
            is_delivered: false,
            is_answered: false,
            pending_response: None,
        }));
    }

    fn is_idle(&self, since: i64) -> bool {
        let is_idle = |slot: &Slot| {
            slot.process
                .as_ref()
                .is_some_and(|process| process.is_idle(since))
        };
        self.slots.iter().all(is_idle) && self.in_flight.is_empty()
    }

    /// Checks each outcome and its parts as they are in the end.
    fn check(&self) -> Result<(), String> {
        for filed in &self.exchange.requests {
            let replies = self.exchange.replies.iter();
            let count = replies.filter(|stored| stored.sent.key == filed.key).count();
            if count != 1 {
                return Err(format!("{} has {count} replies", filed.key.id));
            }
        }
        for reply in &self.exchange.replies {
            self.check_reply(reply)?;
        }
        for (name, most) in policy::quotas(self.env.quotas) {
            let own = self
                .exchange
                .replies
                .iter()
                .filter(|one| one.sent.key.recipient == name);
            let rows: u64 = own.filter_map(outcome).map(Outcome::rows).sum();
            if most.rows_a_day.is_some_and(|most| rows > most) {
                return Err(format!("{rows} rows exceed the quota of {name}"));
            }
        }
        Ok(())
    }

    fn check_reply(&self, reply: &Stored) -> Result<(), String> {
        let (key, Some(outcome)) = (&reply.sent.key, outcome(reply)) else {
            return Err("a reply without an outcome".to_owned());
        };
        let Some(filed) = self.exchange.request(key) else {
            return Err(format!("{} has a reply and was not filed", key.id));
        };
        let deadline = filed.request.deadline;
        let violation = |what: &str| Err(format!("{} is {}: {what}", key.id, outcome.name()));
        match outcome {
            Outcome::Answered { rows, .. } | Outcome::Partial { rows, .. } => {
                let stored = self.exchange.answer_rows(reply)?;
                let expected: Vec<u32> = (0..u32::try_from(*rows).unwrap()).collect();
                if stored != expected {
                    return violation(&format!("its parts have the rows {stored:?}"));
                }
                let is_whole = stored.len() == filed.rows as usize;
                if is_whole != matches!(outcome, Outcome::Answered { .. }) {
                    return violation(&format!("{} of {} rows", stored.len(), filed.rows));
                }
            }
            Outcome::Empty if filed.rows > 0 => return violation("it has rows"),
            Outcome::Expired if deadline.is_none_or(|deadline| time(reply.at) < deadline) => {
                return violation("its deadline has not passed");
            }
            Outcome::Cancelled if !self.exchange.cancels.iter().any(|(one, _)| one == key) => {
                return violation("it was not cancelled");
            }
            Outcome::Failed { .. } => {
                let failures = self.failed_reads.iter().filter(|one| *one == key).count();
                if failures <= policy::RETRIES as usize {
                    return violation("too few reads failed");
                }
            }
            Outcome::Refused { code, .. } => {
                let is_expected = match code {
                    RefusalCode::UnknownKind => filed.request.kind == "missing",
                    RefusalCode::NotApproved => filed.request.kind == "granted",
                    RefusalCode::Quota => self.env.quotas,
                    _ => false,
                };
                if !is_expected {
                    return violation("no rule refuses it");
                }
            }
            Outcome::Empty | Outcome::Expired | Outcome::Cancelled => {}
        }
        let is_answer = matches!(
            outcome,
            Outcome::Answered { .. } | Outcome::Partial { .. } | Outcome::Empty
        );
        if is_answer && deadline.is_some_and(|deadline| deadline <= time(reply.at)) {
            return violation("its deadline has passed");
        }
        Ok(())
    }

    fn count(&self) -> Count {
        let named = |name: &str| {
            let replies = self.exchange.replies.iter().filter_map(outcome);
            replies.filter(|outcome| outcome.name() == name).count()
        };
        let replies = &self.exchange.replies;
        let parts: usize = replies
            .iter()
            .filter_map(outcome)
            .map(|one| one.parts().len())
            .sum();
        let first = replies.first().map(|reply| reply.sent.by);
        Count {
            answered: named("answered") + named("partial") + named("empty"),
            cancelled: named("cancelled"),
            expired: named("expired"),
            refused: named("refused"),
            failed: named("failed"),
            orphans: self.exchange.parts.len() - parts,
            kills: self.kills,
            shared: usize::from(replies.iter().any(|reply| Some(reply.sent.by) != first)),
        }
    }

    fn describe(&self) -> String {
        let processes = self.slots.iter().filter_map(|slot| slot.process.as_ref());
        let states: Vec<String> = processes.map(Responder::describe).collect();
        let replied = self.exchange.replies.len();
        format!(
            "{replied} of {} replies, {} in flight, {states:?}",
            self.exchange.requests.len(),
            self.in_flight.len()
        )
    }
}
