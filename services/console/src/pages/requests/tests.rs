use std::collections::BTreeMap;

use bytes::Bytes;
use exchange::RequestExchange;
use exchange_testing::memory::Memory;
use jiff::{SignedDuration, Timestamp};
use schemas::cursor::Scalar;
use schemas::envelope::{Envelope, Payload};
use schemas::name::RecipientName;
use schemas::reply::{Outcome, Reply};
use schemas::request::{Request, RequestId};
use schemas::sign::SigningKey;

use super::*;
use crate::html::Level;
use crate::pages::sample::{access, context, now};
use crate::site::{ConsoleRole, PartyRole};

/// An exchange with requests of one insurer.
struct Site {
    exchange: Arc<Memory>,
    recipient: RecipientName,
    insurer: SigningKey,
    bureau: SigningKey,
}

fn signed<P: Payload>(payload: &P, key: &SigningKey) -> (Bytes, schemas::digest::Digest) {
    let envelope = Envelope::sign(payload, Vec::new(), key).unwrap();
    (Bytes::from(envelope.encode().unwrap()), envelope.digest())
}

impl Site {
    fn new() -> Self {
        let recipient: RecipientName = "insurer-a".parse().unwrap();
        let memory = Memory::new(std::slice::from_ref(&recipient));
        Self {
            exchange: Arc::new(memory.with_clock(|| now() - SignedDuration::from_mins(5))),
            recipient,
            insurer: SigningKey::generate(),
            bureau: SigningKey::generate(),
        }
    }

    fn access(&self, role: PartyRole) -> Access {
        let trust = BTreeMap::from([
            ("bureau".parse().unwrap(), vec![self.bureau.public().clone()]),
            ("insurer-a".parse().unwrap(), vec![self.insurer.public().clone()]),
        ]);
        access(&self.exchange, role, trust)
    }

    fn request(&self, number: usize) -> Request {
        Request {
            id: format!("20260131-{number:08}").parse().unwrap(),
            recipient: self.recipient.clone(),
            origin: None,
            kind: ["setl.by_person", "fee.by_visit"][number % 2].to_owned(),
            arguments: [("psn_no".to_owned(), Scalar::Text("p4711".to_owned()))].into(),
            purpose: "01".to_owned(),
            basis: "02".to_owned(),
            deadline: None,
            idempotency: None,
            filed_by: "clerk".to_owned(),
            filed_at: now() - SignedDuration::from_mins(6),
            key: self.insurer.public().clone(),
        }
    }

    async fn file(&self, number: usize, outcome: Option<Outcome>, signer: &SigningKey) -> RequestId {
        let request = self.request(number);
        let (bytes, digest) = signed(&request, &self.insurer);
        self.exchange
            .file_request(&self.recipient, &request.id, bytes)
            .await
            .unwrap();
        if let Some(outcome) = outcome {
            let reply = Reply {
                id: request.id.clone(),
                recipient: self.recipient.clone(),
                request: digest,
                outcome,
                attempt: Some(1),
                definition: None,
                load: None,
                read_from: None,
                read_to: None,
                withheld: 0,
                instance: "i".to_owned(),
                at: Timestamp::UNIX_EPOCH,
                key: signer.public().clone(),
            };
            let (bytes, _) = signed(&reply, signer);
            self.exchange
                .reply(&self.recipient, &request.id, bytes)
                .await
                .unwrap();
        }
        request.id
    }

    async fn page(&self, role: PartyRole, parameters: &[(&str, &str)]) -> String {
        let mut context = context(role, ConsoleRole::Viewer);
        context.query = parameters
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let body = show(&self.access(role), &context).await;
        body.fixed + &body.live
    }
}

#[tokio::test]
async fn requests_page_shows_states_and_no_arguments() {
    let site = Site::new();
    site.file(1, None, &site.bureau).await;
    site.file(2, Some(Outcome::Empty), &site.bureau).await;
    for role in [PartyRole::Recipient, PartyRole::Bureau, PartyRole::Auditor] {
        let page = site.page(role, &[]).await;
        for expected in [
            "2 of the newest 2 requests match; 1 of them have no outcome",
            "data-state=\"stored\"",
            "data-state=\"empty\"",
            "setl.by_person",
        ] {
            assert!(page.contains(expected), "{role:?} {expected}: {page}");
        }
        for hidden in ["p4711", "psn_no", "clerk"] {
            assert!(!page.contains(hidden), "{role:?} {hidden}");
        }
    }
}

#[tokio::test]
async fn requests_filters_choose_state_and_kind() {
    let site = Site::new();
    for number in 0..6 {
        let outcome = (number < 3).then_some(Outcome::Empty);
        site.file(number, outcome, &site.bureau).await;
    }
    let count = async |parameters: &[(&str, &str)]| {
        let page = site.page(PartyRole::Bureau, parameters).await;
        page.matches("<tr id=\"request-").count()
    };
    assert_eq!(count(&[]).await, 6);
    assert_eq!(count(&[("state", "open")]).await, 3);
    assert_eq!(count(&[("state", "empty"), ("kind", "fee.by_visit")]).await, 1);
    assert_eq!(count(&[("age", "1h")]).await, 6);
    let before = (now() - SignedDuration::from_mins(10)).to_string();
    assert_eq!(count(&[("before", &before)]).await, 0);
}

#[tokio::test]
async fn request_history_has_the_steps_of_the_command_line() {
    let site = Site::new();
    let outcome = Outcome::Partial {
        rows: 7,
        parts: Vec::new(),
        reason: "the limit of rows".to_owned(),
    };
    let id = site.file(1, Some(outcome), &site.bureau).await.to_string();
    let page = site
        .page(PartyRole::Auditor, &[("id", &id), ("recipient", "insurer-a")])
        .await;
    for expected in [
        "data-step=\"filed\"",
        "data-step=\"stored\"",
        "data-step=\"partial\"",
        "7 rows; the limit of rows",
        "No officer has decided",
    ] {
        assert!(page.contains(expected), "{expected}: {page}");
    }
    assert!(!page.contains("p4711"));
    let own = site.page(PartyRole::Recipient, &[("id", &id)]).await;
    assert!(own.contains("does not read the decisions of officers"), "{own}");
}

/// An outcome that the bureau did not sign is shown as a refused message, not as the outcome.
#[tokio::test]
async fn request_reply_of_a_stranger_counts_for_nothing() {
    let site = Site::new();
    let stranger = SigningKey::generate();
    let id = site.file(1, Some(Outcome::Empty), &stranger).await.to_string();
    let page = site.page(PartyRole::Recipient, &[("id", &id)]).await;
    assert!(page.contains("no configured key signed it"), "{page}");
    assert!(page.contains("data-state=\"stored\""), "{page}");
    assert_eq!(level("empty", false, false), Level::Unknown);
}
