//! The fixture: a bureau, two insurers, an exchange and a source.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use disclosure::blocklist::BlockList;
use disclosure::hold::{ActiveHold, Holds};
use disclosure::mask::key::MaskKey;
use exchange::{Exchange, Filed, RequestExchange};
use exchange_testing::memory::Memory;
use gate::Gate;
use jiff::{SignedDuration, Timestamp};
use requests::kind::{KindConfig, Kinds};
use schemas::approval::{Approval, Decision};
use schemas::cursor::Scalar;
use schemas::envelope::{Envelope, Payload};
use schemas::name::{RecipientName, SourceName};
use schemas::origin::Origin;
use schemas::person::PersonKey;
use schemas::request::{Cancel, Request, RequestId};
use schemas::sign::SigningKey;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::table_source::Table;
use crate::responder::{AnswerConfig, AnswerOptions};
use crate::run::{HoldConfig, Social, SocialParts, SocialView, new_instance};
use crate::{SocialError, SocialOptions};

/// Everything that outlives an agent.
pub(super) struct Fixture {
    pub(super) exchange: Arc<Memory>,
    pub(super) table: Arc<Table>,
    pub(super) gate: Gate,
    pub(super) bureau: Arc<SigningKey>,
    pub(super) insurer: SigningKey,
    pub(super) officers: BTreeMap<&'static str, SigningKey>,
    pub(super) persons: PersonKey,
    pub(super) blocked: watch::Sender<Arc<BlockList>>,
    pub(super) holds: watch::Sender<Holds>,
    pub(super) answering: AnswerConfig,
    pub(super) min_rows: usize,
    pub(super) encryption: crate::signed_chunk::EncryptionKeys,
    ahead: Arc<AtomicI64>,
}

/// A running agent.
pub(super) struct Agent {
    pub(super) view: SocialView,
    stop: CancellationToken,
    task: JoinHandle<Result<(), SocialError>>,
}

pub(super) const A: &str = "insurer-a";
pub(super) const B: &str = "insurer-b";

/// Two kinds: by person, and all rows after two officers granted it.
pub(super) const KINDS: &str = r#"
[[kind]]
name = "setl.by_person"
sql = "select id, psn_no, psn_name, amount from setl where psn_no = $1"
arguments = [{ name = "psn_no", type = "text", max = 30, person = true }]
order = ["id"]
money = ["amount"]
person = ["psn_no"]
feeds = ["setl"]
max_rows = 50
[[kind.grant]]
recipient = "insurer-a"
purposes = { "01" = ["01"] }
columns = ["id", "psn_no", "amount"]
masks = { psn_no = "token" }
[[kind.grant]]
recipient = "insurer-b"
purposes = { "01" = ["01"] }
columns = ["id", "amount"]

[[kind]]
name = "setl.all"
sql = "select id, psn_no, psn_name, amount from setl"
order = ["id"]
person = ["psn_no"]
feeds = ["setl"]
max_rows = 1000000
priority = "bulk"
[[kind.grant]]
recipient = "insurer-a"
purposes = { "01" = ["01"] }
columns = ["id", "psn_name"]

[[kind]]
name = "setl.granted"
sql = "select id, psn_no, psn_name, amount from setl"
person = ["psn_no"]
feeds = ["setl"]
max_rows = 100
approval = { officers = 2 }
[[kind.grant]]
recipient = "insurer-a"
purposes = { "01" = ["01"] }
columns = ["id", "amount"]
"#;

pub(super) fn kinds(text: &str) -> Arc<Kinds> {
    let table: BTreeMap<String, Vec<KindConfig>> = serde_json::from_value(toml_json(text)).unwrap();
    Arc::new(Kinds::new(table.into_values().flatten().collect()).unwrap())
}

fn toml_json(text: &str) -> serde_json::Value {
    let table: toml::Table = text.parse().unwrap();
    serde_json::to_value(table).unwrap()
}

impl Fixture {
    pub(super) fn new(table: Table) -> Self {
        Self::at(table, Gate::fixed_open())
    }

    pub(super) fn at(table: Table, gate: Gate) -> Self {
        let bureau = Arc::new(SigningKey::generate());
        let insurer = SigningKey::generate();
        let persons = PersonKey::of(&bureau).unwrap();
        let officers: BTreeMap<_, _> = ["li", "wang"].map(|name| (name, SigningKey::generate())).into();
        let no_persons = BlockList::new(jiff::civil::date(2026, 1, 1), &persons, Vec::new());
        let (blocked, listed) = watch::channel(Arc::new(no_persons));
        let ahead = Arc::new(AtomicI64::new(0));
        let clock = Arc::clone(&ahead);
        let names = [A, B].map(|name| name.parse().unwrap());
        let exchange = Memory::new(&names)
            .with_clock(move || Timestamp::now() + SignedDuration::from_millis(clock.load(Ordering::SeqCst)));
        let answering = AnswerConfig {
            kinds: kinds(KINDS),
            quotas: BTreeMap::new(),
            trusted_requests: names.map(|name| (name, vec![insurer.public().clone()])).into(),
            officers: officers
                .iter()
                .map(|(name, key)| (name.parse().unwrap(), vec![key.public().clone()]))
                .collect(),
            blocked: listed,
            masking: Some(Arc::new(MaskKey::new(&"k".repeat(32)).unwrap())),
            history: None,
            options: AnswerOptions {
                interval: Duration::from_millis(20),
                retries: 1,
                ..AnswerOptions::default()
            },
        };
        Self {
            exchange: Arc::new(exchange),
            table: Arc::new(table),
            gate,
            bureau,
            insurer,
            officers,
            persons,
            blocked,
            holds: watch::Sender::new(Holds::Known(Vec::new())),
            answering,
            min_rows: 50,
            encryption: crate::signed_chunk::EncryptionKeys::default(),
            ahead,
        }
    }

    /// Starts an agent with this source's lease. Two names stand for a suspended and resumed process and its successor.
    pub(super) fn agent(&self, source: &str) -> Agent {
        let mut options = SocialOptions {
            lease: crate::lease::Timing::of(Duration::from_millis(300)),
            ..SocialOptions::default()
        };
        options.publisher.sizing.min_rows = self.min_rows;
        options.publisher.sizing.max_rows = options.publisher.sizing.max_rows.max(self.min_rows);
        let social = Social::new(SocialParts {
            exchange: Arc::clone(&self.exchange) as Arc<dyn Exchange>,
            source: Arc::clone(&self.table) as Arc<dyn source::Source>,
            source_name: SourceName::new(source).unwrap(),
            origin: Origin::default(),
            gate: self.gate.clone(),
            feeds: Vec::new(),
            key: Arc::clone(&self.bureau),
            trusted_publishers: Vec::new(),
            trusted_receipts: BTreeMap::new(),
            instance: new_instance(),
            holder: "test".into(),
            options,
        })
        .unwrap()
        .with_holds(HoldConfig {
            holds: self.holds.subscribe(),
            persons: BTreeMap::new(),
        })
        .with_encryption(self.encryption.clone())
        .with_answers(self.answering.clone());
        let (view, stop) = (social.view(), CancellationToken::new());
        let task = tokio::spawn(social.run(stop.clone()));
        Agent { view, stop, task }
    }

    /// Advances the exchange's clock.
    pub(super) fn later(&self, by: SignedDuration) {
        let by = i64::try_from(by.as_millis()).unwrap();
        self.ahead.fetch_add(by, Ordering::SeqCst);
    }

    pub(super) fn now(&self) -> Timestamp {
        Timestamp::now() + SignedDuration::from_millis(self.ahead.load(Ordering::SeqCst))
    }

    pub(super) fn request(&self, recipient: &str, kind: &str, person: Option<&str>) -> Request {
        let day = self.now().to_zoned(jiff::tz::TimeZone::UTC).date();
        let token = format!("{:016x}", rand::random::<u64>());
        Request {
            id: RequestId::new(day, &token).unwrap(),
            recipient: recipient.parse().unwrap(),
            origin: None,
            kind: kind.to_owned(),
            arguments: person
                .map(|person| ("psn_no".to_owned(), Scalar::Text(person.to_owned())))
                .into_iter()
                .collect(),
            purpose: "01".to_owned(),
            basis: "01".to_owned(),
            deadline: None,
            idempotency: None,
            filed_by: "clerk".to_owned(),
            filed_at: Timestamp::now(),
            key: self.insurer.public().clone(),
        }
    }

    pub(super) async fn file(&self, request: &Request) {
        let (bytes, _) = signed(request, &self.insurer);
        let filed = self
            .exchange
            .file_request(&request.recipient, &request.id, bytes)
            .await;
        assert!(matches!(filed, Ok(Filed::Done { .. }) | Err(_)));
    }

    pub(super) async fn ask(&self, recipient: &str, kind: &str, person: Option<&str>) -> Request {
        let request = self.request(recipient, kind, person);
        self.file(&request).await;
        request
    }

    pub(super) async fn cancel(&self, request: &Request) {
        let (_, digest) = signed(request, &self.insurer);
        let cancel = Cancel {
            id: request.id.clone(),
            recipient: request.recipient.clone(),
            request: digest,
            reason: "no longer needed".to_owned(),
            at: Timestamp::now(),
            key: self.insurer.public().clone(),
        };
        let (bytes, _) = signed(&cancel, &self.insurer);
        self.exchange
            .cancel_request(&request.recipient, &request.id, bytes)
            .await
            .unwrap();
    }

    pub(super) async fn decide(
        &self,
        request: &Request,
        officer: &str,
        with: &SigningKey,
        decision: Decision,
    ) {
        let (_, digest) = signed(request, &self.insurer);
        let approval = Approval {
            id: request.id.clone(),
            recipient: request.recipient.clone(),
            request: digest,
            officer: officer.parse().unwrap(),
            decision,
            reason: "as agreed".to_owned(),
            at: Timestamp::now(),
            key: with.public().clone(),
        };
        let (bytes, _) = signed(&approval, with);
        self.exchange
            .approve(&request.recipient, &request.id, &approval.officer, bytes)
            .await
            .unwrap();
    }

    pub(super) fn list(&self, persons: &[&str]) {
        let digests = persons
            .iter()
            .map(|person| self.persons.token(person).digest)
            .collect();
        let list = BlockList::new(jiff::civil::date(2026, 1, 2), &self.persons, digests);
        self.blocked.send_replace(Arc::new(list));
    }

    pub(super) fn hold(&self, recipients: &[&str], person: Option<&str>) {
        self.holds.send_replace(Holds::Known(vec![ActiveHold {
            id: "h1".into(),
            hold: schemas::control::Hold {
                recipients: recipients.iter().map(|name| name.parse().unwrap()).collect(),
                feeds: Vec::new(),
                person: person.map(|person| self.persons.token(person)),
            },
            actor: "li.na".into(),
            reason: "a matter of its own".into(),
            until: None,
        }]));
    }
}

impl Agent {
    pub(super) async fn end(self) {
        self.stop.cancel();
        assert_eq!(self.task.await.unwrap(), Ok(()));
    }

    /// Kills the agent as by SIGKILL: the lease is not released.
    pub(super) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

pub(super) fn signed<P: Payload>(payload: &P, key: &SigningKey) -> (Bytes, schemas::digest::Digest) {
    let envelope = Envelope::sign(payload, Vec::new(), key).unwrap();
    (Bytes::from(envelope.encode().unwrap()), envelope.digest())
}

pub(super) fn name(text: &str) -> RecipientName {
    text.parse().unwrap()
}

pub(super) async fn until(done: impl Fn() -> bool) {
    let wait = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait)
        .await
        .expect("the condition was not met in time");
}
