//! PURE: checks the rules between a request, its decisions, its one reply with the parts, and its confirmation.
//!
//! Messages of different streams arrive in any order; what depends on a message that is not read yet is checked at the end.

use std::collections::{BTreeMap, BTreeSet};

use schemas::approval::Approval;
use schemas::confirm::Confirm;
use schemas::digest::Digest;
use schemas::name::{OfficerName, RecipientName};
use schemas::part::Part;
use schemas::reply::Reply;
use schemas::request::{Cancel, Request, RequestId};
use schemas::stream::Stream;
use serde::Serialize;

use crate::message::Place;
use crate::violation::Violation;

/// A request's name: the recipient and the id.
pub type RequestKey = (RecipientName, RequestId);

/// All requests of the streams.
#[derive(Debug, Default)]
pub struct Requests {
    by_key: BTreeMap<RequestKey, RequestEvidence>,
}

/// What the streams hold about one request.
#[derive(Debug, Default)]
struct RequestEvidence {
    filed: Option<Digest>,
    cancelled: Option<(At, Digest)>,
    decisions: BTreeMap<OfficerName, (At, Digest)>,
    /// Parts by attempt and number: digest and rows.
    parts: BTreeMap<(u32, u32), (Digest, u64)>,
    reply: Option<ReplyEvidence>,
    confirm: Option<(At, Digest, u64)>,
}

#[derive(Debug)]
struct ReplyEvidence {
    at: At,
    digest: Digest,
    request: Digest,
    attempt: Option<u32>,
    parts: Vec<Digest>,
    rows: u64,
}

/// The position of a message.
#[derive(Debug, Clone)]
pub struct At {
    /// Its sequence.
    pub sequence: u64,
    /// Where it was read.
    pub place: Place,
}

/// A violation that became known at the end, with the message that it is in.
#[derive(Debug)]
pub struct LateViolation {
    /// The stream of the message.
    pub stream: Stream,
    /// Its subject.
    pub subject: String,
    /// Where it is.
    pub at: At,
    /// The rule.
    pub violation: Violation,
}

/// The number of requests, by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RequestSummary {
    /// Requests in the streams.
    pub filed: u64,
    /// Those with a reply.
    pub replied: u64,
    /// Those with a confirmation.
    pub confirmed: u64,
    /// Requests without a reply yet.
    pub open: u64,
    /// Replies without a confirmation yet.
    pub unconfirmed: u64,
    /// Parts that no reply names: disclosed, and no part of an answer.
    pub unnamed_parts: u64,
}

impl Requests {
    /// Takes a request.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn file(&mut self, request: &Request, digest: Digest) -> Result<(), Violation> {
        if !request.id_matches_key() {
            return Err(Violation::IdempotencyKey);
        }
        let evidence = self.of(&request.recipient, &request.id);
        if evidence.filed.replace(digest).is_some() {
            return Err(Violation::Repeated("request"));
        }
        Ok(())
    }

    /// Takes a cancellation.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn cancel(&mut self, cancel: &Cancel, at: At) -> Result<(), Violation> {
        let evidence = self.of(&cancel.recipient, &cancel.id);
        match evidence.cancelled.replace((at, cancel.request)) {
            Some(_) => Err(Violation::Repeated("cancellation")),
            None => Ok(()),
        }
    }

    /// Takes an officer's decision.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn decide(&mut self, approval: &Approval, at: At) -> Result<(), Violation> {
        let evidence = self.of(&approval.recipient, &approval.id);
        let decided = (at, approval.request);
        match evidence.decisions.insert(approval.officer.clone(), decided) {
            Some(_) => Err(Violation::Repeated("decision of this officer")),
            None => Ok(()),
        }
    }

    /// Takes a part of an answer.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn part(&mut self, part: &Part, digest: Digest) -> Result<(), Violation> {
        let evidence = self.of(&part.recipient, &part.id);
        let position = (part.attempt, part.number);
        match evidence
            .parts
            .insert(position, (digest, part.content.totals.rows))
        {
            Some(_) => Err(Violation::Repeated("part")),
            None => Ok(()),
        }
    }

    /// Takes a reply.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn reply(&mut self, reply: &Reply, digest: Digest, at: At) -> Result<(), Violation> {
        let evidence = self.of(&reply.recipient, &reply.id);
        if evidence.reply.is_some() {
            return Err(Violation::Repeated("reply"));
        }
        evidence.reply = Some(ReplyEvidence {
            at,
            digest,
            request: reply.request,
            attempt: reply.attempt,
            parts: reply.outcome.parts().to_vec(),
            rows: reply.outcome.rows(),
        });
        Ok(())
    }

    /// Takes a confirmation.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn confirm(&mut self, confirm: &Confirm, at: At) -> Result<(), Violation> {
        let evidence = self.of(&confirm.recipient, &confirm.id);
        let rows = confirm.rows.saturating_add(confirm.quarantined);
        match evidence.confirm.replace((at, confirm.reply, rows)) {
            Some(_) => Err(Violation::Repeated("confirmation")),
            None => Ok(()),
        }
    }

    fn of(&mut self, recipient: &RecipientName, id: &RequestId) -> &mut RequestEvidence {
        let key = (recipient.clone(), id.clone());
        self.by_key.entry(key).or_default()
    }

    /// Checks everything that depends on several messages. `incomplete` are the recipients' streams that are not in the evidence
    /// from their first message on, so that a missing message may be older.
    #[must_use]
    pub fn finish(
        &self,
        incomplete: &BTreeSet<(Stream, RecipientName)>,
    ) -> (RequestSummary, Vec<LateViolation>) {
        let mut summary = RequestSummary::default();
        let mut late = Vec::new();
        for ((recipient, id), evidence) in &self.by_key {
            let may_be_older = |stream| incomplete.contains(&(stream, recipient.clone()));
            let found = evidence.check(&may_be_older, &mut summary);
            late.extend(
                found
                    .into_iter()
                    .map(|(stream, suffix, at, violation)| LateViolation {
                        stream,
                        subject: format!("{stream}.{recipient}.{id}{suffix}"),
                        at,
                        violation,
                    }),
            );
        }
        (summary, late)
    }
}

type Found = (Stream, String, At, Violation);

impl RequestEvidence {
    fn check(&self, may_be_older: &impl Fn(Stream) -> bool, summary: &mut RequestSummary) -> Vec<Found> {
        let mut found = Vec::new();
        summary.filed += u64::from(self.filed.is_some());
        summary.open += u64::from(self.filed.is_some() && self.reply.is_none());
        let names_request = |named: Digest| match self.filed {
            Some(filed) if filed == named => None,
            Some(_) => Some(Violation::OtherRequest),
            None if may_be_older(Stream::Requests) => None,
            None => Some(Violation::NoRequest),
        };
        if let Some((at, named)) = &self.cancelled
            && let Some(violation) = names_request(*named)
        {
            found.push((Stream::Cancels, String::new(), at.clone(), violation));
        }
        for (officer, (at, named)) in &self.decisions {
            if let Some(violation) = names_request(*named) {
                found.push((Stream::Approvals, format!(".{officer}"), at.clone(), violation));
            }
        }
        let Some(reply) = &self.reply else {
            summary.unnamed_parts += self.parts.len() as u64;
            if let Some((at, ..)) = &self.confirm
                && !may_be_older(Stream::Replies)
            {
                found.push((Stream::Confirms, String::new(), at.clone(), Violation::NoReply));
            }
            return found;
        };
        summary.replied += 1;
        if let Some(violation) = names_request(reply.request) {
            found.push((Stream::Replies, String::new(), reply.at.clone(), violation));
        }
        if let Some(violation) = self.check_parts(reply, may_be_older(Stream::Parts), summary) {
            found.push((Stream::Replies, String::new(), reply.at.clone(), violation));
        }
        match &self.confirm {
            None => summary.unconfirmed += 1,
            Some((at, named, rows)) => {
                summary.confirmed += 1;
                if *named != reply.digest {
                    found.push((Stream::Confirms, String::new(), at.clone(), Violation::OtherReply));
                } else if *rows != reply.rows {
                    let violation = Violation::ConfirmedRows {
                        confirmed: *rows,
                        replied: reply.rows,
                    };
                    found.push((Stream::Confirms, String::new(), at.clone(), violation));
                }
            }
        }
        found
    }

    fn check_parts(
        &self,
        reply: &ReplyEvidence,
        may_be_older: bool,
        summary: &mut RequestSummary,
    ) -> Option<Violation> {
        let attempt = reply.attempt.unwrap_or(0);
        let named = (1_u32..).zip(&reply.parts);
        let mut rows = 0_u64;
        let mut violation = None;
        for (number, digest) in named {
            match self.parts.get(&(attempt, number)) {
                Some((part, of_part)) if part == digest => rows = rows.saturating_add(*of_part),
                Some(_) => {
                    violation.get_or_insert(Violation::OtherPart { attempt, number });
                }
                None if may_be_older => return violation,
                None => {
                    violation.get_or_insert(Violation::NoPart { attempt, number });
                }
            }
        }
        summary.unnamed_parts += self.parts.len().saturating_sub(reply.parts.len()) as u64;
        violation.or_else(|| {
            (rows != reply.rows).then_some(Violation::ReplyRows {
                parts: rows,
                reply: reply.rows,
            })
        })
    }
}
