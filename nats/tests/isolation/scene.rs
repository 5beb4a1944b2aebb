//! Streams with messages of every party, and deliveries that wait for an acknowledgement.

use async_nats::{Client, Message};
use bytes::Bytes;
use futures_util::StreamExt;
use nats::topology::rights::{Purpose, Right, rights};
use nats::topology::{Parties, Party, Role, accounts};

use crate::exchange_server::{ExchangeServer, recipients, soon};

use super::deputy::concrete;
use super::snapshot::Snapshot;

/// The messages that are there before anything is tried, by who publishes them.
const MESSAGES: [(&str, &str); 28] = [
    ("bureau", "data.insurer-a.setl"),
    ("bureau", "data.insurer-a.setl"),
    ("bureau", "data.insurer-b.setl"),
    ("bureau", "data.insurer-b.setl"),
    ("bureau", "reply.insurer-a.20260131-abcdefgh"),
    ("bureau", "reply.insurer-b.20260131-abcdefgh"),
    ("bureau", "part.insurer-a.20260131-abcdefgh.1.1"),
    ("bureau", "progress.insurer-a.20260131-abcdefgh"),
    ("bureau", "approval.insurer-a.20260131-abcdefgh.li_na"),
    ("bureau", "lease.core"),
    ("bureau", "audit.bureau.operator"),
    ("bureau", "control.bureau"),
    ("bureau", "status.bureau.social"),
    ("bureau", "watch.bureau"),
    ("insurer-a", "receipt.insurer-a.setl"),
    ("insurer-a", "request.insurer-a.20260131-abcdefgh"),
    ("insurer-a", "cancel.insurer-a.20260131-abcdefgh"),
    ("insurer-a", "confirm.insurer-a.20260131-abcdefgh"),
    ("insurer-a", "audit.insurer-a.operator"),
    ("insurer-a", "control.insurer-a"),
    ("insurer-a", "status.insurer-a.commercial"),
    ("insurer-a", "watch.insurer-a"),
    ("insurer-b", "receipt.insurer-b.setl"),
    ("insurer-b", "request.insurer-b.20260131-abcdefgh"),
    ("insurer-b", "audit.insurer-b.operator"),
    ("insurer-b", "control.insurer-b"),
    ("insurer-b", "status.insurer-b.commercial"),
    ("insurer-b", "watch.insurer-b"),
];

/// An exchange with messages, and who may do what there.
pub(super) struct Scene {
    pub(super) exchange: ExchangeServer,
    pub(super) parties: Parties,
    /// Whether every party has an account of its own. If not, all are users of the streams' account.
    separate: bool,
}

impl Scene {
    /// With the generated accounts.
    pub(super) async fn start() -> Self {
        Self::with(ExchangeServer::bare().await, true).await
    }

    /// With the generated accounts, and nothing else yet.
    pub(super) async fn bare() -> Self {
        Self {
            exchange: ExchangeServer::bare().await,
            parties: Self::parties(),
            separate: true,
        }
    }

    /// With the same rights as permissions of users in one account, to see that the attacks work there.
    pub(super) async fn in_one_account() -> Self {
        let flat = in_one_account(&Self::parties());
        let exchange = ExchangeServer::with(|path, text| match path {
            "accounts/all.conf" => format!("{}\n{flat}", accounts::GENERATED),
            _ => text,
        })
        .await;
        Self::with(exchange, false).await
    }

    async fn with(exchange: ExchangeServer, separate: bool) -> Self {
        // No delivery is redelivered while the attacks run.
        exchange
            .apply(|topology| {
                for consumer in &mut topology.consumers {
                    consumer.ack_wait_seconds = 36_000;
                }
            })
            .await;
        let scene = Self {
            exchange,
            parties: Self::parties(),
            separate,
        };
        for (user, subject) in MESSAGES {
            let client = scene.exchange.raw(user).await;
            let answer = client.request(subject, "one".into()).await.unwrap();
            let answer = String::from_utf8_lossy(&answer.payload).into_owned();
            assert!(answer.contains("\"seq\""), "{subject}: {answer}");
        }
        scene
    }

    /// The parties of every scene.
    pub(super) fn parties() -> Parties {
        Parties::shipped(&recipients()).unwrap()
    }

    /// The parties that attack.
    pub(super) fn attackers(&self) -> impl Iterator<Item = &Party> {
        self.parties.with_account()
    }

    /// What a party may do, each with the subject that it uses.
    pub(super) fn rights(&self, party: &Party) -> Vec<(Right, String)> {
        let all = rights(party, &self.parties).into_iter();
        all.map(|right| {
            let subject = if self.separate {
                right.local()
            } else {
                right.hub.clone()
            };
            (right, subject)
        })
        .collect()
    }

    /// A subject of the JetStream API as a party has it.
    pub(super) fn api(&self, question: &str) -> String {
        let prefix = if self.separate { "JS.hub.API" } else { "$JS.API" };
        format!("{prefix}.{question}")
    }

    /// Has a recipient fetch one message of each of its consumers and not acknowledge it; the acknowledgement subjects.
    pub(super) async fn unacknowledged(&self, recipient: &str) -> Vec<String> {
        let client = self.exchange.raw(recipient).await;
        let mut subjects = Vec::new();
        for stream in ["DATA", "REPLIES"] {
            let question = self.api(&format!("CONSUMER.MSG.NEXT.{stream}_{recipient}.{recipient}"));
            let message = ask(&client, &question, "{\"batch\":1,\"no_wait\":true}").await;
            let reply = message
                .reply
                .clone()
                .unwrap_or_else(|| panic!("nothing was delivered: {message:?}"));
            subjects.push(reply.to_string());
        }
        subjects
    }

    /// Everything that the exchange holds now.
    pub(super) async fn snapshot(&self) -> Snapshot {
        Snapshot::of(&self.exchange.admin().await).await
    }

    /// The recipients' names.
    pub(super) fn recipients(&self) -> Vec<String> {
        let recipients = self
            .parties
            .all()
            .iter()
            .filter(|party| party.role == Role::Recipient);
        recipients.map(|party| party.name.to_string()).collect()
    }
}

/// A party that listens to its own inbox, and to what else it may hear.
pub(super) struct Listener {
    name: String,
    client: Client,
    inbox: async_nats::Subscriber,
    /// A question that the party may ask, and where the answer goes: it ends what was sent before it.
    question: String,
    end: String,
}

impl Listener {
    /// Starts one for each other party.
    pub(super) async fn start_others(scene: &Scene, attacker: &Party) -> Vec<Self> {
        let mut listeners = Vec::new();
        for other in scene.parties.all() {
            if other.name != attacker.name {
                listeners.push(Self::start(scene, other).await);
            }
        }
        listeners
    }

    async fn start(scene: &Scene, party: &Party) -> Self {
        let name = party.name.to_string();
        let client = scene.exchange.raw(&name).await;
        let last = |(right, _): &(Right, String)| right.purpose == Purpose::Last;
        let (inbox, question) = match scene.rights(party).into_iter().find(last) {
            Some((_, subject)) => (format!("_INBOX_{name}.>"), concrete(&subject)),
            // The administrator's other inboxes have the answers that the snapshots are made of.
            None => (format!("_INBOX_{name}.stolen"), "$JS.API.INFO".to_owned()),
        };
        let end = inbox.replace('>', "end");
        let inbox = client.subscribe(inbox).await.unwrap();
        client.flush().await.unwrap();
        Self {
            name,
            client,
            inbox,
            question,
            end,
        }
    }

    /// What came that the party did not ask for, up to the answer to a question that is asked now: the server sends both
    /// on one connection, in their order.
    pub(super) async fn heard(&mut self) -> Vec<String> {
        let (question, end) = (self.question.clone(), self.end.clone());
        self.client
            .publish_with_reply(question, end, Bytes::new())
            .await
            .unwrap();
        self.client.flush().await.unwrap();
        let mut heard = Vec::new();
        loop {
            let message = soon("the end of what was heard", self.inbox.next())
                .await
                .unwrap();
            let is_info = message
                .payload
                .windows(21)
                .any(|part| part == b"account_info_response");
            if message.subject.ends_with(".end") || is_info {
                return heard;
            }
            heard.push(format!(
                "{} heard {}: {:?}",
                self.name, message.subject, message.payload
            ));
        }
    }
}

/// One account for all, each user with a list of what it may publish.
fn in_one_account(parties: &Parties) -> String {
    let mut text = String::from("HUB {\n  jetstream: enabled\n  users: [\n");
    for party in parties.all() {
        let mut publish: Vec<String> = rights(party, parties)
            .into_iter()
            .map(|right| right.hub)
            .collect();
        if party.role == Role::Administrator {
            publish.push("$JS.API.>".to_owned());
        }
        let publish: Vec<String> = publish.iter().map(|subject| format!("\"{subject}\"")).collect();
        text += &format!(
            "    {{ nkey: {}, permissions: {{ publish: [{}], subscribe: [\"_INBOX_{}.>\"] }} }}\n",
            party.keys[0],
            publish.join(", "),
            party.name
        );
    }
    text + "  ]\n}\n"
}

/// The first answer on any subject: a delivery arrives on the subject of its message, where the
/// client's own `request` does not look for it.
pub(super) async fn ask(client: &Client, question: &str, text: &str) -> Message {
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await.unwrap();
    client
        .publish_with_reply(question.to_owned(), inbox, body(text))
        .await
        .unwrap();
    soon(question, answers.next()).await.unwrap()
}

/// Waits until the server is done with all that the client sent on a subject: it answers in order.
pub(super) async fn settled(client: &Client, subject: &str) {
    client.flush().await.unwrap();
    let is_pull = subject.contains("MSG.NEXT");
    ask(
        client,
        subject,
        if is_pull {
            "{\"batch\":1,\"no_wait\":true}"
        } else {
            "{}"
        },
    )
    .await;
}

/// What an attacker sends: as an answer of the server it would be an order.
pub(super) fn body(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}
