//! PURE: what to do next for one request, given what is known.

use jiff::{SignedDuration, Timestamp};
use requests::admission::{self, Admission, Admitted, Filed, Rules};
use requests::kind::Kinds;
use requests::queue::{Entry as Queued, Key};
use schemas::digest::Digest;
use schemas::progress::Waiting;
use schemas::reply::Outcome;

use super::answering::AnswerOptions;
use super::book::Entry;

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Next<'a> {
    /// Give it its final outcome, with the digest of the kind's definition where the kind is known.
    Reply(Outcome, Option<Digest>),
    /// Nothing; it waits for this.
    Wait(Waiting),
    /// Answer it when it is its turn.
    Answer(Box<Admitted<'a>>),
    /// Nothing any more until it has expired: an answer might be stored after its deadline.
    RunOut,
}

/// Decides. `rules.now` is the exchange's time.
#[must_use]
pub fn next<'a>(key: &Key, entry: &Entry, rules: &Rules<'a>, options: &AnswerOptions) -> Next<'a> {
    let request = match &entry.request {
        Ok(request) => request,
        Err(refusal) => return Next::Reply(refusal.clone().into(), None),
    };
    let filed = Filed {
        recipient: &key.recipient,
        id: &key.id,
        request,
        digest: entry.digest,
        place: entry.place,
        cancelled: entry.cancelled,
        approvals: &entry.approvals,
    };
    let definition = || {
        rules
            .kinds
            .get(&request.kind)
            .map(|kind| kind.definition(&key.recipient))
    };
    match admission::judge(&filed, rules) {
        Admission::Refused(refusal) => Next::Reply(refusal.into(), definition()),
        Admission::Expired => Next::Reply(Outcome::Expired, definition()),
        Admission::Cancelled => Next::Reply(Outcome::Cancelled, definition()),
        Admission::Held { reason } => Next::Wait(Waiting::Held { reason }),
        Admission::WaitsForApproval { granted, needed } => {
            Next::Wait(Waiting::WaitsForApproval { granted, needed })
        }
        Admission::Admitted(_) if entry.standing.failures > options.retries => {
            let attempts = entry.standing.failures;
            let reason = format!(
                "the bureau could not answer it in {attempts} attempts; ask the bureau, naming its id"
            );
            Next::Reply(Outcome::Failed { reason }, definition())
        }
        Admission::Admitted(_) if runs_out(request.deadline, rules.now, options) => Next::RunOut,
        Admission::Admitted(admitted) => Next::Answer(admitted),
    }
}

/// Whether an answer that is given now might be stored after the deadline.
#[must_use]
pub fn runs_out(deadline: Option<Timestamp>, now: Timestamp, options: &AnswerOptions) -> bool {
    let margin = SignedDuration::try_from(options.margin).unwrap_or(SignedDuration::ZERO);
    deadline.is_some_and(|deadline| deadline.duration_since(now) <= margin)
}

/// When time alone may change what is decided: its deadline, or the end of the time that officers have.
#[must_use]
pub fn look_again(entry: &Entry, kinds: &Kinds) -> Option<Timestamp> {
    let request = entry.request.as_ref().ok()?;
    let rule = kinds
        .get(&request.kind)
        .and_then(|kind| kind.config().approval.as_ref());
    let late = rule
        .and_then(|rule| rule.within)
        .and_then(|within| entry.place.stored_at.checked_add(within.get()).ok());
    [request.deadline, late].into_iter().flatten().min()
}

/// Its place among those that can be answered.
#[must_use]
pub fn queued(key: &Key, entry: &Entry, admitted: &Admitted<'_>, cost_ms: u64) -> Queued {
    Queued {
        key: key.clone(),
        priority: admitted.kind.config().priority,
        deadline: entry.request.as_ref().ok().and_then(|request| request.deadline),
        sequence: entry.place.sequence,
        stored_at: entry.place.stored_at,
        cost_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_answer_is_given_within_the_margin_before_a_deadline() {
        let at = |second: i64| Timestamp::from_second(1_769_860_800 + second).unwrap();
        let options = AnswerOptions::default();
        assert!(!runs_out(None, at(0), &options));
        assert!(!runs_out(Some(at(2)), at(0), &options));
        assert!(runs_out(Some(at(1)), at(0), &options));
        assert!(runs_out(Some(at(0)), at(1), &options));
    }
}
