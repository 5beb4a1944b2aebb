use proptest::prelude::*;
use schemas::progress::{EarlierState, Waiting};
use schemas::refusal::RefusalCode;
use schemas::reply::Outcome;

use super::*;
use crate::sample::{self, at};

fn stored<T>(message: &T, digest: Digest, second: i64) -> Stored<'_, T> {
    Stored {
        message,
        digest,
        stored_at: at(second),
    }
}

fn progress(state: Waiting) -> Progress {
    let request = sample::request();
    Progress {
        id: request.id,
        recipient: request.recipient,
        request: sample::digest(),
        state,
        since: at(30),
        taken_at: at(20),
        earlier: Vec::new(),
        place: Some(3),
        forecast: Some(at(900)),
        instance: "one".to_owned(),
        at: at(31),
        key: request.key,
    }
}

fn cancel() -> Cancel {
    let request = sample::request();
    Cancel {
        id: request.id,
        recipient: request.recipient,
        request: sample::digest(),
        reason: "no longer needed".to_owned(),
        at: at(39),
        key: request.key,
    }
}

fn reply_digest() -> Digest {
    Digest::of(&[b"the reply"])
}

fn confirm() -> Confirm {
    let request = sample::request();
    Confirm {
        id: request.id,
        recipient: request.recipient,
        reply: reply_digest(),
        rows: 5,
        quarantined: 1,
        delivered_at: at(70),
        stored_at: at(71),
        key: request.key,
    }
}

/// Returns the status of the stored messages, at second 100.
fn status(
    request: bool,
    waiting: Option<&Progress>,
    reply: Option<&Reply>,
    confirm: Option<&Confirm>,
) -> Option<Status> {
    let filed = sample::request();
    let known = RequestMessages {
        request: request.then(|| stored(&filed, sample::digest(), 0)),
        progress: waiting.map(|message| stored(message, Digest::of(&[b"progress"]), 31)),
        reply: reply.map(|message| stored(message, reply_digest(), 61)),
        confirm: confirm.map(|message| stored(message, Digest::of(&[b"confirm"]), 72)),
        ..RequestMessages::default()
    };
    compute(&known, at(100))
}

fn life(status: &Status) -> Vec<(&'static str, i64, Clock)> {
    let second = |at: Timestamp| at.as_second() - sample::at(0).as_second();
    let steps = status.steps.iter();
    steps
        .map(|step| (step.state.name(), second(step.at), step.clock))
        .collect()
}

const FILED: (&str, i64, Clock) = ("filed", -1, Clock::Filer);
const STORED: (&str, i64, Clock) = ("stored", 0, Clock::Exchange);
const TAKEN: (&str, i64, Clock) = ("taken", 20, Clock::Responder);

#[test]
fn status_of_local_request_is_filed_and_of_unknown_none() {
    assert_eq!(compute(&RequestMessages::default(), at(0)), None);
    let known = RequestMessages {
        filed_at: Some(at(-5)),
        ..RequestMessages::default()
    };
    assert_eq!(
        life(&compute(&known, at(0)).unwrap()),
        [("filed", -5, Clock::Filer)]
    );
    let request = sample::request();
    let both = RequestMessages {
        request: Some(stored(&request, sample::digest(), 0)),
        ..known
    };
    assert_eq!(life(&compute(&both, at(0)).unwrap()), [FILED, STORED]);
}

#[test]
fn status_of_a_waiting_request_has_its_time() {
    let now = |state: Waiting| status(true, Some(&progress(state)), None, None).unwrap();
    let approval = Waiting::WaitsForApproval {
        granted: 1,
        needed: 2,
    };
    let waits = now(approval);
    assert_eq!(
        life(&waits),
        [FILED, STORED, ("waits_for_approval", 30, Clock::Responder)]
    );
    let taken = now(Waiting::Taken);
    assert_eq!(life(&taken), [FILED, STORED, TAKEN]);
    assert_eq!((taken.place, taken.forecast), (Some(3), Some(at(900))));
    let held = now(Waiting::Held {
        reason: "the gate is closed".to_owned(),
    });
    assert_eq!(
        life(&held),
        [FILED, STORED, TAKEN, ("held", 30, Clock::Responder)]
    );
    let json = serde_json::to_string(&held).unwrap();
    assert!(
        json.contains(r#""state":"held","reason":"the gate is closed","at":"#),
        "{json}"
    );
    let answering = Waiting::Answering {
        attempt: 1,
        parts: 2,
        rows: 90,
    };
    let answering = now(answering);
    assert_eq!(
        life(&answering),
        [FILED, STORED, TAKEN, ("answering", 30, Clock::Responder)]
    );
    assert_eq!(answering.outcome(), None);
}

#[test]
fn status_trail_keeps_approvals_after_the_last_officer() {
    let approval = |granted, second| EarlierState {
        state: Waiting::WaitsForApproval { granted, needed: 2 },
        since: at(second),
    };
    let held = || Waiting::Held {
        reason: "why".to_owned(),
    };
    let mut taken = progress(Waiting::Taken);
    taken.earlier = vec![approval(0, 5), approval(1, 9)];
    let life_of = |progress: &Progress| life(&status(true, Some(progress), None, None).unwrap());
    let waits = |second| ("waits_for_approval", second, Clock::Responder);
    let asked = vec![FILED, STORED, waits(5), waits(9), TAKEN];
    assert_eq!(life_of(&taken), asked);
    let more = |steps: &[(&'static str, i64, Clock)]| [asked.as_slice(), steps].concat();
    let mut answering = progress(Waiting::Answering {
        attempt: 1,
        parts: 0,
        rows: 1,
    });
    answering.earlier = taken.earlier.clone();
    answering.earlier.push(EarlierState {
        state: held(),
        since: at(22),
    });
    let (held_at, now) = (
        ("held", 22, Clock::Responder),
        ("answering", 30, Clock::Responder),
    );
    assert_eq!(life_of(&answering), more(&[held_at, now]));
    // Held again: the first time stays, and the last step is the state.
    let mut again = answering.clone();
    again.state = held();
    assert_eq!(life_of(&again), more(&[held_at, ("held", 30, Clock::Responder)]));
    let reply = sample::reply(Outcome::Empty);
    let done = status(true, Some(&answering), Some(&reply), None).unwrap();
    assert_eq!(life(&done), more(&[held_at, now, ("empty", 61, Clock::Exchange)]));
}

#[test]
fn status_outcome_ends_the_waiting() {
    let reason = || "why".to_owned();
    let refused = Outcome::Refused {
        code: RefusalCode::Quota,
        reason: reason(),
        retry_at: Some(at(99)),
    };
    let answered = Outcome::Answered {
        rows: 5,
        parts: vec![reply_digest()],
    };
    let partial = Outcome::Partial {
        rows: 5,
        parts: Vec::new(),
        reason: reason(),
    };
    let failed = Outcome::Failed { reason: reason() };
    let all = [
        answered,
        Outcome::Empty,
        partial,
        refused,
        Outcome::Expired,
        Outcome::Cancelled,
        failed,
    ];
    let held = progress(Waiting::Held { reason: reason() });
    for outcome in all {
        let name = outcome.name();
        let reply = sample::reply(outcome);
        let status = status(true, Some(&held), Some(&reply), None).unwrap();
        assert_eq!(life(&status), [FILED, STORED, TAKEN, (name, 61, Clock::Exchange)]);
        assert_eq!(status.outcome(), status.now());
        assert_eq!(
            (status.place, status.forecast, status.overdue),
            (None, None, false)
        );
    }
}

#[test]
fn status_outcome_is_delivered_then_stored() {
    let reply = sample::reply(Outcome::Empty);
    let status = status(true, None, Some(&reply), Some(&confirm())).unwrap();
    let expected = [
        FILED,
        STORED,
        ("empty", 61, Clock::Exchange),
        ("delivered", 70, Clock::Receiver),
        ("stored_by_insurer", 71, Clock::Receiver),
    ];
    assert_eq!(life(&status), expected);
    assert_eq!(status.outcome().map(|step| step.state.name()), Some("empty"));
    // The request itself was removed after its retention; the other messages remain.
    let rest = self::status(false, None, Some(&reply), Some(&confirm())).unwrap();
    assert_eq!(life(&rest), expected[2..]);
}

#[test]
fn status_passed_deadline_is_overdue_and_cancel_is_pending() {
    let mut request = sample::request();
    request.deadline = Some(at(50));
    let wish = cancel();
    let known = RequestMessages {
        request: Some(stored(&request, sample::digest(), 0)),
        cancel: Some(stored(&wish, Digest::of(&[b"cancel"]), 40)),
        ..RequestMessages::default()
    };
    let early = compute(&known, at(49)).unwrap();
    assert_eq!((early.overdue, early.cancel_requested_at), (false, Some(at(40))));
    assert_eq!(life(&early), [FILED, STORED]);
    assert!(compute(&known, at(50)).unwrap().overdue);
    let reply = sample::reply(Outcome::Expired);
    let messages = RequestMessages {
        reply: Some(stored(&reply, reply_digest(), 61)),
        ..known
    };
    assert!(!compute(&messages, at(99)).unwrap().overdue);
}

#[test]
fn status_message_of_another_request_is_inconsistent() {
    let other = Digest::of(&[b"another request of this id"]);
    let (mut taken, mut wish, mut reply, mut done) = (
        progress(Waiting::Taken),
        cancel(),
        sample::reply(Outcome::Empty),
        confirm(),
    );
    (taken.request, wish.request, reply.request, done.reply) = (other, other, other, other);
    let request = sample::request();
    let known = RequestMessages {
        filed_at: None,
        request: Some(stored(&request, sample::digest(), 0)),
        cancel: Some(stored(&wish, other, 40)),
        progress: Some(stored(&taken, other, 31)),
        reply: Some(stored(&reply, reply_digest(), 61)),
        confirm: Some(stored(&done, other, 72)),
    };
    let status = compute(&known, at(100)).unwrap();
    assert_eq!(life(&status), [FILED, STORED]);
    assert_eq!(
        status.inconsistencies,
        [
            Inconsistency::Cancel,
            Inconsistency::Progress,
            Inconsistency::Reply,
            Inconsistency::Confirm
        ]
    );
    // The confirmation of an inconsistent reply is ignored as well.
    let done = confirm();
    let confirmed = RequestMessages {
        confirm: Some(stored(&done, other, 72)),
        ..known
    };
    assert_eq!(life(&compute(&confirmed, at(100)).unwrap()), [FILED, STORED]);
}

proptest! {
    /// Any set of messages: a status exactly if there is a message, its steps in the order of a request's
    /// life, each at most once, at most one outcome, and the outcome before the insurer's steps.
    #[test]
    fn status_of_any_messages_is_total(request in any::<bool>(), waiting in 0_usize..5, outcome in 0_usize..4, confirmed in any::<bool>()) {
        const ORDER: [&str; 14] = [
            "filed", "stored", "waits_for_approval", "taken", "held", "answering", "answered", "empty", "partial",
            "refused", "expired", "cancelled", "failed", "delivered",
        ];
        let states = [
            Waiting::Taken,
            Waiting::WaitsForApproval { granted: 0, needed: 1 },
            Waiting::Held { reason: String::new() },
            Waiting::Answering { attempt: 1, parts: 0, rows: 0 },
        ];
        let outcomes = [Outcome::Empty, Outcome::Expired, Outcome::Cancelled];
        let waiting = states.get(waiting).cloned().map(progress);
        let reply = outcomes.get(outcome).cloned().map(sample::reply);
        let confirm = confirmed.then(confirm);
        let status = status(request, waiting.as_ref(), reply.as_ref(), confirm.as_ref());
        let known = request || waiting.is_some() || reply.is_some() || confirmed;
        prop_assert_eq!(status.is_some(), known);
        let Some(status) = status else { return Ok(()) };
        let places: Vec<usize> = life(&status)
            .iter()
            .map(|(name, ..)| ORDER.iter().position(|known| known == name).unwrap_or(ORDER.len()))
            .collect();
        prop_assert!(places.is_sorted_by(|a, b| a < b), "{:?}", places);
        prop_assert_eq!(status.outcome().map(|step| step.state.name()), reply.as_ref().map(|reply| reply.outcome.name()));
        prop_assert_eq!(status.now().map(|step| step.state.name()), if confirmed {
            Some("stored_by_insurer")
        } else if let Some(reply) = &reply {
            Some(reply.outcome.name())
        } else if let Some(waiting) = &waiting {
            Some(State::from(&waiting.state).name())
        } else {
            Some("stored")
        });
    }
}
