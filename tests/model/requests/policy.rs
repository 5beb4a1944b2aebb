//! The bureau's policy, the parties' keys, and the messages that they file.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use ::requests::kind::{KindConfig, Kinds};
use ::requests::queue::RequestKey;
use ::requests::quota::Quota;
use disclosure::blocklist::BlockList;
use disclosure::hold::{ActiveHold, Holds};
use schemas::approval::{Approval, Decision};
use schemas::digest::Digest;
use schemas::name::RecipientName;
use schemas::person::PersonKey;
use schemas::request::{Request, RequestId};
use schemas::sign::{PublicKey, SigningKey};
use social::responder::AnswerOptions;
use social::responder::rule_set::RuleSet;

use super::super::core::time;
use super::exchange::FiledRequest;
use harness::rng::Rng;

pub(super) const RECIPIENTS: [&str; 2] = ["insurer-a", "insurer-b"];
/// The recipient that the hold names.
pub(super) const HELD: &str = "insurer-b";
pub(super) const OFFICERS: [&str; 2] = ["li", "wang"];
/// Rows of an answer, at most.
pub(super) const MAX_ROWS: u32 = 9;
/// Rows a day of the recipient with a quota.
pub(super) const QUOTA: u64 = 20;
/// Retries of a failed attempt.
pub(super) const RETRIES: u32 = 1;

/// Kinds with an order, without one, and with officers.
const KINDS: [&str; 3] = [
    "name = \"ordered\"\norder = [\"id\"]\n",
    "name = \"unordered\"\npriority = \"urgent\"\n",
    "name = \"granted\"\norder = [\"id\"]\napproval = { officers = 2, within = \"4s\" }\n",
];

/// What does not change in a simulation.
pub(super) struct Policy {
    pub(super) kinds: Arc<Kinds>,
    /// The rules without a hold and with one.
    rules: [Arc<RuleSet>; 2],
    insurer: PublicKey,
    officers: [PublicKey; 2],
}

pub(super) fn policy() -> &'static Policy {
    static POLICY: OnceLock<Policy> = OnceLock::new();
    POLICY.get_or_init(Policy::new)
}

pub(super) fn options() -> AnswerOptions {
    AnswerOptions {
        retries: RETRIES,
        ..AnswerOptions::default()
    }
}

pub(super) fn quotas(enabled: bool) -> BTreeMap<RecipientName, Quota> {
    let quota = Quota {
        rows_a_day: Some(QUOTA),
        ..Quota::default()
    };
    let limited = RECIPIENTS.first().filter(|_| enabled);
    limited
        .map(|name| (name.parse().unwrap(), quota))
        .into_iter()
        .collect()
}

impl Policy {
    fn new() -> Self {
        let key = || SigningKey::generate().public().clone();
        let persons = Arc::new(PersonKey::of(&SigningKey::generate()).unwrap());
        let list = Arc::new(BlockList::new(
            jiff::civil::date(2026, 1, 1),
            &persons,
            Vec::new(),
        ));
        let kinds = Arc::new(kinds());
        let hold = ActiveHold {
            id: "h1".into(),
            hold: schemas::control::Hold {
                recipients: vec![HELD.parse().unwrap()],
                feeds: Vec::new(),
                person: None,
            },
            actor: "li.na".into(),
            reason: "a check".into(),
            until: None,
        };
        let rules = |version, holds| {
            let (kinds, list) = (Arc::clone(&kinds), Arc::clone(&list));
            Arc::new(RuleSet::new(
                kinds,
                list,
                &Holds::Known(holds),
                Arc::clone(&persons),
                version,
            ))
        };
        Self {
            rules: [rules(1, Vec::new()), rules(2, vec![hold])],
            kinds,
            insurer: key(),
            officers: [key(), key()],
        }
    }

    pub(super) fn rules(&self, is_held: bool) -> &Arc<RuleSet> {
        let [free, held] = &self.rules;
        if is_held { held } else { free }
    }

    /// Makes a request of any kind.
    pub(super) fn request(&self, number: usize, rng: &mut Rng, now: i64) -> FiledRequest {
        let recipient: RecipientName = RECIPIENTS[rng.below(2)].parse().unwrap();
        let id: RequestId = format!("20260131-a{number:07}").parse().unwrap();
        let kind = ["ordered", "ordered", "ordered", "unordered", "granted", "missing"][rng.below(6)];
        let deadline = rng.percent(40).then(|| time(now + rng.span(500, 8_000)));
        let request = Request {
            id: id.clone(),
            recipient: recipient.clone(),
            origin: None,
            kind: kind.to_owned(),
            arguments: BTreeMap::new(),
            purpose: "01".to_owned(),
            basis: "01".to_owned(),
            deadline,
            idempotency: None,
            filed_by: "clerk".to_owned(),
            filed_at: time(now),
            key: self.insurer.clone(),
        };
        FiledRequest {
            digest: Digest::of(&[id.to_string().as_bytes()]),
            key: RequestKey { recipient, id },
            request: Rc::new(request),
            stored_at: now,
            rows: u32::try_from(rng.below(12)).unwrap(),
        }
    }

    pub(super) fn approval(&self, filed: &FiledRequest, officer: usize, rng: &mut Rng, now: i64) -> Approval {
        let decision = if rng.percent(10) {
            Decision::Refuse
        } else {
            Decision::Grant
        };
        Approval {
            id: filed.key.id.clone(),
            recipient: filed.key.recipient.clone(),
            request: filed.digest,
            officer: OFFICERS[officer].parse().unwrap(),
            decision,
            reason: "as agreed".to_owned(),
            at: time(now),
            key: self.officers[officer].clone(),
        }
    }
}

fn kinds() -> Kinds {
    let grants = RECIPIENTS.map(|name| {
        format!(
            "[[kind.grant]]\nrecipient = \"{name}\"\npurposes = {{ \"01\" = [\"01\"] }}\ncolumns = [\"id\"]\n"
        )
    });
    let common = format!("sql = \"select id from setl\"\nanonymous = true\nmax_rows = {MAX_ROWS}\n");
    let text = KINDS.map(|kind| format!("[[kind]]\n{kind}{common}{}", grants.concat()));
    let table: toml::Table = text.concat().parse().unwrap();
    let table: BTreeMap<String, Vec<KindConfig>> =
        serde_json::from_value(serde_json::to_value(table).unwrap()).unwrap();
    Kinds::new(table.into_values().flatten().collect()).unwrap()
}
