use std::sync::Arc;

use bytes::Bytes;
use requests::quota::Quota;
use schemas::approval::Decision;
use schemas::envelope::Payload;
use schemas::origin::Origin;
use schemas::request::RequestId;
use schemas::sign::SigningKey;

use super::*;

/// The streams, as they would be read.
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

fn key(number: u32) -> Key {
    Key {
        recipient: recipient(),
        id: id(number),
    }
}

impl Streams {
    fn new() -> (Self, Book) {
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
        (streams, Book::new(trusted))
    }

    fn stored<P: Payload>(&mut self, subject: String, payload: &P, with: &SigningKey) -> Stored {
        self.sequence += 1;
        // Signed here, as a program that is not ours would: what ours refuse to sign can be read, too.
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
        let said = Approval {
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
            &said,
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
fn requests_without_an_outcome_wait_whichever_stream_is_read_first() {
    let (mut streams, mut book) = Streams::new();
    let requests: Vec<Stored> = (1..=3).map(|number| streams.request(number)).collect();
    let reply = streams.reply(2, Outcome::Empty);
    book.reply(&reply);
    requests.iter().for_each(|request| book.request(request));
    book.end_round(at(100));
    assert_eq!(book.take_changed(), BTreeSet::from([key(1), key(3)]));
    let reply = streams.reply(3, Outcome::Expired);
    book.reply(&reply);
    // Read once more, as a look does that begins at the last message.
    book.request(&requests[0]);
    assert_eq!(book.take_removed(), [key(3)]);
    assert!(book.get(&key(1)).is_some() && book.get(&key(2)).is_none());
}

#[test]
fn book_request_for_another_site_is_refused() {
    let (mut streams, mut book) = Streams::new();
    let site = |name: &str| Origin {
        site: name.parse().unwrap(),
        ..Origin::default()
    };
    let (own, other) = (Some(Origin::default()), Some(site("test")));
    for (number, origin) in [(1, None), (2, own), (3, other)] {
        let request = streams.request_for(number, origin);
        book.request(&request);
    }
    let is_read = |number| book.get(&key(number)).unwrap().request.is_ok();
    assert!(is_read(1) && is_read(2));
    let refusal = book.get(&key(3)).unwrap().request.as_ref().unwrap_err();
    assert_eq!(refusal.code, RefusalCode::NotTrusted);
    assert!(refusal.reason.contains("site test"), "{refusal:?}");
}

#[test]
fn a_cancel_counts_for_the_request_that_it_names_and_from_its_recipient_alone() {
    let (mut streams, mut book) = Streams::new();
    let request = streams.request(1);
    book.request(&request);
    let (own, stranger) = (Arc::clone(&streams.insurer), SigningKey::generate());
    let is_cancelled = |book: &Book| book.get(&key(1)).unwrap().cancelled;
    let forged = streams.cancel(1, digest(&request), &stranger);
    book.cancel(&forged);
    let other = streams.cancel(1, Digest::of(&[b"another"]), &own);
    book.cancel(&other);
    assert!(!is_cancelled(&book));
    let real = streams.cancel(1, digest(&request), &own);
    book.cancel(&real);
    assert!(is_cancelled(&book));
}

#[test]
fn book_cancel_with_a_hidden_character_is_passed_over() {
    let (mut streams, mut book) = Streams::new();
    let request = streams.request(1);
    book.request(&request);
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
    book.cancel(&hidden);
    assert!(!book.get(&key(1)).unwrap().cancelled);
    cancel.reason = "not wanted".to_owned();
    let visible = streams.stored(subject, &cancel, &own);
    book.cancel(&visible);
    assert!(book.get(&key(1)).unwrap().cancelled);
}

/// Trap: a request and a word about it that come in between the reading of their two streams.
#[test]
fn a_word_about_a_request_that_is_read_in_the_next_round_is_not_lost() {
    let (mut streams, mut book) = Streams::new();
    let request = streams.request(1);
    let own = Arc::clone(&streams.insurer);
    let cancel = streams.cancel(1, digest(&request), &own);
    let approval = streams.approval(1, "li", digest(&request));
    book.cancel(&cancel);
    book.approval(&approval);
    book.end_round(at(10));
    book.request(&request);
    book.end_round(at(12));
    let entry = book.get(&key(1)).unwrap();
    assert!(entry.cancelled && entry.approvals.len() == 1);
    // What is about no request is forgotten after that.
    let stray = streams.approval(2, "li", Digest::of(&[b"x"]));
    book.approval(&stray);
    (0..3).for_each(|_| book.end_round(at(14)));
    assert!(book.early.iter().all(Vec::is_empty));
}

#[test]
fn an_officer_speaks_under_their_own_name_and_once() {
    let (mut streams, mut book) = Streams::new();
    let request = streams.request(1);
    book.request(&request);
    for officer in ["li", "li", "wang"] {
        let said = streams.approval(1, officer, digest(&request));
        book.approval(&said);
    }
    assert_eq!(book.get(&key(1)).unwrap().approvals.len(), 1);
}

#[test]
fn quotas_are_reckoned_from_the_streams_and_from_our_own_outcome_once() {
    let (mut streams, mut book) = Streams::new();
    let quota = Quota {
        rows_a_day: Some(10),
        ..Quota::default()
    };
    let request = streams.request(1);
    book.request(&request);
    let answered = Outcome::Answered {
        rows: 4,
        parts: Vec::new(),
    };
    let left = |book: &Book| {
        let place = Place {
            sequence: 99,
            stored_at: at(50),
        };
        quota
            .judge(book.history(&recipient()).unwrap(), place, at(50))
            .unwrap()
    };
    assert_eq!(left(&book), Some(10));
    book.answered(&key(1), at(20), &answered);
    assert_eq!(left(&book), Some(6));
    let reply = streams.reply(1, answered);
    book.reply(&reply);
    assert_eq!(left(&book), Some(6));
}
