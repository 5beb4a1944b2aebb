//! PURE: whether a request is answered. Applies every rule of the bureau, in one order, before any read of the core.
//!
//! Permanent refusals come first, so that no request waits for an officer or a quota before it learns that an argument is wrong.
//! A request is evaluated again at each poll and before each quantum, because rules, kinds, holds and the block list may change.
//! Only the quota is checked once for each attempt, before its first quantum ([`Rules::quota`]).
//!
//! The signature was verified before, with the keys that the bureau trusts for the recipient.

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
use crate::hold::{self, HoldDecision};
use crate::kind::{Grant, Kind, Kinds};
use crate::quota::{History, Quota, StreamPosition};
use crate::refusal::Refusal;
use disclosure::blocklist::BlockListView;

/// A request as the exchange holds it.
#[derive(Debug, Clone, Copy)]
pub struct FiledRequest<'a> {
    /// The recipient in its subject, which the exchange enforces.
    pub recipient: &'a RecipientName,
    /// The id in its subject.
    pub id: &'a RequestId,
    /// The signed request.
    pub request: &'a Request,
    /// The digest of the published bytes.
    pub digest: Digest,
    /// Its sequence in the stream and when it was stored, by the exchange's clock.
    pub place: StreamPosition,
    /// Whether a cancel for this digest, signed by its recipient, is stored.
    pub cancelled: bool,
    /// The officers' verified decisions.
    pub approvals: &'a [Approval],
}

/// The rules that apply.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// The configured kinds.
    pub kinds: &'a Kinds,
    /// The block list, with the key that marks persons.
    pub blocked: BlockListView<'a>,
    /// The orders in force. `None`: not read yet, and nothing is answered.
    pub orders: Option<&'a [Order]>,
    /// The recipient's quota with its history. `None` if there is no quota, and for a request whose answer has begun: rows that were
    /// sent since must not stop it.
    pub quota: Option<(&'a Quota, &'a History)>,
    /// Days for which the exchange keeps requests. The outcome of an older one could not be found.
    pub retention_days: i32,
    /// Now, by the exchange's clock.
    pub now: Timestamp,
}

/// The decision about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission<'a> {
    /// It may be answered.
    Admitted(Box<Admitted<'a>>),
    /// Officers have to grant it.
    WaitsForApproval {
        /// Officers who granted.
        granted: u32,
        /// Officers who must grant.
        needed: u32,
    },
    /// It waits for the end of a hold.
    Held {
        /// The reason, for the recipient.
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
    pub max_rows: u64,
    /// What sets that limit, for the reason of a partial answer.
    pub limited_by: RowLimit,
    /// The digest of the kind's definition for this recipient.
    pub definition: Digest,
    /// The officers who granted it. Empty if no approval is needed.
    pub granted_by: Vec<OfficerName>,
    /// Persons whose rows a hold withholds, with the hold's id.
    pub held_persons: BTreeMap<Digest, String>,
}

/// What limits the rows of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowLimit {
    /// The kind.
    Kind,
    /// The recipient's remaining rows per day.
    Quota,
}

impl RowLimit {
    /// Returns the reason of a partial answer that this limit cut off.
    #[must_use]
    pub fn reason(self, max_rows: u64) -> String {
        match self {
            Self::Kind => {
                format!("the kind allows {max_rows} rows, and there are more: ask for a shorter period")
            }
            Self::Quota => {
                format!("{max_rows} rows were left of the rows a day, and there are more: ask again later")
            }
        }
    }
}

/// Tolerance for the days of two parties, whose clocks may differ.
const ONE_DAY: SignedDuration = SignedDuration::from_hours(24);

/// Evaluates a request. Total: every request has one decision.
#[must_use]
pub fn evaluate<'a>(filed: &FiledRequest<'_>, rules: &Rules<'a>) -> Admission<'a> {
    match evaluate_rules(filed, rules) {
        Ok(admission) => admission,
        Err(refusal) => Admission::Refused(refusal),
    }
}

fn evaluate_rules<'a>(filed: &FiledRequest<'_>, rules: &Rules<'a>) -> Result<Admission<'a>, Refusal> {
    let request = filed.request;
    checks::check_identity(filed)?;
    checks::check_texts(request)?;
    checks::check_age(filed.id, rules)?;
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
    checks::check_basis(request, grant)?;
    let bound = checks::bind_arguments(request, kind)?;
    checks::check_period(kind, &bound)?;
    if kind
        .persons_in(&bound, rules.blocked.key())
        .any(|person| rules.blocked.contains(person))
    {
        let why = "nothing is sent about this person: they are on the bureau's block list";
        return Err(Refusal::new(RefusalCode::Blocked, why));
    }
    let granted_by = match &kind.config().approval {
        None => Ok(Vec::new()),
        Some(rule) => {
            let stored_at = filed.place.stored_at;
            let approval = rule.evaluate(request, filed.digest, stored_at, filed.approvals, rules.now);
            checks::convert_approval(approval)?
        }
    };
    let left = match rules.quota {
        Some((quota, history)) => quota.evaluate(history, filed.place, rules.now)?,
        None => None,
    };
    let held = hold::evaluate(
        rules.orders,
        filed.recipient,
        kind,
        &bound,
        rules.blocked.key(),
        rules.now,
    );
    let held_persons = match held {
        HoldDecision::Waits(reason) => return Ok(Admission::Held { reason }),
        HoldDecision::Free(persons) => persons,
    };
    let granted_by = match granted_by {
        Ok(by) => by,
        Err((granted, needed)) => return Ok(Admission::WaitsForApproval { granted, needed }),
    };
    let own = kind.config().max_rows;
    let (max_rows, limited_by) = match left.filter(|left| *left < own) {
        Some(left) => (left, RowLimit::Quota),
        None => (own, RowLimit::Kind),
    };
    Ok(Admission::Admitted(Box::new(Admitted {
        definition: kind.definition(filed.recipient),
        kind,
        grant,
        bound,
        max_rows,
        limited_by,
        granted_by,
        held_persons,
    })))
}

/// The officers who granted, or the counts (granted, needed); a refusal if it is final.
type ApprovalResult = Result<Result<Vec<OfficerName>, (u32, u32)>, Refusal>;

#[cfg(test)]
mod tests;
