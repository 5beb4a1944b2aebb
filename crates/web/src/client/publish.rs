//! Publishing: by compare-and-set, once per resource, and with replacement.

use bytes::Bytes;
use exchange::port::{IMPOSSIBLE_SEQUENCE, Sequence};
use exchange::{Error, ErrorKind, Filed, Published, Result, Stored};
use hyper::StatusCode;
use schemas::body::MAX_MESSAGE_BYTES;
use schemas::name::{OfficerName, RecipientName};
use schemas::request::RequestId;
use schemas::subject::Subject;

use super::Inner;
use super::answer::Answer;
use super::call::{Call, Condition};
use crate::interface::path;
use crate::interface::problem::ProblemKind;

/// The body of a message that is never stored.
const QUESTION: Bytes = Bytes::from_static(b"?");

impl Inner {
    /// Publishes if the last message of the resource is still at `expected`.
    pub(crate) async fn publish_at(
        &self,
        path: String,
        bytes: Bytes,
        expected: Sequence,
    ) -> Result<Published> {
        let call = Call::publish(path, bytes, Condition::At(expected));
        let answer = self.ask_publish(&call).await?;
        if is_precondition_failed(&call, &answer)? {
            return Ok(Published::Conflict);
        }
        stored_at(&call, &answer).map(|sequence| Published::Done { sequence })
    }

    /// Asks for the sequence of the last message of a resource: a publish with a condition that is never met is refused with it.
    pub(crate) async fn leader_sequence(&self, path: String) -> Result<Sequence> {
        let call = Call::publish(path, QUESTION, Condition::At(IMPOSSIBLE_SEQUENCE));
        let answer = self.ask_publish(&call).await?;
        match (is_precondition_failed(&call, &answer)?, answer.sequence()) {
            (true, Some(sequence)) => Ok(sequence),
            (true, None) => Err(call.error(ErrorKind::NoLeader, "answered 412 without the current ETag")),
            (false, _) => Err(call.error(ErrorKind::Protocol, "an impossible condition was met")),
        }
    }

    /// Publishes once: the exchange refuses a second message.
    pub(crate) async fn publish_once(&self, path: String, bytes: Bytes) -> Result<Filed> {
        match self.publish_first(path.clone(), bytes).await? {
            Some(filed) => Ok(filed),
            None => existing(&path, self.last(path.clone()).await?),
        }
    }

    /// Publishes an officer's decision once. A single decision cannot be read, only all of a request.
    pub(crate) async fn approve(
        &self,
        recipient: &RecipientName,
        id: &RequestId,
        officer: &OfficerName,
        bytes: Bytes,
    ) -> Result<Filed> {
        let path = path::approval(recipient, id, officer);
        if let Some(filed) = self.publish_first(path, bytes).await? {
            return Ok(filed);
        }
        let path = path::of_request(recipient, id, "approvals");
        let subject = Subject::Approval(recipient.clone(), id.clone(), officer.clone()).to_string();
        let all = self.list(path.clone()).await?;
        existing(&path, all.into_iter().find(|stored| stored.subject == subject))
    }

    /// Publishes the first message of a resource; `None` if it has one.
    async fn publish_first(&self, path: String, bytes: Bytes) -> Result<Option<Filed>> {
        let call = Call::publish(path, bytes, Condition::Once);
        let answer = self.ask_publish(&call).await?;
        if is_precondition_failed(&call, &answer)? {
            return Ok(None);
        }
        stored_at(&call, &answer).map(|sequence| Some(Filed::Done { sequence }))
    }

    /// Publishes and replaces the last message of the resource.
    pub(crate) async fn publish_over(&self, path: String, bytes: Bytes) -> Result<Sequence> {
        let call = Call::publish(path, bytes, Condition::Always);
        let answer = self.ask_publish(&call).await?;
        if is_precondition_failed(&call, &answer)? {
            return Err(call.error(ErrorKind::Protocol, "refused for a condition, and none was given"));
        }
        stored_at(&call, &answer)
    }

    /// Sends a message that is not too large. A gateway that refuses a body may close the connection before it was sent whole, and
    /// the answer would be lost.
    async fn ask_publish(&self, call: &Call) -> Result<Answer> {
        if call.content_length() > MAX_MESSAGE_BYTES {
            let what = format!(
                "the message has {} bytes, {MAX_MESSAGE_BYTES} are allowed",
                call.content_length()
            );
            return Err(call.error(ErrorKind::TooLarge, what));
        }
        self.ask(call).await
    }
}

/// Returns the message that was there before.
fn existing(path: &str, stored: Option<Stored>) -> Result<Filed> {
    stored.map(Filed::Exists).ok_or_else(|| {
        // A replica that lags, on a cluster: the next read finds it.
        let path = path.split('?').next().unwrap_or_default();
        let what = format!("{path} is taken, but what took it was not found");
        Error::new(ErrorKind::Unknown, what)
    })
}

/// Returns whether another message is there. Only the gateway knows: its answer has the current entity tag or the problem.
fn is_precondition_failed(call: &Call, answer: &Answer) -> Result<bool> {
    if answer.status != StatusCode::PRECONDITION_FAILED {
        return Ok(false);
    }
    let problem = answer.problem().map(|(kind, _)| kind);
    if answer.sequence().is_some() || problem == Some(ProblemKind::PreconditionFailed) {
        Ok(true)
    } else {
        Err(call.error(ErrorKind::Unknown, "answered 412 without the current ETag"))
    }
}

/// Returns the sequence of a stored message. A success without it is not an answer of the gateway.
fn stored_at(call: &Call, answer: &Answer) -> Result<Sequence> {
    answer
        .sequence()
        .filter(|sequence| *sequence > 0)
        .ok_or_else(|| -> Error {
            let what = format!("answered {} without the ETag of the message", answer.status);
            call.error(ErrorKind::Unknown, what)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> Call {
        Call::publish("/v1/x".to_owned(), Bytes::new(), Condition::At(1))
    }

    #[test]
    fn publish_without_an_etag_is_unknown() {
        let stored = |headers: &[(&'static str, &str)]| stored_at(&call(), &Answer::of(204, headers, b""));
        assert_eq!(stored(&[("etag", "\"7\"")]).unwrap(), 7);
        for headers in [&[][..], &[("etag", "\"0\"")], &[("etag", "W/\"7\"")]] {
            assert_eq!(stored(headers).unwrap_err().kind, ErrorKind::Unknown);
        }
    }

    #[test]
    fn publish_conflict_of_a_proxy_is_not_the_gateway() {
        let conflict = |headers: &[(&'static str, &str)]| {
            is_precondition_failed(&call(), &Answer::of(412, headers, b"<html>"))
        };
        assert!(conflict(&[("etag", "\"9\"")]).unwrap());
        assert_eq!(conflict(&[]).unwrap_err().kind, ErrorKind::Unknown);
    }
}
