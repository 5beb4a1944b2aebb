//! Reads audit entries and orders, as far as the session's party may.

use std::time::Duration;

use exchange::port::{ReadFrom, Stream};
use exchange::{Exchange, Stored};
use jiff::Timestamp;
use schemas::audit::AuditEntry;
use schemas::control::Control;
use schemas::envelope::{Envelope, Payload};
use schemas::name::PartyName;
use schemas::sign::PublicKey;

use crate::access::Access;
use crate::facts::Signature;
use crate::site::PartyRole;

/// The time for all reads.
const TIMEOUT: Duration = Duration::from_secs(8);

/// The newest entries of one party that are read.
const WINDOW: u64 = 500;

/// Entries of one page of a stream.
const PAGE: usize = 256;

/// The writers of a party whose last entry it may read itself.
const WRITERS: [&str; 2] = ["operator", "gate"];

/// One entry or order. Its content is missing if its signature was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) party: String,
    pub(super) writer: String,
    pub(super) sequence: u64,
    pub(super) stored_at: Timestamp,
    pub(super) signature: Signature,
    pub(super) content: Option<Content>,
}

/// Who, what, when and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) number: u64,
    pub(super) at: Timestamp,
    pub(super) actor: String,
    pub(super) action: String,
    pub(super) reason: String,
}

/// What was read.
#[derive(Debug, Clone, Default)]
pub(super) struct AuditFacts {
    /// Newest first.
    pub(super) entries: Vec<Entry>,
    /// The parties that have entries.
    pub(super) parties: Vec<PartyName>,
    /// The sequence before which the next page of the one chosen party ends.
    pub(super) older: Option<u64>,
    /// Why something could not be read.
    pub(super) error: Option<String>,
}

/// Which entries are read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Choice {
    /// Of one party.
    pub(super) party: Option<PartyName>,
    /// With `party`: stored before this sequence.
    pub(super) before: Option<u64>,
    /// Those of agents as well.
    pub(super) with_agents: bool,
}

/// Reads what the session's party may read.
pub(super) async fn read(access: &Access, choice: &Choice) -> AuditFacts {
    let mut facts = AuditFacts::default();
    let read = async {
        match access.role {
            PartyRole::Auditor => all(access, choice, &mut facts).await,
            PartyRole::Bureau | PartyRole::Recipient => own(access, &mut facts).await,
        }
    };
    match tokio::time::timeout(TIMEOUT, read).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => facts.error = Some(error.to_string()),
        Err(_) => {
            facts.error = Some(format!(
                "the exchange did not answer within {} s",
                TIMEOUT.as_secs()
            ))
        }
    }
    if !choice.with_agents {
        facts.entries.retain(|entry| entry.writer == "operator");
    }
    facts
        .entries
        .sort_by_key(|entry| std::cmp::Reverse(entry.stored_at));
    facts
}

/// The auditor's view: the newest entries of each party.
async fn all(access: &Access, choice: &Choice, facts: &mut AuditFacts) -> exchange::Result<()> {
    let exchange = access.exchange.as_ref();
    facts.parties = exchange.parties(Stream::Audit).await?;
    let chosen = facts
        .parties
        .iter()
        .filter(|party| choice.party.as_ref().is_none_or(|chosen| chosen == *party));
    for party in chosen {
        let last = exchange.stream_state(Stream::Audit, party).await?.last_sequence;
        let end = choice
            .before
            .filter(|_| choice.party.is_some())
            .map_or(last, |before| last.min(before.saturating_sub(1)));
        let begin = end.saturating_sub(WINDOW - 1).max(1);
        let filter = format!("audit.{party}.*");
        let messages = range(exchange, Stream::Audit, &filter, begin, end).await?;
        let keys = access.keys(party);
        let entries = messages
            .iter()
            .map(|message| entry::<AuditEntry>(message, party, keys));
        facts.entries.extend(entries);
        if choice.party.is_some() && begin > 1 {
            facts.older = Some(begin);
        }
    }
    Ok(())
}

/// A party's own view: the last entry of its writers; for the bureau its orders.
async fn own(access: &Access, facts: &mut AuditFacts) -> exchange::Result<()> {
    let (exchange, party) = (access.exchange.as_ref(), &access.party);
    let keys = access.keys(party);
    facts.parties = vec![party.clone()];
    for writer in WRITERS {
        let Ok(writer) = writer.parse() else { continue };
        let last = exchange.last_audit(party, &writer).await?;
        let entry = last.map(|message| entry::<AuditEntry>(&message, party, keys));
        facts.entries.extend(entry);
    }
    let orders = if access.role == PartyRole::Bureau {
        let last = exchange.stream_state(Stream::Control, party).await?.last_sequence;
        let begin = last.saturating_sub(WINDOW - 1).max(1);
        range(
            exchange,
            Stream::Control,
            &format!("control.{party}"),
            begin,
            last,
        )
        .await?
    } else {
        exchange.last_control(party).await?.into_iter().collect()
    };
    let orders = orders
        .iter()
        .map(|message| entry::<Control>(message, party, keys));
    facts.entries.extend(orders);
    Ok(())
}

/// Reads messages from `begin` to `end`, both included.
async fn range(
    exchange: &dyn Exchange,
    stream: Stream,
    filter: &str,
    begin: u64,
    end: u64,
) -> exchange::Result<Vec<Stored>> {
    let (mut all, mut next) = (Vec::new(), begin);
    while next <= end {
        let page = exchange
            .read(stream, ReadFrom::Sequence(next), filter, PAGE)
            .await?;
        let Some(last) = page.last().map(|message| message.sequence) else {
            break;
        };
        next = last + 1;
        all.extend(page.into_iter().filter(|message| message.sequence <= end));
    }
    Ok(all)
}

/// A payload with an actor.
trait Acted: Payload {
    fn content(&self) -> Content;
}

impl Acted for AuditEntry {
    fn content(&self) -> Content {
        Content {
            number: self.number,
            at: self.at,
            actor: self.actor.clone(),
            action: self.action.clone(),
            reason: self.reason.clone(),
        }
    }
}

impl Acted for Control {
    fn content(&self) -> Content {
        Content {
            number: self.number,
            at: self.newest.given_at,
            actor: self.newest.actor.clone(),
            action: format!("order.{} {}", self.newest.action.kind(), self.newest.scope),
            reason: self.newest.reason.clone(),
        }
    }
}

/// PURE: opens a message with the keys of its party.
fn entry<P: Acted>(message: &Stored, party: &PartyName, keys: &[PublicKey]) -> Entry {
    let envelope = Envelope::decode(&message.bytes);
    let opened = envelope.and_then(|envelope| {
        if keys.is_empty() {
            Ok((envelope.read::<P>()?, Signature::NoKey))
        } else {
            Ok((envelope.verify::<P>(keys)?, Signature::Verified))
        }
    });
    let (content, signature) = match opened {
        Ok((payload, signature)) => (Some(payload.content()), signature),
        Err(error) => (None, Signature::Refused(error.to_string())),
    };
    let writer = message.subject.split('.').nth(2).unwrap_or("operator");
    Entry {
        party: party.to_string(),
        writer: writer.to_owned(),
        sequence: message.sequence,
        stored_at: message.stored_at,
        signature,
        content,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use schemas::sign::SigningKey;

    use super::*;

    fn message(key: &SigningKey) -> Stored {
        let entry = AuditEntry {
            party: "bureau".parse().unwrap(),
            writer: "operator".parse().unwrap(),
            number: 7,
            previous: None,
            skips: None,
            at: Timestamp::UNIX_EPOCH,
            actor: "li.na".to_owned(),
            action: "gate.pause".to_owned(),
            reason: "year end".to_owned(),
            detail: [].into(),
            key: key.public().clone(),
        };
        let bytes = Envelope::sign(&entry, Vec::new(), key).unwrap().encode().unwrap();
        Stored {
            subject: "audit.bureau.operator".to_owned(),
            sequence: 9,
            stored_at: Timestamp::UNIX_EPOCH,
            trace: None,
            bytes: Bytes::from(bytes),
        }
    }

    #[test]
    fn audit_entry_of_an_untrusted_key_has_no_content() {
        let (key, other) = (SigningKey::generate(), SigningKey::generate());
        let party: PartyName = "bureau".parse().unwrap();
        let open = |keys: &[PublicKey]| entry::<AuditEntry>(&message(&key), &party, keys);
        let verified = open(&[key.public().clone()]);
        assert_eq!(verified.signature, Signature::Verified);
        let content = verified.content.unwrap();
        assert_eq!((content.actor.as_str(), content.number), ("li.na", 7));
        assert_eq!(open(&[]).signature, Signature::NoKey);
        let refused = open(&[other.public().clone()]);
        assert!(matches!(refused.signature, Signature::Refused(_)));
        assert_eq!(refused.content, None);
    }
}
