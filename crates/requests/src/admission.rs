//! PURE: whether a request is answered. Every rule of the bureau, in one order, before any read of the core.
//!
//! The order matters only for what is told: what no time heals comes first, so that nobody waits for an
//! officer, or for their quota, to learn that an argument was wrong. A request is judged again whenever it
//! is looked at, and before each quantum: rules, kinds, holds and the block list may have changed while it
//! waited. Only the quota is asked once, before the first quantum ([`Rules::quota`]).
//!
//! What is judged was verified before: the signature, by the keys that the bureau trusts for the recipient.

mod checks;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use schemas::approval::Approval;
use schemas::control::Order;
use schemas::digest::Digest;
use schemas::name::{OfficerName, RecipientName};
use schemas::refusal::RefusalCode;
use schemas::request::{Request, RequestId};

use crate::argument::Bound;
use crate::blocklist::Blocked;
use crate::hold::{self, Held};
use crate::kind::{Grant, Kind, Kinds};
use crate::quota::{History, Place, Quota};
use crate::refusal::Refusal;

/// A request as the exchange holds it.
#[derive(Debug, Clone, Copy)]
pub struct Filed<'a> {
    /// The recipient in its subject, which the exchange enforces.
    pub recipient: &'a RecipientName,
    /// The id in its subject.
    pub id: &'a RequestId,
    /// What was signed.
    pub request: &'a Request,
    /// The digest of the published bytes.
    pub digest: Digest,
    /// Its sequence in the stream and when it was stored, by the exchange's clock.
    pub place: Place,
    /// Whether a cancel for this digest, signed by its recipient, is stored.
    pub cancelled: bool,
    /// What officers said, verified.
    pub approvals: &'a [Approval],
}

/// What the bureau goes by.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// The kinds that there are.
    pub kinds: &'a Kinds,
    /// The block list, with the key that marks persons.
    pub blocked: Blocked<'a>,
    /// The orders in force; none: they could not be read yet, and nothing is answered.
    pub orders: Option<&'a [Order]>,
    /// The recipient's quota with what it asked so far. None where there is no quota, and for a request
    /// whose answer has begun: its own rows, and those of others meanwhile, do not stop it.
    pub quota: Option<(&'a Quota, &'a History)>,
    /// Days for which the exchange keeps requests; the outcome of an older one could not be looked up.
    pub retention_days: i32,
    /// Now, by the exchange's clock.
    pub now: Timestamp,
}

/// What becomes of a request now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission<'a> {
    /// It may be answered.
    Admitted(Box<Admitted<'a>>),
    /// Officers have to grant it.
    WaitsForApproval {
        /// Officers who granted.
        granted: u32,
        /// Officers who have to.
        needed: u32,
    },
    /// It stands still.
    Held {
        /// Why, in words for the recipient.
        reason: String,
    },
    /// It is not answered: the final outcome.
    Refused(Refusal),
    /// Its deadline has passed: the final outcome.
    Expired,
    /// Its recipient cancelled it: the final outcome.
    Cancelled,
}

/// How a request is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted<'a> {
    /// Its kind.
    pub kind: &'a Kind,
    /// What the recipient gets.
    pub grant: &'a Grant,
    /// A value for each of `$1..$n`.
    pub bound: Vec<Bound>,
    /// Rows, at most.
    pub most_rows: u64,
    /// What sets that limit, for the reason of a partial answer.
    pub limited_by: RowLimit,
    /// The digest of the kind's definition for this recipient.
    pub definition: Digest,
    /// Who granted it; nobody where nobody has to.
    pub granted_by: Vec<OfficerName>,
    /// Persons whose rows a hold keeps out, by the hold's id.
    pub held_persons: BTreeMap<Digest, String>,
}

/// What limits the rows of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowLimit {
    /// The kind.
    Kind,
    /// What is left of the recipient's rows a day.
    Quota,
}

impl RowLimit {
    /// The reason of a partial answer that it cut off.
    #[must_use]
    pub fn reason(self, most_rows: u64) -> String {
        match self {
            Self::Kind => {
                format!("the kind allows {most_rows} rows, and there are more: ask for a shorter period")
            }
            Self::Quota => {
                format!("{most_rows} rows were left of the rows a day, and there are more: ask again later")
            }
        }
    }
}

/// Clocks of two parties may differ, and their days with them.
const A_DAY: SignedDuration = SignedDuration::from_hours(24);

/// Judges a request. Total: whatever was filed, there is one answer.
#[must_use]
pub fn judge<'a>(filed: &Filed<'_>, rules: &Rules<'a>) -> Admission<'a> {
    match weigh(filed, rules) {
        Ok(admission) => admission,
        Err(refusal) => Admission::Refused(refusal),
    }
}

fn weigh<'a>(filed: &Filed<'_>, rules: &Rules<'a>) -> Result<Admission<'a>, Refusal> {
    let request = filed.request;
    checks::names(filed)?;
    checks::texts(request)?;
    checks::age(filed.id, rules)?;
    if filed.cancelled {
        return Ok(Admission::Cancelled);
    }
    if request.deadline.is_some_and(|deadline| deadline <= rules.now) {
        return Ok(Admission::Expired);
    }
    let kind = rules.kinds.get(&request.kind).ok_or_else(|| {
        Refusal::new(
            RefusalCode::UnknownKind,
            "the bureau has no kind of this name, or has it no more",
        )
    })?;
    let grant = kind.grant_of(filed.recipient).ok_or_else(|| {
        Refusal::new(
            RefusalCode::NotPermitted,
            "the bureau has not granted you this kind",
        )
    })?;
    checks::basis(request, grant)?;
    let bound = checks::arguments(request, kind)?;
    checks::period(kind, &bound)?;
    if kind
        .persons_in(&bound, rules.blocked.key())
        .any(|person| rules.blocked.holds(person))
    {
        let why = "nothing is sent about this person: they are on the bureau's block list";
        return Err(Refusal::new(RefusalCode::Blocked, why));
    }
    let granted_by = match &kind.config().approval {
        None => Ok(Vec::new()),
        Some(rule) => {
            let stored_at = filed.place.stored_at;
            let standing = rule.judge(request, filed.digest, stored_at, filed.approvals, rules.now);
            checks::approved(standing)?
        }
    };
    let left = match rules.quota {
        Some((quota, history)) => quota.judge(history, filed.place, rules.now)?,
        None => None,
    };
    let held = hold::judge(
        rules.orders,
        filed.recipient,
        kind,
        &bound,
        rules.blocked.key(),
        rules.now,
    );
    let held_persons = match held {
        Held::Waits(reason) => return Ok(Admission::Held { reason }),
        Held::Free(persons) => persons,
    };
    let granted_by = match granted_by {
        Ok(by) => by,
        Err((granted, needed)) => return Ok(Admission::WaitsForApproval { granted, needed }),
    };
    let own = kind.config().most_rows;
    let (most_rows, limited_by) = match left.filter(|left| *left < own) {
        Some(left) => (left, RowLimit::Quota),
        None => (own, RowLimit::Kind),
    };
    Ok(Admission::Admitted(Box::new(Admitted {
        definition: kind.definition(filed.recipient),
        kind,
        grant,
        bound,
        most_rows,
        limited_by,
        granted_by,
        held_persons,
    })))
}

/// The names of officers, or how many granted and how many have to; a refusal where it is over.
type Granted = Result<Result<Vec<OfficerName>, (u32, u32)>, Refusal>;

#[cfg(test)]
mod tests;
