//! What each party may do at the exchange: the one table from which account files and attack tests are made.
//!
//! Pure. Every right is one subject of the account `HUB`, with the exact number of tokens wherever the subject
//! has one: a wildcard that matches more tokens than it means gives a right that nobody intended.

use schemas::name::PartyName;

use super::parties::{Parties, Party, Role};
use crate::streams::{
    APPROVALS, AUDIT, CANCELS, CONFIRMS, CONTROL, DATA, LEASES, PARTS, PROGRESS, RECEIPTS, REPLIES, REQUESTS,
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

/// The streams of feeds and requests with their subjects. The bureau and the auditor read all of them.
const EXCHANGED: [(&str, &str); 9] = [
    (DATA, "data.*.*"),
    (RECEIPTS, "receipt.*.*"),
    (REQUESTS, "request.*.*"),
    (CANCELS, "cancel.*.*"),
    (APPROVALS, "approval.*.*.*"),
    (PROGRESS, "progress.*.*"),
    (PARTS, "part.*.*.*.*"),
    (REPLIES, "reply.*.*"),
    (CONFIRMS, "confirm.*.*"),
];

/// What a party may do. The administrator is a user of [`HUB`] itself and has no entry here.
#[must_use]
pub fn rights(party: &Party, parties: &Parties) -> Vec<Right> {
    let mut table = Table::default();
    match party.role {
        Role::Administrator => {}
        Role::Bureau => bureau(&party.name, &mut table),
        Role::Recipient => recipient(&party.name, parties.bureaus(), &mut table),
        Role::Auditor => auditor(&mut table),
    }
    table.0
}

fn bureau(name: &PartyName, table: &mut Table) {
    table.publish([
        "data.*.*".to_owned(),
        "approval.*.*.*".to_owned(),
        "progress.*.*".to_owned(),
        "part.*.*.*.*".to_owned(),
        "reply.*.*".to_owned(),
        "lease.*".to_owned(),
        format!("audit.{name}.*"),
        format!("control.{name}"),
    ]);
    for (stream, subject) in EXCHANGED.into_iter().chain([(LEASES, "lease.*")]) {
        table.last(stream, subject);
    }
    table.last(AUDIT, &format!("audit.{name}.*"));
    table.last(CONTROL, &format!("control.{name}"));
    // The queue: requests in order, and which of them have a reply. Every request is for the bureau, and
    // replies are its own words, so it may read these whole streams. So may it its operators' orders: what is in
    // force is found behind a message that cannot be read.
    for stream in [REQUESTS, CANCELS, APPROVALS, REPLIES, CONFIRMS, CONTROL] {
        table.scan(stream);
    }
    table.state(REPLIES);
}

/// The right to read a whole stream is missing on purpose: it would read every recipient's messages. So is
/// the right to create a consumer: it could deliver any subject to anywhere.
fn recipient<'a>(name: &PartyName, bureaus: impl Iterator<Item = &'a PartyName>, table: &mut Table) {
    table.publish([
        format!("receipt.{name}.*"),
        format!("request.{name}.*"),
        format!("cancel.{name}.*"),
        format!("confirm.{name}.*"),
        format!("audit.{name}.*"),
        format!("control.{name}"),
    ]);
    for stream in [DATA, REPLIES] {
        table.consume(stream, name.as_str());
    }
    for (stream, subject) in [
        (DATA, format!("data.{name}.*")),
        (RECEIPTS, format!("receipt.{name}.*")),
        (REQUESTS, format!("request.{name}.*")),
        (CANCELS, format!("cancel.{name}.*")),
        (PROGRESS, format!("progress.{name}.*")),
        (PARTS, format!("part.{name}.*.*.*")),
        (REPLIES, format!("reply.{name}.*")),
        (CONFIRMS, format!("confirm.{name}.*")),
        (AUDIT, format!("audit.{name}.*")),
        (CONTROL, format!("control.{name}")),
    ] {
        table.last(stream, &subject);
    }
    // What the bureau tells this recipient of lanes that are stopped or held.
    for bureau in bureaus {
        table.last(AUDIT, &format!("audit.{bureau}.to-{name}"));
    }
}

fn auditor(table: &mut Table) {
    for (stream, subject) in EXCHANGED.into_iter().chain([(AUDIT, "audit.*.*")]) {
        table.state(stream);
        table.scan(stream);
        table.last(stream, subject);
    }
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
    fn no_right_changes_a_stream_or_a_consumer() {
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
            ["CONSUMER.INFO", "CONSUMER.MSG", "DIRECT.GET", "STREAM.INFO"]
        );
    }
}
