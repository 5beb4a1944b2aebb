//! Whether officers have granted a request: named people of the bureau, as many as the kind requires.
//!
//! A grant counts once per person. Two names that sign with one key are one person. The filer does not count, neither by name nor by
//! key. One refusal is final. Signatures are verified before.

use std::collections::BTreeSet;

use jiff::Timestamp;
use runtime::span::Span;
use schemas::approval::{Approval, Decision};
use schemas::digest::Digest;
use schemas::name::OfficerName;
use schemas::request::Request;
use serde::{Deserialize, Serialize};

/// The approval that a kind requires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalRule {
    /// Officers who must grant: 1 to 9.
    pub officers: u32,
    /// Officers who may decide. Empty: every officer whose key the bureau trusts.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub among: BTreeSet<OfficerName>,
    /// How long after it was stored it waits for them. Default: permanently, or until its deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Span>,
}

/// The greatest number of officers that a rule may require.
pub const MAX_OFFICERS: u32 = 9;

/// The state of a request's approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApprovalState {
    /// Enough officers granted it.
    Granted {
        /// Their names.
        by: Vec<OfficerName>,
    },
    /// More grants are needed.
    Pending {
        /// Officers who granted.
        granted: u32,
        /// Officers who must grant.
        needed: u32,
    },
    /// An officer refused. The reason is for the bureau's records.
    Refused {
        /// The officer.
        by: OfficerName,
        /// The officer's reason.
        reason: String,
    },
    /// Too few officers granted in time.
    TimedOut {
        /// Officers who granted.
        granted: u32,
        /// Officers who must grant.
        needed: u32,
    },
}

impl ApprovalRule {
    /// Evaluates the decisions. `digest` is the request's, `stored_at` when the exchange stored it.
    #[must_use]
    pub fn evaluate(
        &self,
        request: &Request,
        digest: Digest,
        stored_at: Timestamp,
        decisions: &[Approval],
        now: Timestamp,
    ) -> ApprovalState {
        let mut counted: Vec<&Approval> = decisions
            .iter()
            .filter(|approval| self.counts(approval, request, digest))
            .collect();
        counted.sort_by(|a, b| (a.at, &a.officer).cmp(&(b.at, &b.officer)));
        if let Some(refusal) = counted.iter().find(|one| one.decision == Decision::Refuse) {
            return ApprovalState::Refused {
                by: refusal.officer.clone(),
                reason: refusal.reason.clone(),
            };
        }
        let (mut by, mut keys) = (Vec::new(), BTreeSet::new());
        for grant in counted {
            if !by.contains(&grant.officer) && keys.insert(grant.key.to_string()) {
                by.push(grant.officer.clone());
            }
        }
        let needed = self.officers.max(1);
        let granted = u32::try_from(by.len()).unwrap_or(u32::MAX);
        if granted >= needed {
            ApprovalState::Granted { by }
        } else if self.is_late(stored_at, now) {
            ApprovalState::TimedOut { granted, needed }
        } else {
            ApprovalState::Pending { granted, needed }
        }
    }

    fn counts(&self, approval: &Approval, request: &Request, digest: Digest) -> bool {
        let same = approval.id == request.id
            && approval.recipient == request.recipient
            && approval.request == digest;
        let named = self.among.is_empty() || self.among.contains(&approval.officer);
        let filer = request.filed_by.trim().to_lowercase();
        let own = filer == approval.officer.as_str() || request.key == approval.key;
        same && named && !own
    }

    fn is_late(&self, stored_at: Timestamp, now: Timestamp) -> bool {
        let end = self.within.map(|within| stored_at.checked_add(within.get()));
        end.is_some_and(|end| end.is_ok_and(|end| end <= now))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sample;

    fn rule(officers: u32) -> ApprovalRule {
        ApprovalRule {
            officers,
            among: BTreeSet::new(),
            within: Some(Span::from_secs(60)),
        }
    }

    fn evaluate(rule: &ApprovalRule, decisions: &[Approval]) -> ApprovalState {
        judge_at(rule, decisions, 0)
    }

    fn judge_at(rule: &ApprovalRule, decisions: &[Approval], second: i64) -> ApprovalState {
        let request = sample::request();
        rule.evaluate(
            &request,
            sample::digest(),
            sample::at(0),
            decisions,
            sample::at(second),
        )
    }

    fn grant(officer: &str) -> Approval {
        sample::approval(officer, Decision::Grant)
    }

    fn waits(granted: u32, needed: u32) -> ApprovalState {
        ApprovalState::Pending { granted, needed }
    }

    #[test]
    fn approval_by_two_needs_two_different_people() {
        assert_eq!(evaluate(&rule(2), &[]), waits(0, 2));
        assert_eq!(evaluate(&rule(2), &[grant("li")]), waits(1, 2));
        let twice = [grant("li"), grant("li")];
        assert_eq!(evaluate(&rule(2), &twice), waits(1, 2));
        let mut alias = grant("wang");
        alias.key = twice[0].key.clone();
        assert_eq!(evaluate(&rule(2), &[twice[0].clone(), alias]), waits(1, 2));
        let both = evaluate(&rule(2), &[grant("li"), grant("wang")]);
        assert!(matches!(both, ApprovalState::Granted { by } if by.len() == 2));
    }

    #[test]
    fn approval_by_the_filer_never_counts() {
        let mut named = grant("clerk");
        assert_eq!(evaluate(&rule(1), &[named.clone()]), waits(0, 1));
        named.decision = Decision::Refuse;
        assert_eq!(evaluate(&rule(1), &[named]), waits(0, 1));
        let mut signed = grant("li");
        signed.key = sample::request().key;
        assert_eq!(evaluate(&rule(1), &[signed]), waits(0, 1));
    }

    #[test]
    fn approval_one_refusal_is_final_after_grants() {
        let decisions = [
            grant("li"),
            grant("wang"),
            sample::approval("zhao", Decision::Refuse),
        ];
        let standing = evaluate(&rule(1), &decisions);
        assert!(matches!(standing, ApprovalState::Refused { by, .. } if by.as_str() == "zhao"));
    }

    #[test]
    fn approval_for_another_request_does_not_count() {
        let mut other = grant("li");
        other.request = Digest::of(&[b"as it was changed afterwards"]);
        assert_eq!(evaluate(&rule(1), &[other]), waits(0, 1));
        let mut other = grant("li");
        other.recipient = "insurer-b".parse().unwrap();
        assert_eq!(evaluate(&rule(1), &[other]), waits(0, 1));
    }

    #[test]
    fn approval_counts_named_officers_in_time_only() {
        let mut named = rule(1);
        named.among.insert("wang".parse().unwrap());
        assert_eq!(evaluate(&named, &[grant("li")]), waits(0, 1));
        assert!(matches!(
            evaluate(&named, &[grant("wang")]),
            ApprovalState::Granted { .. }
        ));
        assert_eq!(judge_at(&rule(1), &[], 59), waits(0, 1));
        let late = ApprovalState::TimedOut {
            granted: 0,
            needed: 1,
        };
        assert_eq!(judge_at(&rule(1), &[], 60), late);
        // Granted in time and evaluated later: the bureau's own delay does not count against the filer.
        assert!(matches!(
            judge_at(&rule(1), &[grant("li")], 99),
            ApprovalState::Granted { .. }
        ));
    }

    proptest! {
        /// The order of the decisions does not matter, and too few officers never grant.
        #[test]
        fn approval_order_does_not_matter_and_too_few_never_grant(
            picks in prop::collection::vec((0_usize..5, any::<bool>()), 0..8),
            officers in 1_u32..4,
        ) {
            let names = ["li", "wang", "zhao", "clerk", "sun"];
            let decisions: Vec<Approval> = picks.iter().map(|(at, refuses)| {
                sample::approval(names[*at], if *refuses { Decision::Refuse } else { Decision::Grant })
            }).collect();
            let mut turned = decisions.clone();
            turned.reverse();
            let (one, other) = (evaluate(&rule(officers), &decisions), evaluate(&rule(officers), &turned));
            let different: BTreeSet<_> =
                picks.iter().filter(|(at, refuses)| *at != 3 && !refuses).map(|(at, _)| at).collect();
            match &one {
                ApprovalState::Granted { by } => prop_assert!(by.len() >= officers as usize && different.len() >= officers as usize),
                ApprovalState::Refused { by, .. } => prop_assert!(by.as_str() != "clerk"),
                _ => prop_assert!(different.len() < officers as usize),
            }
            prop_assert_eq!(std::mem::discriminant(&one), std::mem::discriminant(&other));
        }
    }
}
