//! Reading one message: the last of a subject.
//!
//! The subject is part of the question's own subject, so that a credential can be limited to it;
//! a request with the subject in its body would need permission to read the whole stream.

use async_nats::header::{NATS_SEQUENCE, NATS_SUBJECT, NATS_TIME_STAMP};
use async_nats::{HeaderMap, Message};
use bytes::Bytes;
use exchange::{Error, ErrorKind, Result, Stored, TraceParent, trace};
use schemas::subject::Subject;

use crate::streams::{self, AUDIT, own};
use crate::topology::rights::HUB_API;
use crate::wire::Wire;

impl Wire {
    /// The last message of a subject.
    pub(crate) async fn last(&self, subject: &Subject) -> Result<Option<Stored>> {
        self.last_of(&streams::of(subject), &subject.to_string()).await
    }

    async fn last_of(&self, stream: &str, subject: &str) -> Result<Option<Stored>> {
        let question = self.api(&format!("DIRECT.GET.{stream}.{subject}"));
        let answer = self.ask(&question, None, Bytes::new()).await?;
        match answer.status.map(|status| status.as_u16()) {
            None | Some(200) => stored(answer).map(Some),
            Some(404) => Ok(None),
            Some(status) => {
                let text = answer.description.as_deref().unwrap_or_default();
                Err(Error::new(
                    ErrorKind::Protocol,
                    format!("{question} was answered with {status} {text}"),
                ))
            }
        }
    }
}

impl Wire {
    /// One round trip to the streams, by a question that this user may ask: the administrator has an account
    /// with streams; every party reads the chain of its own audit entries.
    pub(crate) async fn round_trip(&self) -> Result<()> {
        if self.options.api() == HUB_API {
            self.ask(&self.api("INFO"), None, Bytes::new()).await?;
            return Ok(());
        }
        // This subject is never written.
        let party = &self.options.user;
        let subject = format!("audit.{party}.ping");
        self.last_of(&own(AUDIT, party), &subject).await.map(|_| ())
    }
}

/// The trace context of a message; a malformed one, and one of several, is missing.
pub(crate) fn trace_of(headers: &HeaderMap) -> Option<TraceParent> {
    let mut values = headers.get_all(trace::HEADER);
    match (values.next(), values.next()) {
        (Some(value), None) => TraceParent::parse(value.as_str()),
        _ => None,
    }
}

/// A message of a direct get.
pub(crate) fn stored(message: Message) -> Result<Stored> {
    let odd = |what: &str| {
        Error::new(
            ErrorKind::Protocol,
            format!("a message from the exchange has no readable {what} header"),
        )
    };
    let headers = message.headers.as_ref().ok_or_else(|| odd("Nats-Sequence"))?;
    let subject = headers
        .get(NATS_SUBJECT)
        .ok_or_else(|| odd("Nats-Subject"))?
        .as_str()
        .to_owned();
    let sequence = headers
        .get(NATS_SEQUENCE)
        .and_then(|value| value.as_str().parse().ok())
        .ok_or_else(|| odd("Nats-Sequence"))?;
    let stored_at = headers
        .get(NATS_TIME_STAMP)
        .and_then(|value| value.as_str().parse().ok())
        .ok_or_else(|| odd("Nats-Time-Stamp"))?;
    let trace = trace_of(headers);
    Ok(Stored {
        subject,
        sequence,
        stored_at,
        trace,
        bytes: message.payload,
    })
}
