//! The simulated exchange of requests: streams that are read in order, and one message for each subject of parts and replies.

use std::collections::BTreeMap;
use std::rc::Rc;

use ::requests::queue::RequestKey;
use schemas::approval::Approval;
use schemas::digest::Digest;
use schemas::reply::Outcome;
use schemas::request::Request;
use social::responder::request_state::Message;

/// A request in its stream.
#[derive(Clone)]
pub(super) struct FiledRequest {
    pub(super) key: RequestKey,
    pub(super) digest: Digest,
    pub(super) request: Rc<Request>,
    pub(super) stored_at: i64,
    /// The rows that the source has for it.
    pub(super) rows: u32,
}

/// A part or a reply, as its sender made it.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) key: RequestKey,
    pub(super) message: Message,
    /// The process.
    pub(super) by: u32,
    /// Identifies its bytes. The same content signed twice has two.
    pub(super) bytes: u64,
    /// The rows of a part.
    pub(super) rows: Rc<Vec<u32>>,
}

impl Sent {
    pub(super) fn digest(&self) -> Digest {
        Digest::of(&[&self.bytes.to_le_bytes()])
    }
}

/// A stored message.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) sent: Sent,
    pub(super) at: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Response {
    Stored,
    /// The subject holds other bytes.
    Exists,
}

#[derive(Default)]
pub(super) struct Exchange {
    pub(super) requests: Vec<FiledRequest>,
    pub(super) cancels: Vec<(RequestKey, Digest)>,
    pub(super) approvals: Vec<(RequestKey, Approval)>,
    /// In the order in which they were stored.
    pub(super) replies: Vec<Stored>,
    pub(super) parts: BTreeMap<(RequestKey, u32, u32), Stored>,
    violation: Option<String>,
}

impl Exchange {
    pub(super) fn reply(&self, key: &RequestKey) -> Option<&Stored> {
        self.replies.iter().find(|stored| stored.sent.key == *key)
    }

    pub(super) fn request(&self, key: &RequestKey) -> Option<&FiledRequest> {
        self.requests.iter().find(|filed| filed.key == *key)
    }

    /// Returns the first violation of what a recipient relies on.
    pub(super) fn violation(&self) -> Option<&String> {
        self.violation.as_ref()
    }

    pub(super) fn store(&mut self, sent: &Sent, one_message: bool, at: i64) -> Response {
        let stored = Stored {
            sent: sent.clone(),
            at,
        };
        match &sent.message {
            Message::Part { attempt, number } => {
                let subject = (sent.key.clone(), *attempt, *number);
                match self.parts.get(&subject) {
                    Some(before) if before.sent.bytes == sent.bytes => return Response::Stored,
                    Some(_) if one_message => return Response::Exists,
                    _ => {}
                }
                if replied_attempt(self.reply(&sent.key)) == Some(*attempt) {
                    let what = format!("part {attempt}.{number} of {} follows its reply", sent.key.id);
                    self.violation.get_or_insert(what);
                }
                self.parts.insert(subject, stored);
            }
            Message::Reply { .. } => {
                let place = self.replies.iter().position(|one| one.sent.key == sent.key);
                match place.and_then(|place| self.replies.get_mut(place)) {
                    Some(before) if before.sent.bytes == sent.bytes => return Response::Stored,
                    Some(_) if one_message => return Response::Exists,
                    Some(before) => {
                        *before = stored;
                        let what = format!("the outcome of {} changed", sent.key.id);
                        self.violation.get_or_insert(what);
                    }
                    None => self.replies.push(stored),
                }
            }
        }
        Response::Stored
    }

    /// Returns the rows of the parts that a reply names.
    ///
    /// # Errors
    /// A part that is missing, was changed, or is another process's.
    pub(super) fn answer_rows(&self, reply: &Stored) -> Result<Vec<u32>, String> {
        let Message::Reply { outcome, .. } = &reply.sent.message else {
            return Ok(Vec::new());
        };
        let attempt = replied_attempt(Some(reply)).unwrap_or_default();
        let mut rows = Vec::new();
        for (number, digest) in (1..).zip(outcome.parts()) {
            let part = self.parts.get(&(reply.sent.key.clone(), attempt, number));
            let Some(part) = part.filter(|part| part.sent.digest() == *digest) else {
                return Err(format!(
                    "the reply names part {attempt}.{number}, which is not stored"
                ));
            };
            if part.sent.by != reply.sent.by {
                return Err(format!("part {attempt}.{number} is of another process"));
            }
            rows.extend_from_slice(&part.sent.rows);
        }
        Ok(rows)
    }
}

fn replied_attempt(reply: Option<&Stored>) -> Option<u32> {
    match &reply?.sent.message {
        Message::Reply { attempt, .. } => *attempt,
        Message::Part { .. } => None,
    }
}

/// Returns the outcome of a reply.
pub(super) fn outcome(reply: &Stored) -> Option<&Outcome> {
    match &reply.sent.message {
        Message::Reply { outcome, .. } => Some(outcome),
        Message::Part { .. } => None,
    }
}
