//! What each party may do at the exchange: the one table from which account files and attack tests are made.
//!
//! Pure. Every right is one subject of the account `HUB`, with the exact number of tokens wherever the subject
//! has one: a wildcard that matches more tokens than it means gives an unintended permission.

use std::fmt::Display;

use schemas::name::PartyName;

use super::parties::{Parties, Party, Role};
use crate::streams::{
    APPROVALS, AUDIT, CANCELS, CONFIRMS, CONTROL, DATA, LEASES, PARTS, PROGRESS, RECEIPTS, REPLIES, REQUESTS,
    STATUS, own,
};

/// The account that owns the streams.
pub const HUB: &str = "HUB";

/// What the JetStream API of [`HUB`] begins with, in the account itself.
pub(crate) const HUB_API: &str = "$JS.API";

/// What it begins with in the account of a party. Under its own name it would be the API of the
/// party's account, which has no streams.
pub(crate) const PARTY_API: &str = "JS.hub.API";

/// nats-server's hash of the name [`HUB`], which acknowledgement subjects of the second form hold.
const HUB_HASH: &str = "LNj1UmbN";

/// One thing that a party may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    /// What it is for.
    pub purpose: Purpose,
    /// The subject in [`HUB`], with `*` for each token that is free.
    pub hub: String,
    /// How many messages answer one request.
    pub answers: Answers,
}

/// What a right is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Publish messages of its own.
    Publish,
    /// Pull from its consumers and acknowledge.
    Consume,
    /// Read the last message of a subject.
    Last,
    /// Read a whole stream in order.
    Scan,
}

/// How many messages answer one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// One.
    One,
    /// Several, until a status.
    Many,
}

impl Right {
    /// The subject as the party uses it, in its own account.
    #[must_use]
    pub fn local(&self) -> String {
        match self.hub.strip_prefix(HUB_API) {
            Some(rest) => format!("{PARTY_API}{rest}"),
            None => self.hub.clone(),
        }
    }
}

/// The streams that a recipient has for itself and the bureau publishes in, each with the first token of its subjects and
/// what follows the name.
const FROM_BUREAU: [(&str, &str, &str); 5] = [
    (DATA, "data", "*"),
    (APPROVALS, "approval", "*.*"),
    (PROGRESS, "progress", "*"),
    (PARTS, "part", "*.*.*"),
    (REPLIES, "reply", "*"),
];

/// Those that the recipient itself publishes in.
const FROM_RECIPIENT: [(&str, &str, &str); 4] = [
    (RECEIPTS, "receipt", "*"),
    (REQUESTS, "request", "*"),
    (CANCELS, "cancel", "*"),
    (CONFIRMS, "confirm", "*"),
];

/// All of a recipient's, each with its subjects.
fn exchanged(recipient: &dyn Display) -> impl Iterator<Item = (String, String)> {
    subjects(&FROM_BUREAU, recipient).chain(subjects(&FROM_RECIPIENT, recipient))
}

fn subjects(
    kinds: &'static [(&str, &str, &str)],
    recipient: &dyn Display,
) -> impl Iterator<Item = (String, String)> + use<> {
    let recipient = recipient.to_string();
    kinds.iter().map(move |(kind, first, rest)| {
        let subjects = format!("{first}.{recipient}.{rest}");
        (own(kind, &recipient), subjects)
    })
}

/// The streams that a party of this role publishes in, at an exchange with these recipients.
pub(crate) fn published_streams<'a>(
    role: Role,
    name: &dyn Display,
    recipients: impl Iterator<Item = &'a PartyName>,
) -> Vec<String> {
    let mut streams: Vec<String> = match role {
        Role::Administrator | Role::Auditor => return Vec::new(),
        Role::Bureau => {
            let exchanged = recipients.flat_map(|recipient| subjects(&FROM_BUREAU, recipient));
            let exchanged = exchanged.map(|(stream, _)| stream);
            exchanged.chain([LEASES.to_owned()]).collect()
        }
        Role::Recipient => {
            let own = subjects(&FROM_RECIPIENT, name);
            own.map(|(stream, _)| stream).collect()
        }
    };
    streams.extend([AUDIT, CONTROL].map(|kind| own(kind, name)));
    streams
}

/// What a party may do. The administrator is a user of [`HUB`] itself and has no entry here.
#[must_use]
pub fn rights(party: &Party, parties: &Parties) -> Vec<Right> {
    let mut table = Table::default();
    match party.role {
        Role::Administrator => {}
        Role::Bureau => bureau(&party.name, parties, &mut table),
        Role::Recipient => recipient(&party.name, parties.bureaus(), &mut table),
        Role::Auditor => auditor(parties, &mut table),
    }
    // How full its streams are; of replies also, which requests have one.
    for stream in published_streams(party.role, &party.name, parties.recipients()) {
        table.state(&stream);
    }
    table.0
}

fn bureau(name: &PartyName, parties: &Parties, table: &mut Table) {
    table.publish(["lease.*".to_owned()]);
    table.last(LEASES, "lease.*");
    for recipient in parties.recipients() {
        table.publish(subjects(&FROM_BUREAU, recipient).map(|(_, subject)| subject));
        for (stream, subject) in exchanged(recipient) {
            table.last(&stream, &subject);
        }
        // The queue: requests in order, and what became of them.
        // Chunks: an epoch goes on from any of them.
        for kind in [DATA, REQUESTS, CANCELS, CONFIRMS, APPROVALS, REPLIES] {
            table.scan(&own(kind, recipient));
        }
    }
    // What is in force is found behind a message that cannot be read.
    table.scan(&own(CONTROL, name));
    table.names();
    operator(name, table);
}

/// The audit entries, the orders and the status of a party, each in a stream of its own.
fn operator(name: &PartyName, table: &mut Table) {
    table.publish([format!("status.{name}.*"), format!("watch.{name}")]);
    table.last(&own(STATUS, name), &format!("watch.{name}"));
    table.scan(&own(STATUS, name));
    table.publish([format!("audit.{name}.*"), format!("control.{name}")]);
    table.last(&own(AUDIT, name), &format!("audit.{name}.*"));
    table.last(&own(CONTROL, name), &format!("control.{name}"));
}

/// The right to create a consumer is missing on purpose: it could deliver any subject to anywhere.
fn recipient<'a>(name: &PartyName, bureaus: impl Iterator<Item = &'a PartyName>, table: &mut Table) {
    table.publish(subjects(&FROM_RECIPIENT, name).map(|(_, subject)| subject));
    operator(name, table);
    for kind in [DATA, REPLIES] {
        table.consume(&own(kind, name), name.as_str());
    }
    for (stream, subject) in exchanged(name).filter(|(stream, _)| *stream != own(APPROVALS, name)) {
        table.last(&stream, &subject);
    }
    // A store that lost what it had acknowledged reads it again: its consumers do not deliver it any more, and reading
    // changes nothing for the other pollers.
    for kind in [DATA, CONFIRMS] {
        table.scan(&own(kind, name));
    }
    // The bureau's notices to this recipient about lanes that are stopped or held.
    for bureau in bureaus {
        table.last(&own(AUDIT, bureau), &format!("audit.{bureau}.to-{name}"));
    }
}

fn auditor(parties: &Parties, table: &mut Table) {
    for (stream, subject) in parties.recipients().flat_map(|recipient| exchanged(recipient)) {
        table.audit(&stream, &subject);
    }
    for party in parties.with_account() {
        // Its own is empty, and answers a round trip.
        table.audit(&own(AUDIT, &party.name), &format!("audit.{}.*", party.name));
        if matches!(party.role, Role::Bureau | Role::Recipient) {
            table.scan(&own(STATUS, &party.name));
            table.audit(&own(CONTROL, &party.name), &format!("control.{}", party.name));
        }
    }
    table.names();
}

#[derive(Default)]
struct Table(Vec<Right>);

impl Table {
    fn add(&mut self, purpose: Purpose, hub: String, answers: Answers) {
        self.0.push(Right {
            purpose,
            hub,
            answers,
        });
    }

    fn publish(&mut self, subjects: impl IntoIterator<Item = String>) {
        for subject in subjects {
            self.add(Purpose::Publish, subject, Answers::One);
        }
    }

    /// A consumer of the same name as its party, which the administrator makes.
    fn consume(&mut self, stream: &str, consumer: &str) {
        let api = |verb: &str| format!("{HUB_API}.CONSUMER.{verb}.{stream}.{consumer}");
        self.add(Purpose::Consume, api("INFO"), Answers::One);
        self.add(Purpose::Consume, api("MSG.NEXT"), Answers::Many);
        for form in acknowledgements(stream, consumer) {
            self.add(Purpose::Consume, form, Answers::One);
        }
    }

    fn last(&mut self, stream: &str, subject: &str) {
        let hub = format!("{HUB_API}.DIRECT.GET.{stream}.{subject}");
        self.add(Purpose::Last, hub, Answers::One);
    }

    fn scan(&mut self, stream: &str) {
        let hub = format!("{HUB_API}.DIRECT.GET.{stream}");
        self.add(Purpose::Scan, hub, Answers::Many);
    }

    /// Everything of a stream.
    fn audit(&mut self, stream: &str, subject: &str) {
        self.state(stream);
        self.scan(stream);
        self.last(stream, subject);
    }

    /// Which streams there are.
    fn names(&mut self) {
        let hub = format!("{HUB_API}.STREAM.NAMES");
        self.add(Purpose::Scan, hub, Answers::One);
    }

    fn state(&mut self, stream: &str) {
        let hub = format!("{HUB_API}.STREAM.INFO.{stream}");
        self.add(Purpose::Scan, hub, Answers::One);
    }
}

/// The two forms of an acknowledgement subject: nine tokens, and eleven with the domain and the hash of the
/// account before the stream. Both name the consumer in its one place and have their exact number of tokens.
fn acknowledgements(stream: &str, consumer: &str) -> [String; 2] {
    [
        format!("$JS.ACK.{stream}.{consumer}.*.*.*.*.*"),
        format!("$JS.ACK._.{HUB_HASH}.{stream}.{consumer}.*.*.*.*.*"),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use schemas::name::RecipientName;
    use sha2::{Digest, Sha256};

    use super::*;

    fn parties() -> Parties {
        let recipients = ["insurer-a", "insurer-b"].map(|name| RecipientName::new(name).unwrap());
        Parties::shipped(&recipients).unwrap()
    }

    /// Whether some subject matches both.
    fn overlap(one: &str, other: &str) -> bool {
        let (one, other): (Vec<&str>, Vec<&str>) = (one.split('.').collect(), other.split('.').collect());
        let token = |(a, b): (&&str, &&str)| a == b || *a == "*" || *b == "*";
        one.len() == other.len() && one.iter().zip(&other).all(token)
    }

    #[test]
    fn hub_hash_is_the_servers() {
        let digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let hash = Sha256::digest(HUB);
        let text: String = hash[..8]
            .iter()
            .map(|byte| digits[usize::from(byte % 62)] as char)
            .collect();
        assert_eq!(text, HUB_HASH);
    }

    /// A subject that two imports match would be delivered twice.
    #[test]
    fn rights_of_one_party_never_overlap() {
        let parties = parties();
        for party in parties.all() {
            let rights = rights(party, &parties);
            for (at, right) in rights.iter().enumerate() {
                assert!(!right.hub.contains('>'), "{}", right.hub);
                for other in &rights[at + 1..] {
                    assert!(
                        !overlap(&right.hub, &other.hub),
                        "{}: {} {}",
                        party.name,
                        right.hub,
                        other.hub
                    );
                }
            }
        }
    }

    #[test]
    fn publish_rights_of_two_parties_never_overlap() {
        let parties = parties();
        for (at, one) in parties.all().iter().enumerate() {
            for other in &parties.all()[at + 1..] {
                for (a, b) in rights(one, &parties)
                    .iter()
                    .flat_map(|a| rights(other, &parties).into_iter().map(move |b| (a.clone(), b)))
                    .filter(|(a, b)| {
                        let writes =
                            |right: &Right| matches!(right.purpose, Purpose::Publish | Purpose::Consume);
                        writes(a) || writes(b)
                    })
                {
                    assert!(
                        !overlap(&a.hub, &b.hub),
                        "{} {}: {} {}",
                        one.name,
                        other.name,
                        a.hub,
                        b.hub
                    );
                }
            }
        }
    }

    #[test]
    fn rights_never_change_a_stream_or_a_consumer() {
        let parties = parties();
        let verbs: BTreeSet<String> = parties
            .all()
            .iter()
            .flat_map(|party| rights(party, &parties))
            .filter_map(|right| right.hub.strip_prefix("$JS.API.").map(str::to_owned))
            .map(|verb| verb.split('.').take(2).collect::<Vec<_>>().join("."))
            .collect();
        let verbs: Vec<&str> = verbs.iter().map(String::as_str).collect();
        assert_eq!(
            verbs,
            [
                "CONSUMER.INFO",
                "CONSUMER.MSG",
                "DIRECT.GET",
                "STREAM.INFO",
                "STREAM.NAMES"
            ]
        );
    }
}
