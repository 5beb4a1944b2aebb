//! PURE: checks the rules of a party's orders: a chain of records, each with all orders in force.

use std::collections::BTreeSet;

use schemas::control::{Action, AnyAction, Control, Order, apply_order};
use schemas::digest::Digest;
use schemas::envelope::Envelope;
use schemas::heads::RecordRef;
use schemas::unreadable::Unreadable;

use crate::message::Message;
use crate::violation::Violation;

/// The valid records of one party.
#[derive(Debug, Default)]
pub struct Orders {
    last: Option<(u64, Digest, Vec<Order>)>,
    /// The previous message, and its digest as a record.
    before: Option<(Unreadable, Option<Digest>)>,
    signed: BTreeSet<RecordRef>,
    /// Whether records before the first one are not in the stream.
    begins_late: bool,
    /// The number of valid records.
    pub count: u64,
}

impl Orders {
    /// Takes the party's next message, with its record if it is valid on its own.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn push(
        &mut self,
        message: &Message<'_>,
        record: Result<(Control, Digest), Violation>,
    ) -> Result<(), Violation> {
        let before = self.before.replace((
            Unreadable::of(message.sequence, message.bytes),
            Envelope::decode(message.bytes)
                .ok()
                .map(|envelope| envelope.digest()),
        ));
        if before.is_none() {
            self.begins_late = message.sequence > 1;
        }
        let (record, digest) = record?;
        if record.party != message.stream.party {
            return Err(Violation::WrongWriter(format!("control.{}", record.party)));
        }
        self.signed.insert(RecordRef {
            number: record.number,
            digest,
        });
        let held = self.check_follows(before, &record);
        // The chain continues after a fault, so that one fault is not reported for every later record. An impossible number is not
        // adopted.
        if held.is_ok() || record.number <= message.sequence {
            self.last = Some((record.number, digest, record.orders));
        }
        held?;
        self.count += 1;
        Ok(())
    }

    fn check_follows(
        &self,
        before: Option<(Unreadable, Option<Digest>)>,
        record: &Control,
    ) -> Result<(), Violation> {
        if let Some(skipped) = record.skips {
            if before.is_none_or(|(message, _)| message != skipped) {
                return Err(Violation::WrongSkip {
                    number: record.number,
                    sequence: skipped.sequence,
                    digest: skipped.digest,
                });
            }
            return Ok(());
        }
        let Some((number, digest, orders)) = &self.last else {
            let is_first = record.previous.is_none() || self.begins_late;
            return if is_first { Ok(()) } else { Err(gap(record, 0)) };
        };
        let confirms_lost = matches!(
            &record.newest.action,
            AnyAction::Known(Action::Confirm(confirmation)) if confirmation.lost.is_some()
        );
        let is_next = record.number == number.saturating_add(1) || (confirms_lost && record.number > *number);
        if record.previous != Some(*digest) || !is_next {
            // The writer trusted a message that the auditor does not: that message is the fault.
            let is_behind_untrusted = record.number > *number
                && before.is_some_and(|(_, digest)| digest.is_some() && digest == record.previous);
            return if is_behind_untrusted {
                Ok(())
            } else {
                Err(gap(record, *number))
            };
        }
        match apply_order(orders, &record.newest, record.at) {
            Ok(expected) if expected == record.orders => Ok(()),
            _ => Err(Violation::OrdersInForce(record.number)),
        }
    }

    /// Returns whether the chain holds a record, or the record is older than the stream's begin.
    #[must_use]
    pub fn holds(&self, mark: RecordRef) -> bool {
        let first = self.signed.first().map(|first| first.number);
        self.signed.contains(&mark) || (self.begins_late && first.is_none_or(|first| mark.number < first))
    }

    /// Returns the last record.
    #[must_use]
    pub fn last(&self) -> Option<RecordRef> {
        self.last.as_ref().map(|(number, digest, _)| RecordRef {
            number: *number,
            digest: *digest,
        })
    }
}

fn gap(record: &Control, last: u64) -> Violation {
    Violation::OrderGap {
        number: record.number,
        last,
    }
}
