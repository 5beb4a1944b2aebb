use requests::admission::RowLimit;
use requests::kind::Priority;
use requests::queue::{QueuedRequest, RequestKey};

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_769_860_800 + second).unwrap()
}

fn digest(name: &str) -> Digest {
    Digest::of(&[name.as_bytes()])
}

fn answer() -> Decision {
    Decision::Answer(Box::new(Allowed {
        bound: Vec::new(),
        max_rows: (10, RowLimit::Kind),
        definition: digest("definition"),
        held_persons: std::collections::BTreeMap::new(),
        queued: QueuedRequest {
            key: RequestKey {
                recipient: "insurer-a".parse().unwrap(),
                id: "20260131-abcdefgh".parse().unwrap(),
            },
            priority: Priority::default(),
            deadline: None,
            sequence: 1,
            stored_at: at(0),
            cost_ms: 1,
        },
    }))
}

/// A request to which events are applied.
struct Request {
    processing: Processing,
    now: Instant,
    exchange_now: Timestamp,
    deadline: Option<Timestamp>,
    options: AnswerOptions,
}

impl Request {
    fn new() -> Self {
        Self {
            processing: Processing::default(),
            now: Instant::now(),
            exchange_now: at(0),
            deadline: None,
            options: AnswerOptions {
                retries: 1,
                ..AnswerOptions::default()
            },
        }
    }

    /// Returns a request for which a quantum is being read.
    fn reading() -> Self {
        let mut request = Self::new();
        assert_eq!(request.apply(Event::Decided(answer())), []);
        let actions = request.apply(Event::Permitted(answer()));
        assert!(matches!(actions.as_slice(), [Action::Read(_)]));
        request
    }

    fn apply(&mut self, event: Event) -> Vec<Action> {
        let context = StepContext {
            now: self.now,
            exchange_now: Some(self.exchange_now),
            deadline: self.deadline,
            jitter: 1.0,
            options: &self.options,
        };
        let (after, actions) = step(std::mem::take(&mut self.processing), event, &context);
        self.processing = after;
        actions
    }

    fn quantum(&mut self, blocks: usize, ended: Option<ReadEnd>) -> Vec<Action> {
        self.apply(Event::QuantumRead(QuantumEnd {
            blocks,
            rows: blocks as u64,
            ended,
            wait: None,
        }))
    }

    fn part_stored(&mut self, name: &str) -> Vec<Action> {
        let totals = PartTotals {
            rows: 1,
            ..PartTotals::default()
        };
        self.apply(Event::PartStored {
            digest: digest(name),
            totals,
        })
    }

    fn state(&self) -> &RequestState {
        &self.processing.state
    }
}

fn part(attempt: u32, number: u32) -> Action {
    Action::Publish(Message::Part { attempt, number })
}

fn reply_of(actions: &[Action]) -> (&Outcome, Option<u32>) {
    match actions.last() {
        Some(Action::Publish(Message::Reply { outcome, attempt, .. })) => (outcome, *attempt),
        other => panic!("{other:?}"),
    }
}

#[test]
fn step_reply_follows_the_acknowledgement_of_every_part() {
    let mut request = Request::reading();
    assert_eq!(request.quantum(2, Some(ReadEnd::Complete)), [part(1, 1)]);
    assert_eq!(request.part_stored("one"), [Action::DropBlock, part(1, 2)]);
    let actions = request.part_stored("two");
    let parts = vec![digest("one"), digest("two")];
    assert_eq!(
        reply_of(&actions),
        (&Outcome::Answered { rows: 2, parts }, Some(1))
    );
    assert_eq!(request.apply(Event::ReplyStored), [Action::Drop]);
    assert_eq!(request.state(), &RequestState::Closed);
}

#[test]
fn step_first_part_of_another_process_begins_the_next_attempt() {
    let mut request = Request::reading();
    assert_eq!(request.quantum(1, None), [part(1, 1)]);
    assert_eq!(request.apply(Event::Exists), [part(2, 1)]);
    assert_eq!(request.apply(Event::Exists), [part(3, 1)]);
    assert_eq!(request.part_stored("one"), [Action::DropBlock, Action::Decide]);
}

#[test]
fn step_later_part_of_another_process_voids_the_attempt() {
    let mut request = Request::reading();
    let _ = request.quantum(2, None);
    let _ = request.part_stored("one");
    assert!(matches!(
        request.apply(Event::Exists).as_slice(),
        [Action::Fail(_)]
    ));
    assert_eq!(request.processing.attempt, None);
    assert!(matches!(request.state(), RequestState::Backoff { .. }));
}

#[test]
fn step_outcome_of_another_process_closes_the_request() {
    let mut request = Request::new();
    let decision = Decision::Reply(Outcome::Cancelled, None);
    let actions = request.apply(Event::Decided(decision));
    assert_eq!(reply_of(&actions), (&Outcome::Cancelled, None));
    assert_eq!(request.apply(Event::Exists), [Action::Drop]);
    assert_eq!(request.state(), &RequestState::Closed);
}

#[test]
fn step_decision_during_a_read_or_a_message_is_ignored() {
    let cancel = || Event::Decided(Decision::Reply(Outcome::Cancelled, None));
    let mut request = Request::reading();
    assert_eq!(request.apply(cancel()), []);
    assert_eq!(request.state(), &RequestState::Reading);
    let _ = request.quantum(1, None);
    assert_eq!(request.apply(cancel()), []);
    assert_eq!(request.part_stored("one"), [Action::DropBlock, Action::Decide]);
    assert_eq!(reply_of(&request.apply(cancel())), (&Outcome::Cancelled, None));
}

#[test]
fn step_permit_with_another_decision_reads_nothing() {
    let mut request = Request::new();
    let _ = request.apply(Event::Decided(answer()));
    let held = Waiting::Held { reason: "x".into() };
    assert_eq!(request.apply(Event::Permitted(Decision::Wait(held.clone()))), []);
    assert_eq!(request.state(), &RequestState::Waiting);
    assert_eq!(request.processing.progress.waiting, Some(held));
    // A permit for a request that is not queued any more.
    assert_eq!(request.apply(Event::Permitted(answer())), []);
    assert!(matches!(request.state(), RequestState::Queued(_)));
}

#[test]
fn step_unconfirmed_message_is_stored_again() {
    let mut request = Request::reading();
    let _ = request.quantum(1, None);
    assert_eq!(request.apply(Event::Unconfirmed), [Action::Retry(1)]);
    assert_eq!(request.apply(Event::Unconfirmed), [Action::Retry(2)]);
    let _ = request.part_stored("one");
    // The next message begins with the first try.
    let _ = request.apply(Event::Decided(Decision::Reply(Outcome::Expired, None)));
    assert_eq!(request.apply(Event::Unconfirmed), [Action::Retry(1)]);
}

#[test]
fn step_answer_near_its_deadline_becomes_expired() {
    let mut request = Request::reading();
    request.deadline = Some(at(10));
    let _ = request.quantum(0, Some(ReadEnd::Complete));
    // It was in time, and its acknowledgement was lost.
    request.exchange_now = at(9);
    let actions = request.apply(Event::Unconfirmed);
    let Some(Action::Publish(Message::Reply {
        outcome, not_before, ..
    })) = actions.first()
    else {
        panic!("{actions:?}")
    };
    assert_eq!((outcome, not_before), (&Outcome::Expired, &Some(at(10))));
}

#[test]
fn step_last_failure_decides_at_once_and_others_back_off() {
    let failed = || Event::AttemptFailed("it broke".to_owned());
    let mut request = Request::reading();
    assert_eq!(request.apply(failed()), [Action::Fail("it broke".to_owned())]);
    let RequestState::Backoff { until } = *request.state() else {
        panic!("{:?}", request.state())
    };
    assert!(until > request.now);
    // An outcome waits for the end of the back-off.
    assert_eq!(
        request.apply(Event::Decided(Decision::Reply(Outcome::Cancelled, None))),
        []
    );
    assert_eq!(request.apply(Event::BackoffEnded), [Action::Decide]);
    let _ = request.apply(Event::Decided(answer()));
    let _ = request.apply(Event::Permitted(answer()));
    let actions = request.apply(failed());
    assert_eq!(actions, [Action::Fail("it broke".to_owned()), Action::Decide]);
    assert_eq!(request.processing.failures, 2);
    assert_eq!(request.processing.attempt, None);
}

#[test]
fn step_pause_keeps_the_stored_parts_of_an_attempt() {
    let mut request = Request::reading();
    let _ = request.quantum(1, None);
    let _ = request.part_stored("one");
    let held = Decision::Wait(Waiting::Held { reason: "x".into() });
    assert_eq!(request.apply(Event::Decided(held)), [Action::Pause]);
    let _ = request.apply(Event::Decided(answer()));
    let answering = Waiting::Answering {
        attempt: 1,
        parts: 1,
        rows: 1,
    };
    assert_eq!(request.processing.progress.waiting, Some(answering));
    let _ = request.apply(Event::Permitted(answer()));
    assert_eq!(request.quantum(1, Some(ReadEnd::Complete)), [part(1, 2)]);
}
