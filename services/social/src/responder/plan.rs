//! PURE: decides the next step of one request.

use jiff::{SignedDuration, Timestamp};
use requests::admission::{self, Admission, Admitted, FiledRequest, Rules};
use requests::kind::Kinds;
use requests::queue::{QueuedRequest as Queued, RequestKey};
use schemas::digest::Digest;
use schemas::progress::Waiting;
use schemas::reply::Outcome;

use super::answer_config::AnswerOptions;
use super::request_index::PendingRequest;

/// The next step of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Next<'a> {
    /// Store its final outcome, with the digest of the kind's definition if the kind is known.
    Reply(Outcome, Option<Digest>),
    /// Wait for this.
    Wait(Waiting),
    /// Queue it for an answer.
    Answer(Box<Admitted<'a>>),
    /// Wait until it expires: an answer might be stored after its deadline.
    RunOut,
}

/// Decides the next step. `rules.now` is the exchange's time.
#[must_use]
pub fn next<'a>(
    key: &RequestKey,
    entry: &PendingRequest,
    rules: &Rules<'a>,
    options: &AnswerOptions,
) -> Next<'a> {
    let request = match &entry.request {
        Ok(request) => request,
        Err(refusal) => return Next::Reply(refusal.clone().into(), None),
    };
    let filed = FiledRequest {
        recipient: &key.recipient,
        id: &key.id,
        request,
        digest: entry.digest,
        place: entry.position,
        cancelled: entry.cancelled,
        approvals: &entry.approvals,
    };
    let definition = || {
        rules
            .kinds
            .get(&request.kind)
            .map(|kind| kind.definition(&key.recipient))
    };
    match admission::evaluate(&filed, rules) {
        Admission::Refused(refusal) => Next::Reply(refusal.into(), definition()),
        Admission::Expired => Next::Reply(Outcome::Expired, definition()),
        Admission::Cancelled => Next::Reply(Outcome::Cancelled, definition()),
        Admission::Held { reason } => Next::Wait(Waiting::Held { reason }),
        Admission::WaitsForApproval { granted, needed } => {
            Next::Wait(Waiting::WaitsForApproval { granted, needed })
        }
        Admission::Admitted(_) if entry.processing.failures > options.retries => {
            let attempts = entry.processing.failures;
            let reason = format!(
                "the bureau could not answer it in {attempts} attempts; ask the bureau and name its id"
            );
            Next::Reply(Outcome::Failed { reason }, definition())
        }
        Admission::Admitted(_) if runs_out(request.deadline, rules.now, options) => Next::RunOut,
        Admission::Admitted(admitted) => Next::Answer(admitted),
    }
}

/// Returns whether an answer given now might be stored after the deadline.
#[must_use]
pub fn runs_out(deadline: Option<Timestamp>, now: Timestamp, options: &AnswerOptions) -> bool {
    let margin = SignedDuration::try_from(options.margin).unwrap_or(SignedDuration::ZERO);
    deadline.is_some_and(|deadline| deadline.duration_since(now) <= margin)
}

/// Returns the first time after `after` at which the decision may change without a message: the end of the officers' time, or the
/// deadline.
#[must_use]
pub fn recheck_at(entry: &PendingRequest, kinds: &Kinds, after: Timestamp) -> Option<Timestamp> {
    let request = entry.request.as_ref().ok()?;
    let rule = kinds
        .get(&request.kind)
        .and_then(|kind| kind.config().approval.as_ref());
    let late = rule
        .and_then(|rule| rule.within)
        .and_then(|within| entry.position.stored_at.checked_add(within.get()).ok());
    let times = [request.deadline, late].into_iter().flatten();
    times.filter(|at| *at > after).min()
}

/// Returns its queue entry.
#[must_use]
pub fn queued(key: &RequestKey, entry: &PendingRequest, admitted: &Admitted<'_>, cost_ms: u64) -> Queued {
    Queued {
        key: key.clone(),
        priority: admitted.kind.config().priority,
        deadline: entry.request.as_ref().ok().and_then(|request| request.deadline),
        sequence: entry.position.sequence,
        stored_at: entry.position.stored_at,
        cost_ms,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use requests::kind::KindConfig;
    use requests::quota::StreamPosition;
    use schemas::request::Request;
    use schemas::sign::SigningKey;

    use super::*;
    use crate::responder::request_state::Processing;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_769_860_800 + second).unwrap()
    }

    #[test]
    fn plan_within_the_margin_before_a_deadline_runs_out() {
        let options = AnswerOptions::default();
        assert!(!runs_out(None, at(0), &options));
        assert!(!runs_out(Some(at(2)), at(0), &options));
        assert!(runs_out(Some(at(1)), at(0), &options));
        assert!(runs_out(Some(at(0)), at(1), &options));
    }

    /// Trap: a granted request that is not answered in time never expires.
    #[test]
    fn plan_rechecks_the_officers_time_and_then_the_deadline() {
        let kind = "[[kind]]\nname = \"k\"\nsql = \"select id from t\"\nanonymous = true\nmax_rows = 1\n\
                    approval = { officers = 1, within = \"4s\" }\n";
        let table: toml::Table = kind.parse().unwrap();
        let mut table: BTreeMap<String, Vec<KindConfig>> =
            serde_json::from_value(serde_json::to_value(table).unwrap()).unwrap();
        let kinds = Kinds::new(table.remove("kind").unwrap()).unwrap();
        let request = Request {
            id: "20260131-abcdefgh".parse().unwrap(),
            recipient: "insurer-a".parse().unwrap(),
            origin: None,
            kind: "k".to_owned(),
            arguments: BTreeMap::new(),
            purpose: "01".to_owned(),
            basis: "01".to_owned(),
            deadline: Some(at(9)),
            idempotency: None,
            filed_by: "clerk".to_owned(),
            filed_at: at(0),
            key: SigningKey::generate().public().clone(),
        };
        let entry = PendingRequest {
            position: StreamPosition {
                sequence: 1,
                stored_at: at(0),
            },
            digest: Digest::of(&[b"request"]),
            request: Ok(Box::new(request)),
            cancelled: false,
            approvals: Vec::new(),
            processing: Processing::default(),
            trace: None,
        };
        assert_eq!(recheck_at(&entry, &kinds, Timestamp::MIN), Some(at(4)));
        assert_eq!(recheck_at(&entry, &kinds, at(4)), Some(at(9)));
        assert_eq!(recheck_at(&entry, &kinds, at(9)), None);
    }
}
