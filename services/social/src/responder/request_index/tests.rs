use std::sync::Arc;

use bytes::Bytes;
use requests::quota::Quota;
use schemas::approval::Decision;
use schemas::envelope::Payload;
use schemas::origin::Origin;
use schemas::request::RequestId;
use schemas::sign::SigningKey;

use super::*;

/// Makes the messages of the streams.
struct Streams {
    insurer: Arc<SigningKey>,
    officer: Arc<SigningKey>,
    sequence: u64,
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_769_860_800 + second).unwrap()
}

fn id(number: u32) -> RequestId {
    format!("20260131-a{number:07}").parse().unwrap()
}

fn recipient() -> RecipientName {
    "insurer-a".parse().unwrap()
}

fn key(number: u32) -> RequestKey {
    RequestKey {
        recipient: recipient(),
        id: id(number),
    }
}

impl Streams {
    fn new() -> (Self, RequestIndex) {
        let (insurer, officer) = (Arc::new(SigningKey::generate()), Arc::new(SigningKey::generate()));
        let trusted = Trusted {
            requests: [(recipient(), vec![insurer.public().clone()])].into(),
            here: Origin::default(),
            officers: [("li".parse().unwrap(), vec![officer.public().clone()])].into(),
        };
        let streams = Self {
            insurer,
            officer,
            sequence: 0,
        };
        (streams, RequestIndex::new(trusted))
    }

    fn stored<P: Payload>(&mut self, subject: String, payload: &P, with: &SigningKey) -> Stored {
        self.sequence += 1;
        // Signed without the checks of `Envelope::sign`, as another program could.
        let text = serde_json::to_vec(payload).unwrap();
        let signature = with.sign(&[P::KIND.as_bytes(), &[0], &text].concat()).unwrap();
        let envelope = Envelope {
            kind: P::KIND.to_owned(),
            payload: text.into(),
            signature: signature.into(),
            body: Vec::new().into(),
        };
        Stored {
            subject,
            sequence: self.sequence,
            stored_at: at(i64::try_from(self.sequence).unwrap()),
            trace: None,
            bytes: Bytes::from(envelope.encode().unwrap()),
        }
    }

    fn request(&mut self, number: u32) -> Stored {
        self.request_for(number, None)
    }

    fn request_for(&mut self, number: u32, origin: Option<Origin>) -> Stored {
        let request = Request {
            id: id(number),
            recipient: recipient(),
            origin,
            kind: "k".to_owned(),
            arguments: BTreeMap::new(),
            purpose: "01".to_owned(),
            basis: "01".to_owned(),
            deadline: None,
            idempotency: None,
            filed_by: "clerk".to_owned(),
            filed_at: at(0),
            key: self.insurer.public().clone(),
        };
        let with = Arc::clone(&self.insurer);
        self.stored(format!("request.insurer-a.{}", id(number)), &request, &with)
    }

    fn cancel(&mut self, number: u32, request: Digest, with: &SigningKey) -> Stored {
        let cancel = Cancel {
            id: id(number),
            recipient: recipient(),
            request,
            reason: "so".to_owned(),
            at: at(0),
            key: with.public().clone(),
        };
        self.stored(format!("cancel.insurer-a.{}", id(number)), &cancel, with)
    }

    fn approval(&mut self, number: u32, officer: &str, request: Digest) -> Stored {
        let with = Arc::clone(&self.officer);
        let approval = Approval {
            id: id(number),
            recipient: recipient(),
            request,
            officer: officer.parse().unwrap(),
            decision: Decision::Grant,
            reason: "so".to_owned(),
            at: at(0),
            key: with.public().clone(),
        };
        self.stored(
            format!("approval.insurer-a.{}.{officer}", id(number)),
            &approval,
            &with,
        )
    }

    fn reply(&mut self, number: u32, outcome: Outcome) -> Stored {
        let with = Arc::clone(&self.officer);
        let reply = Reply {
            id: id(number),
            recipient: recipient(),
            request: Digest::of(&[b"x"]),
            outcome,
            attempt: None,
            definition: None,
            load: None,
            read_from: None,
            read_to: None,
            withheld: 0,
            instance: "one".to_owned(),
            at: at(0),
            key: with.public().clone(),
        };
        self.stored(format!("reply.insurer-a.{}", id(number)), &reply, &with)
    }
}

fn digest(stored: &Stored) -> Digest {
    Envelope::decode(&stored.bytes).unwrap().digest()
}

#[test]
fn index_requests_without_an_outcome_are_pending() {
    let (mut streams, mut index) = Streams::new();
    let requests: Vec<Stored> = (1..=3).map(|number| streams.request(number)).collect();
    let reply = streams.reply(2, Outcome::Empty);
    index.add_reply(&reply);
    requests.iter().for_each(|request| index.add_request(request));
    index.end_round(at(100));
    assert_eq!(index.take_changed(), BTreeSet::from([key(1), key(3)]));
    let reply = streams.reply(3, Outcome::Expired);
    index.add_reply(&reply);
    // Read again, as by a poll that begins at the last message.
    index.add_request(&requests[0]);
    assert_eq!(index.take_removed(), [key(3)]);
    assert!(index.get(&key(1)).is_some() && index.get(&key(2)).is_none());
}

#[test]
fn index_request_for_another_site_is_refused() {
    let (mut streams, mut index) = Streams::new();
    let site = |name: &str| Origin {
        site: name.parse().unwrap(),
        ..Origin::default()
    };
    let (own, other) = (Some(Origin::default()), Some(site("test")));
    for (number, origin) in [(1, None), (2, own), (3, other)] {
        let request = streams.request_for(number, origin);
        index.add_request(&request);
    }
    let is_read = |number| index.get(&key(number)).unwrap().request.is_ok();
    assert!(is_read(1) && is_read(2));
    let refusal = index.get(&key(3)).unwrap().request.as_ref().unwrap_err();
    assert_eq!(refusal.code, RefusalCode::NotTrusted);
    assert!(refusal.reason.contains("its site is test"), "{refusal:?}");
}

#[test]
fn index_cancel_needs_its_recipients_key_and_request() {
    let (mut streams, mut index) = Streams::new();
    let request = streams.request(1);
    index.add_request(&request);
    let (own, stranger) = (Arc::clone(&streams.insurer), SigningKey::generate());
    let is_cancelled = |index: &RequestIndex| index.get(&key(1)).unwrap().cancelled;
    let forged = streams.cancel(1, digest(&request), &stranger);
    index.add_cancel(&forged);
    let other = streams.cancel(1, Digest::of(&[b"another"]), &own);
    index.add_cancel(&other);
    assert!(!is_cancelled(&index));
    let real = streams.cancel(1, digest(&request), &own);
    index.add_cancel(&real);
    assert!(is_cancelled(&index));
}

#[test]
fn index_cancel_with_a_hidden_character_is_ignored() {
    let (mut streams, mut index) = Streams::new();
    let request = streams.request(1);
    index.add_request(&request);
    let own = Arc::clone(&streams.insurer);
    let mut cancel = Cancel {
        id: id(1),
        recipient: recipient(),
        request: digest(&request),
        reason: "not wanted\u{202e}".to_owned(),
        at: at(1),
        key: own.public().clone(),
    };
    let subject = Subject::Cancel(recipient(), id(1)).to_string();
    let hidden = streams.stored(subject.clone(), &cancel, &own);
    index.add_cancel(&hidden);
    assert!(!index.get(&key(1)).unwrap().cancelled);
    cancel.reason = "not wanted".to_owned();
    let visible = streams.stored(subject, &cancel, &own);
    index.add_cancel(&visible);
    assert!(index.get(&key(1)).unwrap().cancelled);
}

/// Trap: a request and its cancel that arrive between the reads of their two streams.
#[test]
fn index_cancel_read_before_its_request_is_applied() {
    let (mut streams, mut index) = Streams::new();
    let request = streams.request(1);
    let own = Arc::clone(&streams.insurer);
    let cancel = streams.cancel(1, digest(&request), &own);
    let approval = streams.approval(1, "li", digest(&request));
    index.add_cancel(&cancel);
    index.add_approval(&approval);
    index.end_round(at(10));
    index.add_request(&request);
    index.end_round(at(12));
    let entry = index.get(&key(1)).unwrap();
    assert!(entry.cancelled && entry.approvals.len() == 1);
    // Those of unknown requests are dropped afterwards.
    let stray = streams.approval(2, "li", Digest::of(&[b"x"]));
    index.add_approval(&stray);
    (0..3).for_each(|_| index.end_round(at(14)));
    assert!(index.early.iter().all(Vec::is_empty));
}

#[test]
fn index_officer_approves_once_and_with_their_own_key() {
    let (mut streams, mut index) = Streams::new();
    let request = streams.request(1);
    index.add_request(&request);
    for officer in ["li", "li", "wang"] {
        let approval = streams.approval(1, officer, digest(&request));
        index.add_approval(&approval);
    }
    assert_eq!(index.get(&key(1)).unwrap().approvals.len(), 1);
}

#[test]
fn index_quota_counts_an_outcome_once() {
    let (mut streams, mut index) = Streams::new();
    let quota = Quota {
        rows_a_day: Some(10),
        ..Quota::default()
    };
    let request = streams.request(1);
    index.add_request(&request);
    let answered = Outcome::Answered {
        rows: 4,
        parts: Vec::new(),
    };
    let left = |index: &RequestIndex| {
        let position = StreamPosition {
            sequence: 99,
            stored_at: at(50),
        };
        quota
            .evaluate(index.history(&recipient()).unwrap(), position, at(50))
            .unwrap()
    };
    assert_eq!(left(&index), Some(10));
    index.record_own_outcome(&key(1), at(20), &answered);
    assert_eq!(left(&index), Some(6));
    let reply = streams.reply(1, answered);
    index.add_reply(&reply);
    assert_eq!(left(&index), Some(6));
}
