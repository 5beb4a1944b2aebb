//! Finds the control record that the next order follows.
//!
//! The last message on a party's control subject is that record, unless a holder of the party's connection key published
//! something else there: unreadable bytes, a record that no operator signed, or a replayed record. So the whole subject is
//! read, and the record in force is the newest valid one.

use exchange::port::{ReadFrom, Stream};
use exchange::{Error, ErrorKind, Exchange, Stored};
use jiff::Timestamp;
use schemas::control::{Action, AnyAction, Control};
use schemas::digest::Digest;
use schemas::envelope::{Envelope, EnvelopeError};
use schemas::heads::RecordRef;
use schemas::name::PartyName;
use schemas::sign::PublicKey;
use schemas::subject::Subject;
use schemas::unreadable::Unreadable;

use crate::record_reference::RecordReference;

/// The head of a party's orders.
#[derive(Debug, Clone, Default)]
pub struct Head {
    /// The sequence that the next record expects to follow.
    pub expected: u64,
    /// The record in force, with its digest.
    pub record: Option<(Control, Digest)>,
    /// The last message, if it is not that record, and why.
    pub unreadable: Option<(Unreadable, String)>,
    /// Why the records before the last message are not known.
    pub unknown: Option<Error>,
    /// Every record that the one in force follows, itself included, oldest first.
    pub lineage: Vec<RecordRef>,
    /// The last confirmation of an operator.
    pub confirmed: Option<Confirmed>,
}

/// A confirmation among the records: records up to a number may be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirmed {
    /// The highest number.
    pub up_to: u64,
    /// When the exchange stored it.
    pub stored_at: Timestamp,
}

impl Head {
    /// Returns whether the record in force is known, as a record or as none.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.record.is_some() || self.unknown.is_none()
    }

    /// Returns the record in force, if there ever was one.
    #[must_use]
    pub fn mark(&self) -> Option<RecordRef> {
        self.lineage.last().copied()
    }

    /// Returns whether the record in force is or follows this one, or an operator confirmed that it may be lost.
    #[must_use]
    pub fn follows(&self, mark: RecordRef) -> bool {
        let is_confirmed = self
            .confirmed
            .is_some_and(|confirmed| mark.number <= confirmed.up_to);
        let is_before = |(record, _): &(Control, Digest)| {
            record.previous == Some(mark.digest) && mark.number < record.number
        };
        is_confirmed || self.lineage.contains(&mark) || self.record.as_ref().is_some_and(is_before)
    }

    /// Describes a lost record, with the remedy.
    #[must_use]
    pub fn describe_loss(&self, named: &RecordReference) -> String {
        let here = self.mark().map_or("none".to_owned(), |mark| mark.to_string());
        let holds = if here == "none" {
            "no record".to_owned()
        } else {
            format!("record {here}")
        };
        format!(
            "the orders at the exchange are behind: {named}, and the exchange holds {holds}, which does not follow it. It was \
             restored or rewritten, and a pause or a hold may be lost. See what is in force with `slacktide hold list` and \
             `slacktide orders show`, give what is missing again, then confirm: slacktide orders confirm --record {here} --lost {} \
             --reason TEXT",
            named.mark
        )
    }

    /// Describes what is wrong with the last message, with the remedy.
    #[must_use]
    pub fn unreadable_message(&self) -> Option<String> {
        let (message, why) = self.unreadable.as_ref()?;
        Some(format!(
            "message {} on the control subject is not a valid order ({why}); running agents keep the earlier orders, starting \
             agents read nothing until the next order: find out who has the bureau's connection key, then give an order",
            message.sequence
        ))
    }
}

/// The highest number of a record: above it, numbers are not exact in JSON.
const MAX_NUMBER: u64 = 1 << 53;

/// Why a message on the control subject is not a valid order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRecord {
    /// It is not a record, or no trusted key signed it.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// It is for another party.
    #[error("it is for {given}, not for {expected}")]
    OtherParty {
        /// The party that it names.
        given: PartyName,
        /// The party of the subject.
        expected: PartyName,
    },
    /// Its number is too large.
    #[error("its number {0} leaves no room for another")]
    NumberTooLarge(u64),
    /// Its number is not above that of an earlier record.
    #[error("record {number} came after record {before}: a replayed record")]
    Replayed {
        /// Its number.
        number: u64,
        /// The number of the earlier record.
        before: u64,
    },
}

/// PURE: returns the record in stored bytes, if a trusted key signed it for this party.
///
/// # Errors
/// [`InvalidRecord`]: what is wrong with it.
pub fn verified(
    stored: &Stored,
    party: &PartyName,
    trusted: &[PublicKey],
) -> Result<(Control, Digest), InvalidRecord> {
    let envelope = Envelope::decode(&stored.bytes)?;
    let control: Control = envelope.verify(trusted)?;
    if control.party != *party {
        return Err(InvalidRecord::OtherParty {
            given: control.party,
            expected: party.clone(),
        });
    }
    if control.number > MAX_NUMBER {
        return Err(InvalidRecord::NumberTooLarge(control.number));
    }
    Ok((control, envelope.digest()))
}

/// PURE: the head among all messages of the subject, oldest first.
#[must_use]
pub fn fold(messages: &[Stored], party: &PartyName, trusted: &[PublicKey]) -> Head {
    let mut head = Head::default();
    for message in messages {
        head.expected = message.sequence;
        let newer = verified(message, party, trusted).and_then(|(record, digest)| {
            match head.record.as_ref().map(|(before, _)| before.number) {
                Some(before) if record.number <= before => Err(InvalidRecord::Replayed {
                    number: record.number,
                    before,
                }),
                _ => Ok((record, digest)),
            }
        });
        head.unreadable = match newer {
            Ok((record, digest)) => {
                let mark = RecordRef {
                    number: record.number,
                    digest,
                };
                head.lineage.push(mark);
                if let AnyAction::Known(Action::Confirm(confirmation)) = &record.newest.action {
                    let lost = confirmation.lost.map_or(0, |lost| lost.number);
                    head.confirmed = Some(Confirmed {
                        up_to: record.number.max(lost),
                        stored_at: message.stored_at,
                    });
                }
                head.record = Some((record, digest));
                None
            }
            Err(why) => Some((Unreadable::of(message.sequence, &message.bytes), why.to_string())),
        };
    }
    head
}

/// Messages of one page.
const PAGE: usize = 1_000;

/// Reads the head of a party's orders.
///
/// # Errors
/// The exchange's, when the last message cannot be read. Where only the messages before it cannot be, the head has the error.
pub async fn read(
    exchange: &dyn Exchange,
    party: &PartyName,
    trusted: &[PublicKey],
) -> exchange::Result<Head> {
    let Some(last) = exchange.last_control(party).await? else {
        return Ok(Head::default());
    };
    let (mut messages, unknown) = match history(exchange, party, last.sequence).await {
        Ok(messages) => (messages, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    if messages
        .last()
        .is_none_or(|message| message.sequence < last.sequence)
    {
        messages.push(last);
    }
    Ok(Head {
        unknown,
        ..fold(&messages, party, trusted)
    })
}

/// Every message of the subject before this sequence.
async fn history(exchange: &dyn Exchange, party: &PartyName, before: u64) -> exchange::Result<Vec<Stored>> {
    let subject = Subject::Control(party.clone()).to_string();
    let (mut messages, mut next) = (Vec::new(), 1);
    while next < before {
        let page = exchange
            .read(Stream::Control, ReadFrom::Sequence(next), &subject, PAGE)
            .await?;
        let Some(end) = page.last().map(|message| message.sequence) else {
            // A replica lags behind the last message.
            let what = format!("{subject} ends before sequence {before}");
            return Err(Error::new(ErrorKind::Unreachable, what));
        };
        next = end.saturating_add(1);
        messages.extend(page);
    }
    Ok(messages)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use schemas::control::{Confirmation, Order};
    use schemas::sign::SigningKey;

    use super::*;

    fn message(sequence: u64, bytes: Vec<u8>) -> Stored {
        Stored {
            subject: "control.bureau".into(),
            sequence,
            stored_at: Timestamp::UNIX_EPOCH,
            trace: None,
            bytes: Bytes::from(bytes),
        }
    }

    fn record(number: u64, key: &SigningKey) -> Vec<u8> {
        record_of(number, Action::Pause, key)
    }

    fn record_of(number: u64, action: Action, key: &SigningKey) -> Vec<u8> {
        let newest = Order {
            id: number.to_string(),
            scope: "gate.core".into(),
            action: AnyAction::Known(action),
            actor: "li.na".into(),
            reason: "year end".into(),
            given_at: Timestamp::UNIX_EPOCH,
            expires: None,
        };
        let control = Control {
            party: "bureau".parse().unwrap(),
            number,
            previous: None,
            skips: None,
            orders: vec![newest.clone()],
            newest,
            at: Timestamp::UNIX_EPOCH,
            key: key.public().clone(),
        };
        Envelope::sign(&control, Vec::new(), key)
            .unwrap()
            .encode()
            .unwrap()
    }

    #[test]
    fn control_head_is_the_newest_valid_record() {
        let (key, stranger) = (SigningKey::generate(), SigningKey::generate());
        let (party, trusted) = ("bureau".parse().unwrap(), [key.public().clone()]);
        let first = message(3, record(1, &key));
        let rest = [
            message(4, b"garbage".to_vec()),
            message(9, record(7, &stranger)),
            message(12, record(u64::MAX, &key)),
            message(14, record(1, &key)),
        ];
        let mut messages = vec![first];
        for later in rest {
            messages.push(later);
            let head = fold(&messages, &party, &trusted);
            let last = messages.last().unwrap();
            assert_eq!(head.record.as_ref().unwrap().0.number, 1);
            assert_eq!(head.expected, last.sequence);
            let (unreadable, _) = head.unreadable.as_ref().unwrap();
            assert_eq!(*unreadable, Unreadable::of(last.sequence, &last.bytes));
            assert!(
                head.unreadable_message()
                    .unwrap()
                    .contains(&last.sequence.to_string())
            );
        }
        messages.push(message(15, record(2, &key)));
        let head = fold(&messages, &party, &trusted);
        assert_eq!(head.record.as_ref().unwrap().0.number, 2);
        assert_eq!((head.unreadable_message(), head.is_known()), (None, true));
    }

    #[test]
    fn control_head_follows_its_lineage_and_what_was_confirmed_lost() {
        let key = SigningKey::generate();
        let (party, trusted) = ("bureau".parse().unwrap(), [key.public().clone()]);
        let mut messages = vec![message(1, record(1, &key)), message(2, record(2, &key))];
        let head = fold(&messages, &party, &trusted);
        let lost = |number| RecordRef {
            number,
            digest: Digest::of(&[b"lost"]),
        };
        for mark in head.lineage.clone() {
            assert!(head.follows(mark));
        }
        assert!(!head.follows(lost(1)) && !head.follows(lost(5)));
        let named = RecordReference {
            mark: lost(5),
            by: "the lease of core".into(),
        };
        let way = format!("--record {} --lost {}", head.mark().unwrap(), lost(5));
        assert!(head.describe_loss(&named).contains(&way));
        let confirmation = Confirmation {
            record: head.mark(),
            lost: Some(lost(5)),
        };
        messages.push(message(3, record_of(6, Action::Confirm(confirmation), &key)));
        messages.push(message(4, record(7, &key)));
        let head = fold(&messages, &party, &trusted);
        assert_eq!(head.record.as_ref().unwrap().0.number, 7);
        assert!(head.follows(lost(5)) && head.follows(lost(6)) && !head.follows(lost(7)));
    }
}
