//! Which control records this process knows of, and what its lanes may do by them.
//!
//! Every manifest and every lease names the control record that was in force. So an exchange whose orders were restored
//! from an older copy is detected: something signed names a record that the orders no longer hold. From that moment
//! nothing is published, until the record is there again or an operator confirmed what is there.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use exchange::Exchange;
use schemas::envelope::Envelope;
use schemas::heads::{Heads, Mark};
use schemas::lease::Lease;
use schemas::name::{Lane, PartyName, RecipientName, SourceName};
use schemas::sign::PublicKey;
use schemas::subject::Subject;
use serde::Serialize;
use tokio::sync::watch;

use crate::control_head::Head;
use crate::hold::{HoldWatch, Holds};
use crate::notice;
use crate::tail::{Trust, trusted_manifest};

/// Marks kept at once, at most: each is a record that the exchange lost.
const MOST_NAMED: usize = 64;

/// A control record, and what names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The record.
    pub mark: Mark,
    /// What names it, for people.
    pub by: String,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} names control record {}", self.by, self.mark)
    }
}

/// The operators' orders, as the status page shows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OrdersStatus {
    /// `in force`, `unread` or `behind`.
    pub state: &'static str,
    /// The record in force; none: there never was one.
    pub record: Option<Mark>,
    /// The last entries of audit chains, as chunks name them.
    pub audit: BTreeMap<String, Mark>,
    /// Why nothing is published, with the remedy.
    pub reason: Option<String>,
    /// Why the record in force is not noted in the local file.
    pub file_trouble: Option<String>,
}

/// The control records that this process knows of. Clones are the same.
#[derive(Debug, Clone)]
pub struct Witness(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    holds: watch::Sender<Holds>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    in_force: Option<Mark>,
    /// Records that something names and that the record in force is not known to follow.
    named: BTreeMap<Mark, String>,
    /// The last entries of audit chains, by subject.
    audit: BTreeMap<String, Mark>,
    file_trouble: Option<String>,
}

impl Default for Witness {
    fn default() -> Self {
        Self(Arc::new(Inner {
            holds: watch::Sender::new(Holds::Unread("the exchange was not reached yet".to_owned())),
            state: Mutex::new(State::default()),
        }))
    }
}

impl Witness {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, holds: Holds) {
        self.0.holds.send_if_modified(|before| {
            let is_new = *before != holds;
            *before = holds;
            is_new
        });
    }

    /// Where lanes learn of holds.
    #[must_use]
    pub fn holds(&self) -> HoldWatch {
        self.0.holds.subscribe()
    }

    /// Takes a record that something signed names. Where the record in force is not known to follow it, everything is held
    /// at once, until the orders were read again.
    pub fn see(&self, mark: Mark, by: impl FnOnce() -> String) {
        let mut state = self.state();
        let is_known = state
            .in_force
            .is_some_and(|in_force| in_force == mark || in_force.number > mark.number);
        if is_known || state.named.contains_key(&mark) {
            return;
        }
        let named = Named { mark, by: by() };
        if matches!(*self.0.holds.borrow(), Holds::Known(_)) {
            self.tell(Holds::Behind(format!("{named}: the orders are read again")));
        }
        state.named.insert(named.mark, named.by);
        while state.named.len() > MOST_NAMED {
            state.named.pop_first();
        }
    }

    /// Every record that the orders must follow: those that were named, and the one that was in force here.
    #[must_use]
    pub fn all(&self) -> Vec<Named> {
        let state = self.state();
        let own = state.in_force.map(|mark| Named {
            mark,
            by: "this agent".to_owned(),
        });
        let named = state.named.iter().map(|(mark, by)| Named {
            mark: *mark,
            by: by.clone(),
        });
        named.chain(own).collect()
    }

    /// Returns whether a record was named that the record in force is not known to follow.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        !self.state().named.is_empty()
    }

    /// Puts the head of the orders in force, unless a record was named meanwhile that it does not follow.
    ///
    /// # Errors
    /// That record.
    pub fn accept(&self, head: &Head, holds: Holds) -> Result<(), Named> {
        let mut state = self.state();
        state.named.retain(|mark, _| !head.follows(*mark));
        if let Some((mark, by)) = state.named.last_key_value() {
            return Err(Named {
                mark: *mark,
                by: by.clone(),
            });
        }
        // The holds first: a chunk that names this record obeys its holds.
        self.tell(holds);
        state.in_force = head.mark();
        Ok(())
    }

    /// Publishes the holds of the record in force again, because some may have expired.
    pub fn renew(&self, holds: Holds) {
        let state = self.state();
        if state.named.is_empty() {
            self.tell(holds);
        }
    }

    /// Holds everything: the orders were never read.
    pub fn unread(&self, why: &str) {
        self.tell(Holds::Unread(why.to_owned()));
    }

    /// Holds everything: the orders are behind what something signed names.
    pub fn behind(&self, why: &str) {
        // The audit chains may be an older copy, too, and are read again.
        self.state().audit.clear();
        self.tell(Holds::Behind(why.to_owned()));
    }

    /// The newest record known here, whether or not the exchange still holds it: what a lease names.
    #[must_use]
    pub fn newest(&self) -> Option<Mark> {
        let state = self.state();
        let named = state.named.last_key_value().map(|(mark, _)| *mark);
        state.in_force.max(named)
    }

    /// What a chunk for this recipient names.
    #[must_use]
    pub fn heads(&self, recipient: &RecipientName) -> Heads {
        let own = notice::writer(recipient).map(|writer| format!(".{writer}"));
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
    pub fn audited(&self, party: &PartyName, writer: &PartyName, mark: Mark) {
        let subject = Subject::Audit(party.clone(), writer.clone()).to_string();
        let mut state = self.state();
        let last = state.audit.entry(subject).or_insert(mark);
        *last = mark.max(*last);
    }

    /// Shows why the record in force is not noted in the local file.
    pub fn file_trouble(&self, trouble: Option<String>) {
        self.state().file_trouble = trouble;
    }

    /// The orders at a glance.
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
            file_trouble: state.file_trouble.clone(),
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
) -> exchange::Result<Option<Named>> {
    let Some(stored) = exchange.last_chunk(lane).await? else {
        return Ok(None);
    };
    let manifest = trusted_manifest(&stored, lane, trust).ok();
    let mark = manifest.and_then(|(manifest, _)| manifest.heads.control);
    Ok(mark.map(|mark| Named {
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
) -> exchange::Result<Option<Named>> {
    let Some(stored) = exchange.lease(source).await? else {
        return Ok(None);
    };
    Ok(lease_mark(&stored.bytes, source, publishers).map(|mark| Named {
        mark,
        by: format!("the lease of {source}"),
    }))
}

/// PURE: the control record that a lease names, if a trusted key signed it for this source.
#[must_use]
pub fn lease_mark(bytes: &[u8], source: &SourceName, publishers: &[PublicKey]) -> Option<Mark> {
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

    fn mark(number: u64, of: &str) -> Mark {
        Mark {
            number,
            digest: Digest::of(&[of.as_bytes()]),
        }
    }

    fn head(lineage: &[Mark]) -> Head {
        Head {
            lineage: lineage.to_vec(),
            ..Head::default()
        }
    }

    #[test]
    fn witness_named_record_holds_all_until_the_orders_follow_it() {
        let witness = Witness::default();
        let (one, two, other) = (mark(1, "one"), mark(2, "two"), mark(2, "other"));
        let known = || Holds::Known(Vec::new());
        assert_eq!(witness.accept(&head(&[one]), known()), Ok(()));
        witness.see(one, || unreachable!("it is in force"));
        assert_eq!(witness.status().state, "in force");
        for lost in [two, other] {
            witness.see(lost, || "a lease".to_owned());
            assert_eq!(witness.status().state, "behind");
            assert!(witness.accept(&head(&[one]), known()).is_err());
            witness.renew(known());
            assert_eq!(witness.status().state, "behind", "a tick must not lift it");
        }
        assert!(
            witness.accept(&head(&[one, two]), known()).is_err(),
            "another record 2 is lost"
        );
        assert_eq!(witness.newest(), Some(two.max(other)));
        assert_eq!(witness.accept(&head(&[one, two, other]), known()), Ok(()));
        assert_eq!(witness.status().state, "in force");
    }

    #[test]
    fn witness_heads_name_no_other_recipients_chain() {
        let witness = Witness::default();
        for writer in ["operator", "gate", "to-a", "to-b"] {
            witness.audited(
                &"bureau".parse().unwrap(),
                &writer.parse().unwrap(),
                mark(1, writer),
            );
        }
        let heads = witness.heads(&"a".parse().unwrap());
        let chains: Vec<&str> = heads.audit.keys().map(String::as_str).collect();
        assert_eq!(
            chains,
            ["audit.bureau.gate", "audit.bureau.operator", "audit.bureau.to-a"]
        );
    }
}
