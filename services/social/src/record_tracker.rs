//! Tracks the control records that this process knows of, and holds its lanes accordingly.
//!
//! Every manifest and every lease names the control record that was in force. So an exchange whose orders were restored
//! from an older copy is detected: a signed message names a record that the orders no longer hold. From that moment
//! nothing is published, until the record is there again or an operator confirmed what is there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use exchange::Exchange;
use schemas::envelope::Envelope;
use schemas::heads::{Heads, RecordRef};
use schemas::lease::Lease;
use schemas::name::{Lane, PartyName, RecipientName, SourceName};
use schemas::sign::PublicKey;
use schemas::subject::Subject;
use serde::Serialize;
use tokio::sync::watch;

use crate::control_head::Head;
use crate::hold::HoldWatch;
use crate::notice_chain;
use crate::tail::{Trust, trusted_manifest};
use disclosure::hold::Holds;

pub use crate::record_reference::RecordReference;

/// The maximum number of references kept: each names a record that the exchange lost.
const MAX_REFERENCES: usize = 64;

/// The operators' orders, as the status page shows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OrdersStatus {
    /// `in force`, `unread` or `behind`.
    pub state: &'static str,
    /// The record in force, if there ever was one.
    pub record: Option<RecordRef>,
    /// The last entries of audit chains, as chunks name them.
    pub audit: BTreeMap<String, RecordRef>,
    /// Why nothing is published, with the remedy.
    pub reason: Option<String>,
    /// Why the record in force is not in the local file.
    pub file_error: Option<String>,
}

/// The control records that this process knows of. Clones share them.
#[derive(Debug, Clone)]
pub struct RecordTracker(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    holds: watch::Sender<Holds>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    in_force: Option<RecordRef>,
    /// Records that something names and that the record in force is not known to follow.
    named: BTreeMap<RecordRef, String>,
    /// The last entries of audit chains, by subject.
    audit: BTreeMap<String, RecordRef>,
    file_error: Option<String>,
}

impl Default for RecordTracker {
    fn default() -> Self {
        Self(Arc::new(Inner {
            holds: watch::Sender::new(Holds::Unread("the exchange was not reached yet".to_owned())),
            state: Mutex::new(State::default()),
        }))
    }
}

impl RecordTracker {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish_holds(&self, holds: Holds) {
        self.0.holds.send_if_modified(|before| {
            let is_new = *before != holds;
            *before = holds;
            is_new
        });
    }

    /// Returns the holds for lanes.
    #[must_use]
    pub fn holds(&self) -> HoldWatch {
        self.0.holds.subscribe()
    }

    /// Takes a record that a signed message names. If the record in force is not known to follow it, everything is held until
    /// the orders are read again.
    pub fn observe(&self, mark: RecordRef, by: impl FnOnce() -> String) {
        let mut state = self.state();
        let is_known = state
            .in_force
            .is_some_and(|in_force| in_force == mark || in_force.number > mark.number);
        if is_known || state.named.contains_key(&mark) {
            return;
        }
        let named = RecordReference { mark, by: by() };
        if matches!(*self.0.holds.borrow(), Holds::Known(_)) {
            self.publish_holds(Holds::Behind(format!("{named}; reading the orders again")));
        }
        state.named.insert(named.mark, named.by);
        while state.named.len() > MAX_REFERENCES {
            state.named.pop_first();
        }
    }

    /// Returns every record that the orders must follow: those that were named, and the one in force here.
    #[must_use]
    pub fn required_records(&self) -> Vec<RecordReference> {
        let state = self.state();
        let own = state.in_force.map(|mark| RecordReference {
            mark,
            by: "this agent".to_owned(),
        });
        let named = state.named.iter().map(|(mark, by)| RecordReference {
            mark: *mark,
            by: by.clone(),
        });
        named.chain(own).collect()
    }

    /// Returns whether a record was named that the record in force is not known to follow.
    #[must_use]
    pub fn has_unresolved(&self) -> bool {
        !self.state().named.is_empty()
    }

    /// Puts the head of the orders in force, unless a record was named meanwhile that it does not follow.
    ///
    /// # Errors
    /// That record.
    pub fn accept(&self, head: &Head, holds: Holds) -> Result<(), RecordReference> {
        let mut state = self.state();
        state.named.retain(|mark, _| !head.follows(*mark));
        if let Some((mark, by)) = state.named.last_key_value() {
            return Err(RecordReference {
                mark: *mark,
                by: by.clone(),
            });
        }
        // The holds first: a chunk that names this record must obey its holds.
        self.publish_holds(holds);
        state.in_force = head.mark();
        Ok(())
    }

    /// Publishes the holds of the record in force again, because some may have expired.
    pub fn republish_holds(&self, holds: Holds) {
        let state = self.state();
        if state.named.is_empty() {
            self.publish_holds(holds);
        }
    }

    /// Holds everything: the orders were never read.
    pub fn set_unread(&self, why: &str) {
        self.publish_holds(Holds::Unread(why.to_owned()));
    }

    /// Holds everything: the orders are behind a record that a signed message names.
    pub fn set_behind(&self, why: &str) {
        // The audit chains may be an older copy too, so they are read again.
        self.state().audit.clear();
        self.publish_holds(Holds::Behind(why.to_owned()));
    }

    /// Returns the newest known record, which a lease names, whether or not the exchange still holds it.
    #[must_use]
    pub fn newest(&self) -> Option<RecordRef> {
        let state = self.state();
        let named = state.named.last_key_value().map(|(mark, _)| *mark);
        state.in_force.max(named)
    }

    /// Returns the heads that a chunk for this recipient names.
    #[must_use]
    pub fn heads(&self, recipient: &RecipientName) -> Heads {
        let own = notice_chain::writer(recipient).map(|writer| format!(".{writer}"));
        let is_for = |subject: &str| {
            let writer = subject.rsplit('.').next().unwrap_or_default();
            !writer.starts_with("to-") || own.as_ref().is_some_and(|own| subject.ends_with(own.as_str()))
        };
        let state = self.state();
        let audit = state.audit.iter().filter(|(subject, _)| is_for(subject));
        Heads {
            control: state.in_force,
            audit: audit.map(|(subject, mark)| (subject.clone(), *mark)).collect(),
        }
    }

    /// Takes the last entry of an audit chain.
    pub fn set_audit_head(&self, party: &PartyName, writer: &PartyName, mark: RecordRef) {
        let subject = Subject::Audit(party.clone(), writer.clone()).to_string();
        let mut state = self.state();
        let last = state.audit.entry(subject).or_insert(mark);
        *last = mark.max(*last);
    }

    /// Shows why the record in force is not in the local file.
    pub fn set_file_error(&self, error: Option<String>) {
        self.state().file_error = error;
    }

    /// Returns the status of the orders.
    #[must_use]
    pub fn status(&self) -> OrdersStatus {
        let state = self.state();
        let (name, reason) = match &*self.0.holds.borrow() {
            Holds::Known(_) => ("in force", None),
            Holds::Unread(why) => ("unread", Some(why.clone())),
            Holds::Behind(why) => ("behind", Some(why.clone())),
        };
        OrdersStatus {
            state: name,
            record: state.in_force,
            audit: state.audit.clone(),
            reason,
            file_error: state.file_error.clone(),
        }
    }
}

/// Returns the control record that a lane's last chunk names; `None` also where no trusted key signed it, because then the lane is stopped.
///
/// # Errors
/// The exchange's.
pub async fn named_by_lane(
    exchange: &dyn Exchange,
    lane: &Lane,
    trust: &Trust,
) -> exchange::Result<Option<RecordReference>> {
    let Some(stored) = exchange.last_chunk(lane).await? else {
        return Ok(None);
    };
    let manifest = trusted_manifest(&stored, lane, trust).ok();
    let mark = manifest.and_then(|(manifest, _)| manifest.heads.control);
    Ok(mark.map(|mark| RecordReference {
        mark,
        by: format!("the last chunk of lane {lane}"),
    }))
}

/// Returns the control record that the lease of a source names; `None` also where no trusted key signed it.
///
/// # Errors
/// The exchange's.
pub async fn named_by_lease(
    exchange: &dyn Exchange,
    source: &SourceName,
    publishers: &[PublicKey],
) -> exchange::Result<Option<RecordReference>> {
    let Some(stored) = exchange.lease(source).await? else {
        return Ok(None);
    };
    Ok(
        lease_mark(&stored.bytes, source, publishers).map(|mark| RecordReference {
            mark,
            by: format!("the lease of {source}"),
        }),
    )
}

/// PURE: returns the control record that a lease names, if a trusted key signed it for this source.
#[must_use]
pub fn lease_mark(bytes: &[u8], source: &SourceName, publishers: &[PublicKey]) -> Option<RecordRef> {
    let lease: Lease = Envelope::decode(bytes).ok()?.verify(publishers).ok()?;
    if lease.source == *source {
        lease.control
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use schemas::digest::Digest;

    use super::*;

    fn mark(number: u64, of: &str) -> RecordRef {
        RecordRef {
            number,
            digest: Digest::of(&[of.as_bytes()]),
        }
    }

    fn head(lineage: &[RecordRef]) -> Head {
        Head {
            lineage: lineage.to_vec(),
            ..Head::default()
        }
    }

    #[test]
    fn tracker_named_record_holds_all_until_the_orders_follow() {
        let record_tracker = RecordTracker::default();
        let (one, two, other) = (mark(1, "one"), mark(2, "two"), mark(2, "other"));
        let known = || Holds::Known(Vec::new());
        assert_eq!(record_tracker.accept(&head(&[one]), known()), Ok(()));
        record_tracker.observe(one, || unreachable!("it is in force"));
        assert_eq!(record_tracker.status().state, "in force");
        for lost in [two, other] {
            record_tracker.observe(lost, || "a lease".to_owned());
            assert_eq!(record_tracker.status().state, "behind");
            assert!(record_tracker.accept(&head(&[one]), known()).is_err());
            record_tracker.republish_holds(known());
            assert_eq!(record_tracker.status().state, "behind", "a tick must not lift it");
        }
        assert!(
            record_tracker.accept(&head(&[one, two]), known()).is_err(),
            "another record 2 is lost"
        );
        assert_eq!(record_tracker.newest(), Some(two.max(other)));
        assert_eq!(record_tracker.accept(&head(&[one, two, other]), known()), Ok(()));
        assert_eq!(record_tracker.status().state, "in force");
    }

    #[test]
    fn tracker_heads_name_no_other_recipients_chain() {
        let record_tracker = RecordTracker::default();
        for writer in ["operator", "gate", "to-a", "to-b"] {
            record_tracker.set_audit_head(
                &"bureau".parse().unwrap(),
                &writer.parse().unwrap(),
                mark(1, writer),
            );
        }
        let heads = record_tracker.heads(&"a".parse().unwrap());
        let chains: Vec<&str> = heads.audit.keys().map(String::as_str).collect();
        assert_eq!(
            chains,
            ["audit.bureau.gate", "audit.bureau.operator", "audit.bureau.to-a"]
        );
    }
}
