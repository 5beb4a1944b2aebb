//! Whether officers have granted a request: named people of the bureau, as many as the kind says.
//!
//! A grant counts once for each person. Two names that sign with one key are one person, and whoever
//! filed the request is none of them, neither by name nor by key. One refusal is enough. Signatures
//! are checked before; here only what the officers said is weighed.

use std::collections::BTreeSet;

use jiff::Timestamp;
use runtime::span::Span;
use schemas::approval::{Approval, Decision};
use schemas::digest::Digest;
use schemas::name::OfficerName;
use schemas::request::Request;
use serde::{Deserialize, Serialize};

/// What a kind asks for before it is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalRule {
    /// Officers who have to grant: 1 to 9.
    pub officers: u32,
    /// Who may decide; empty: every officer whose key the bureau trusts.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub among: BTreeSet<OfficerName>,
    /// How long after it was stored it waits for them; for ever, or until its deadline, where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Span>,
}

/// Officers that a rule may ask for, at most.
pub const MOST_OFFICERS: u32 = 9;

/// Where a request stands with the officers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// As many as needed granted it.
    Granted {
        /// Who, by name.
        by: Vec<OfficerName>,
    },
    /// Some are still needed.
    Waits {
        /// Officers who granted.
        granted: u32,
        /// Officers who have to.
        needed: u32,
    },
    /// Somebody refused. Their reason is for the bureau's records.
    Refused {
        /// Who.
        by: OfficerName,
        /// Why, in their words.
        reason: String,
    },
    /// Nobody, or too few, granted in time.
    TooLate {
        /// Officers who granted.
        granted: u32,
        /// Officers who have to.
        needed: u32,
    },
}

impl ApprovalRule {
    /// Weighs what was said. `digest` is the request's, `stored_at` when the exchange stored it.
    #[must_use]
    pub fn judge(
        &self,
        request: &Request,
        digest: Digest,
        stored_at: Timestamp,
        said: &[Approval],
        now: Timestamp,
    ) -> Standing {
        let mut counted: Vec<&Approval> = said
            .iter()
            .filter(|approval| self.counts(approval, request, digest))
            .collect();
        counted.sort_by(|a, b| (a.at, &a.officer).cmp(&(b.at, &b.officer)));
        if let Some(refusal) = counted.iter().find(|said| said.decision == Decision::Refuse) {
            return Standing::Refused {
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
            Standing::Granted { by }
        } else if self.is_late(stored_at, now) {
            Standing::TooLate { granted, needed }
        } else {
            Standing::Waits { granted, needed }
        }
    }

    fn counts(&self, said: &Approval, request: &Request, digest: Digest) -> bool {
        let same = said.id == request.id && said.recipient == request.recipient && said.request == digest;
        let named = self.among.is_empty() || self.among.contains(&said.officer);
        let filer = request.filed_by.trim().to_lowercase();
        let own = filer == said.officer.as_str() || request.key == said.key;
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

    fn judge(rule: &ApprovalRule, said: &[Approval]) -> Standing {
        judge_at(rule, said, 0)
    }

    fn judge_at(rule: &ApprovalRule, said: &[Approval], second: i64) -> Standing {
        let request = sample::request();
        rule.judge(
            &request,
            sample::digest(),
            sample::at(0),
            said,
            sample::at(second),
        )
    }

    fn grant(officer: &str) -> Approval {
        sample::approval(officer, Decision::Grant)
    }

    fn waits(granted: u32, needed: u32) -> Standing {
        Standing::Waits { granted, needed }
    }

    #[test]
    fn two_different_people_have_to_grant_where_the_kind_says_two() {
        assert_eq!(judge(&rule(2), &[]), waits(0, 2));
        assert_eq!(judge(&rule(2), &[grant("li")]), waits(1, 2));
        let twice = [grant("li"), grant("li")];
        assert_eq!(judge(&rule(2), &twice), waits(1, 2));
        let mut alias = grant("wang");
        alias.key = twice[0].key.clone();
        assert_eq!(judge(&rule(2), &[twice[0].clone(), alias]), waits(1, 2));
        let both = judge(&rule(2), &[grant("li"), grant("wang")]);
        assert!(matches!(both, Standing::Granted { by } if by.len() == 2));
    }

    #[test]
    fn the_filers_own_word_never_counts() {
        let mut named = grant("clerk");
        assert_eq!(judge(&rule(1), &[named.clone()]), waits(0, 1));
        named.decision = Decision::Refuse;
        assert_eq!(judge(&rule(1), &[named]), waits(0, 1));
        let mut signed = grant("li");
        signed.key = sample::request().key;
        assert_eq!(judge(&rule(1), &[signed]), waits(0, 1));
    }

    #[test]
    fn one_refusal_is_enough_even_after_grants() {
        let said = [
            grant("li"),
            grant("wang"),
            sample::approval("zhao", Decision::Refuse),
        ];
        let standing = judge(&rule(1), &said);
        assert!(matches!(standing, Standing::Refused { by, .. } if by.as_str() == "zhao"));
    }

    #[test]
    fn a_word_about_another_request_does_not_count() {
        let mut other = grant("li");
        other.request = Digest::of(&[b"as it was changed afterwards"]);
        assert_eq!(judge(&rule(1), &[other]), waits(0, 1));
        let mut other = grant("li");
        other.recipient = "insurer-b".parse().unwrap();
        assert_eq!(judge(&rule(1), &[other]), waits(0, 1));
    }

    #[test]
    fn only_those_named_may_decide_and_only_in_time() {
        let mut named = rule(1);
        named.among.insert("wang".parse().unwrap());
        assert_eq!(judge(&named, &[grant("li")]), waits(0, 1));
        assert!(matches!(
            judge(&named, &[grant("wang")]),
            Standing::Granted { .. }
        ));
        assert_eq!(judge_at(&rule(1), &[], 59), waits(0, 1));
        let late = Standing::TooLate {
            granted: 0,
            needed: 1,
        };
        assert_eq!(judge_at(&rule(1), &[], 60), late);
        // Granted in time and looked at later: the bureau's own pause is not the filer's fault.
        assert!(matches!(
            judge_at(&rule(1), &[grant("li")], 99),
            Standing::Granted { .. }
        ));
    }

    proptest! {
        /// The order in which words are read changes nothing, and nobody is granted by too few.
        #[test]
        fn order_does_not_matter_and_too_few_never_grant(
            picks in prop::collection::vec((0_usize..5, any::<bool>()), 0..8),
            officers in 1_u32..4,
        ) {
            let names = ["li", "wang", "zhao", "clerk", "sun"];
            let said: Vec<Approval> = picks.iter().map(|(at, refuses)| {
                sample::approval(names[*at], if *refuses { Decision::Refuse } else { Decision::Grant })
            }).collect();
            let mut turned = said.clone();
            turned.reverse();
            let (one, other) = (judge(&rule(officers), &said), judge(&rule(officers), &turned));
            let different: BTreeSet<_> =
                picks.iter().filter(|(at, refuses)| *at != 3 && !refuses).map(|(at, _)| at).collect();
            match &one {
                Standing::Granted { by } => prop_assert!(by.len() >= officers as usize && different.len() >= officers as usize),
                Standing::Refused { by, .. } => prop_assert!(by.as_str() != "clerk"),
                _ => prop_assert!(different.len() < officers as usize),
            }
            prop_assert_eq!(std::mem::discriminant(&one), std::mem::discriminant(&other));
        }
    }
}
