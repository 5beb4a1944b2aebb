//! PURE: checks the rules of audit chains, one chain for each writer.
//!
//! An invalid message is one fault. The next entry continues: it names that message as unreadable, or as the previous entry if
//! its writer trusted it and the auditor does not.

use std::collections::BTreeSet;

use schemas::audit::AuditEntry;
use schemas::digest::Digest;
use schemas::envelope::Envelope;
use schemas::heads::RecordRef;
use schemas::subject::Subject;
use schemas::unreadable::Unreadable;

use crate::message::Message;
use crate::violation::Violation;

/// One writer's chain.
#[derive(Debug, Default)]
pub struct Entries {
    /// The last valid entry.
    last: Option<(u64, Digest)>,
    /// The previous message.
    before: Option<Before>,
    /// Every entry with a valid signature.
    signed: BTreeSet<RecordRef>,
    /// Whether entries before the first one are not in the stream.
    begins_late: bool,
    /// The number of valid entries.
    pub count: u64,
}

#[derive(Debug)]
struct Before {
    message: Unreadable,
    /// The digest that an entry names if its writer trusts the message.
    digest: Option<Digest>,
}

impl Entries {
    /// Takes the writer's next message, with its entry if it is valid on its own. `begins_late`: the stream does not hold its first
    /// messages, so that the first entry may continue another one.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn push(
        &mut self,
        message: &Message<'_>,
        entry: Result<(AuditEntry, Digest), Violation>,
        begins_late: bool,
    ) -> Result<(), Violation> {
        let before = self.before.replace(Before {
            message: Unreadable::of(message.sequence, message.bytes),
            digest: Envelope::decode(message.bytes)
                .ok()
                .map(|envelope| envelope.digest()),
        });
        if before.is_none() {
            self.begins_late = begins_late;
        }
        let (entry, digest) = entry?;
        let subject = Subject::Audit(entry.party.clone(), entry.writer.clone()).to_string();
        if subject != message.subject {
            return Err(Violation::WrongWriter(subject));
        }
        self.signed.insert(RecordRef {
            number: entry.number,
            digest,
        });
        let is_begin = before.is_none() && self.begins_late && entry.skips.is_none();
        let held = if is_begin {
            Ok(())
        } else {
            check_follows(self.last, before.as_ref(), &entry)
        };
        // The chain continues after a fault, so that one fault is not reported for every later entry. An impossible number is
        // not adopted.
        if held.is_ok() || entry.number <= message.sequence {
            self.last = Some((entry.number, digest));
        }
        held?;
        self.count += 1;
        Ok(())
    }
}

impl Entries {
    /// Returns whether the chain holds an entry, or the entry is older than the stream's begin.
    #[must_use]
    pub fn holds(&self, mark: RecordRef) -> bool {
        let first = self.signed.first().map(|first| first.number);
        self.signed.contains(&mark) || (self.begins_late && first.is_none_or(|first| mark.number < first))
    }

    /// Returns the last entry.
    #[must_use]
    pub fn last(&self) -> Option<RecordRef> {
        self.last.map(|(number, digest)| RecordRef { number, digest })
    }
}

/// Checks that an entry follows the message before it.
fn check_follows(
    last: Option<(u64, Digest)>,
    before: Option<&Before>,
    entry: &AuditEntry,
) -> Result<(), Violation> {
    let (number, head) = last.map_or((0, None), |(number, digest)| (number, Some(digest)));
    if let Some(skipped) = entry.skips {
        let is_before = before.is_some_and(|before| before.message == skipped);
        return if is_before && entry.number > number && entry.previous.is_none() {
            Ok(())
        } else {
            Err(Violation::WrongSkip {
                number: entry.number,
                sequence: skipped.sequence,
                digest: skipped.digest,
            })
        };
    }
    let is_next = (entry.number, entry.previous) == (number.saturating_add(1), head);
    // The writer trusted the previous message and the auditor does not: that message is the fault.
    let is_behind_untrusted = entry.number > number
        && entry.previous.is_some()
        && before.is_some_and(|before| before.digest == entry.previous && before.digest != head);
    if is_next || is_behind_untrusted {
        return Ok(());
    }
    Err(Violation::EntryGap {
        number: entry.number,
        last: number,
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use schemas::sign::SigningKey;

    use super::*;

    struct Chain {
        key: SigningKey,
        stranger: SigningKey,
        entries: Entries,
        sequence: u64,
    }

    impl Chain {
        fn new() -> Self {
            Self {
                key: SigningKey::generate(),
                stranger: SigningKey::generate(),
                entries: Entries::default(),
                sequence: 0,
            }
        }

        fn bytes(&mut self, bytes: &[u8]) -> (Result<(), Violation>, Unreadable) {
            self.sequence += 1;
            let stream = "audit.bureau".to_owned().try_into().unwrap();
            let message = Message {
                stream: &stream,
                subject: "audit.bureau.operator",
                sequence: self.sequence,
                stored_at: Timestamp::UNIX_EPOCH,
                bytes,
                place: crate::message::Place::default(),
            };
            let entry = Envelope::decode(bytes)
                .and_then(|envelope| Ok((envelope.verify(&[self.key.public().clone()])?, envelope.digest())))
                .map_err(Violation::from);
            let held = self.entries.push(&message, entry, false);
            (held, Unreadable::of(self.sequence, bytes))
        }

        fn entry(
            &mut self,
            number: u64,
            previous: Option<Digest>,
            skips: Option<Unreadable>,
            is_stranger: bool,
        ) -> (Result<(), Violation>, Digest) {
            let key = if is_stranger { &self.stranger } else { &self.key };
            let envelope = Self::signed(number, previous, skips, key);
            let (held, _) = self.bytes(&envelope.encode().unwrap());
            (held, envelope.digest())
        }

        fn entry_bytes(&self, number: u64, previous: Option<Digest>) -> Vec<u8> {
            Self::signed(number, previous, None, &self.key).encode().unwrap()
        }

        fn signed(
            number: u64,
            previous: Option<Digest>,
            skips: Option<Unreadable>,
            key: &SigningKey,
        ) -> Envelope {
            let entry = AuditEntry {
                party: "bureau".parse().unwrap(),
                writer: "operator".parse().unwrap(),
                number,
                previous,
                skips,
                at: Timestamp::UNIX_EPOCH,
                actor: "li.na".into(),
                action: "gate.pause".into(),
                reason: "year end".into(),
                detail: std::collections::BTreeMap::new(),
                key: key.public().clone(),
            };
            Envelope::sign(&entry, Vec::new(), key).unwrap()
        }
    }

    #[test]
    fn entries_chain_goes_on_behind_an_unreadable_message() {
        let mut chain = Chain::new();
        assert!(chain.entry(1, None, None, false).0.is_ok());
        let (held, garbage) = chain.bytes(b"garbage");
        assert!(held.is_err());
        let (held, third) = chain.entry(3, None, Some(garbage), false);
        assert!(held.is_ok(), "{held:?}");
        assert!(chain.entry(4, Some(third), None, false).0.is_ok());
        assert_eq!(chain.entries.count, 3);
    }

    #[test]
    fn entries_skip_of_another_message_is_a_fault() {
        let mut chain = Chain::new();
        let (_, first) = chain.bytes(b"first");
        let (_, second) = chain.bytes(b"second");
        let forged = Unreadable {
            digest: first.digest,
            ..second
        };
        for (number, wrong) in [(9, first), (11, forged)] {
            let (held, digest) = chain.entry(number, None, Some(wrong), false);
            assert!(
                held.unwrap_err()
                    .to_string()
                    .contains("not the message before it")
            );
            assert!(
                chain.entry(number + 1, Some(digest), None, false).0.is_ok(),
                "the rest is judged on its own"
            );
        }
    }

    #[test]
    fn entries_untrusted_message_is_one_fault() {
        let mut chain = Chain::new();
        let (_, first) = chain.entry(1, None, None, false);
        let (held, stranger) = chain.entry(2, Some(first), None, true);
        assert!(held.unwrap_err().to_string().contains("trusted"));
        assert!(chain.entry(3, Some(stranger), None, false).0.is_ok());
    }

    #[test]
    fn entries_highest_number_is_one_fault() {
        let mut chain = Chain::new();
        let (_, first) = chain.entry(1, None, None, false);
        let last = chain.entry_bytes(u64::MAX, Some(first));
        let (held, message) = chain.bytes(&last);
        assert!(held.is_err());
        assert!(chain.entry(3, None, Some(message), false).0.is_ok());
    }

    #[test]
    fn entries_gap_is_a_fault() {
        let mut chain = Chain::new();
        let (_, first) = chain.entry(1, None, None, false);
        let (held, _) = chain.entry(3, Some(first), None, false);
        assert_eq!(held.unwrap_err().to_string(), "entry 3 does not follow entry 1");
        assert!(chain.entry(4, Some(first), None, false).0.is_err());
    }
}
