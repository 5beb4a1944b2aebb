//! Publishing: by compare-and-set, once per subject, and with replacement; and asking a leader without publishing.
//!
//! No message id is ever set: after a purge the server answers a correct publish with
//! `duplicate: true` and stores nothing. The flag is therefore always an error.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header::{NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_EXPECTED_STREAM};
use bytes::Bytes;
use exchange::port::{IMPOSSIBLE_SEQUENCE, Sequence};
use exchange::{Error, ErrorKind, Filed, Published, Result, trace};
use schemas::subject::Subject;
use serde::Deserialize;
use tokio::time::Instant;

use crate::refusal::{Refusal, Refused};
use crate::streams;
use crate::wire::Wire;

/// How long to wait before a subject with an undecided message is tried again, in milliseconds.
const UNDECIDED_MS: std::ops::Range<u64> = 50..200;

/// The acknowledgement of a publish: stored and fsynced, or refused.
#[derive(Debug, Deserialize)]
struct Ack {
    #[serde(default)]
    stream: String,
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    duplicate: bool,
    error: Option<Refusal>,
}

/// The result of a publish, from its acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq)]
enum PublishResult {
    Stored(Sequence),
    Conflict(Option<Sequence>),
    Undecided,
    Taken,
}

impl Wire {
    /// Publishes if the subject's last sequence is still `expected`.
    pub(crate) async fn publish_at(
        &self,
        subject: &Subject,
        bytes: Bytes,
        expected: Sequence,
    ) -> Result<Published> {
        let (stream, subject) = (streams::of(subject), subject.to_string());
        match self.publish(&stream, &subject, bytes, Some(expected)).await? {
            PublishResult::Stored(sequence) => Ok(Published::Done { sequence }),
            PublishResult::Conflict(_) => Ok(Published::Conflict),
            PublishResult::Undecided => Err(undecided(&subject)),
            PublishResult::Taken => Err(Error::new(
                ErrorKind::Topology,
                format!("stream {stream} limits {subject} to one message, but it is a chain"),
            )),
        }
    }

    /// Asks the leader of a stream for the last sequence of a subject, 0 if it has no message. Nothing is stored.
    pub(crate) async fn leader_sequence(&self, subject: &Subject) -> Result<Sequence> {
        let (stream, subject) = (streams::of(subject), subject.to_string());
        let asked = self.publish(&stream, &subject, Bytes::new(), Some(IMPOSSIBLE_SEQUENCE));
        match asked.await? {
            PublishResult::Conflict(Some(sequence)) => Ok(sequence),
            PublishResult::Undecided => Err(undecided(&subject)),
            other => Err(Error::new(
                ErrorKind::Protocol,
                format!("asking for the last sequence of {subject} was answered with {other:?}"),
            )),
        }
    }

    /// Publishes once: the stream itself refuses a second message on the subject.
    pub(crate) async fn publish_once(&self, subject: &Subject, bytes: Bytes) -> Result<Filed> {
        let text = subject.to_string();
        match self.publish(&streams::of(subject), &text, bytes, None).await? {
            PublishResult::Stored(sequence) => Ok(Filed::Done { sequence }),
            PublishResult::Taken => self.last(subject).await?.map(Filed::Exists).ok_or_else(|| {
                // A replica that lags, on a cluster: the next read finds it.
                Error::new(
                    ErrorKind::Unknown,
                    format!("{text} is taken, but what took it was not found"),
                )
            }),
            PublishResult::Undecided => Err(undecided(&text)),
            PublishResult::Conflict(_) => Err(Error::new(
                ErrorKind::Protocol,
                format!("{text} was refused for an expected sequence, and none was given"),
            )),
        }
    }

    /// Publishes and replaces the last message of the subject.
    pub(crate) async fn publish_over(&self, subject: &Subject, bytes: Bytes) -> Result<Sequence> {
        let (stream, subject) = (streams::of(subject), subject.to_string());
        match self.publish(&stream, &subject, bytes, None).await? {
            PublishResult::Stored(sequence) => Ok(sequence),
            PublishResult::Undecided => Err(undecided(&subject)),
            PublishResult::Taken | PublishResult::Conflict(_) => Err(Error::new(
                ErrorKind::Topology,
                format!("stream {stream} keeps the first message on {subject} instead of the last"),
            )),
        }
    }

    /// Publishes, and again after a moment while another message of the subject is undecided: each such answer means that
    /// nothing was stored. Once the other message is decided, the answer is a conflict, or this message is stored.
    async fn publish(
        &self,
        stream: &str,
        subject: &str,
        bytes: Bytes,
        expected: Option<Sequence>,
    ) -> Result<PublishResult> {
        let deadline = Instant::now() + self.options.timeout;
        loop {
            let result = self
                .publish_attempt(stream, subject, bytes.clone(), expected)
                .await?;
            if result != PublishResult::Undecided || Instant::now() >= deadline {
                return Ok(result);
            }
            tokio::time::sleep(Duration::from_millis(rand::random_range(UNDECIDED_MS))).await;
        }
    }

    async fn publish_attempt(
        &self,
        stream: &str,
        subject: &str,
        bytes: Bytes,
        expected: Option<Sequence>,
    ) -> Result<PublishResult> {
        let mut headers = HeaderMap::new();
        headers.insert(NATS_EXPECTED_STREAM, stream);
        if let Some(expected) = expected {
            headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, expected.to_string());
        }
        if let Some(trace) = trace::current() {
            headers.insert(trace::HEADER, trace.to_string());
        }
        let answer = self.ask_leader(subject, Some(headers), bytes).await?;
        read_acknowledgement(&answer.payload, stream, subject)
    }
}

fn undecided(subject: &str) -> Error {
    let what = format!("another message on {subject} is neither stored nor refused yet; nothing was stored");
    Error::new(ErrorKind::NoLeader, what)
}

fn read_acknowledgement(answer: &[u8], stream: &str, subject: &str) -> Result<PublishResult> {
    let protocol = |what: String| Error::new(ErrorKind::Protocol, format!("publishing {subject}: {what}"));
    let ack: Ack = serde_json::from_slice(answer)
        .map_err(|e| protocol(format!("the answer is not an acknowledgement: {e}")))?;
    if let Some(refusal) = &ack.error {
        return match refusal.class() {
            Refused::Conflict(last) => Ok(PublishResult::Conflict(last)),
            Refused::Undecided => Ok(PublishResult::Undecided),
            Refused::Taken => Ok(PublishResult::Taken),
            Refused::Error(_) => Err(refusal.error(subject)),
        };
    }
    if ack.stream != stream {
        let text = format!(
            "{subject} was stored in stream {:?} instead of {stream}",
            ack.stream
        );
        return Err(Error::new(ErrorKind::Topology, text));
    }
    if ack.duplicate || ack.seq == 0 {
        return Err(protocol(format!(
            "acknowledged as a duplicate at {}: nothing was stored",
            ack.seq
        )));
    }
    Ok(PublishResult::Stored(ack.seq))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(answer: &str) -> std::result::Result<PublishResult, ErrorKind> {
        read_acknowledgement(answer.as_bytes(), "DATA", "data.a.b").map_err(|e| e.kind)
    }

    #[test]
    fn publish_stored_differs_from_every_other_answer() {
        assert_eq!(read(r#"{"stream":"DATA","seq":7}"#), Ok(PublishResult::Stored(7)));
        let conflict = r#"{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 1"},"stream":"DATA","seq":0}"#;
        assert_eq!(read(conflict), Ok(PublishResult::Conflict(Some(1))));
        let undecided =
            r#"{"error":{"code":400,"err_code":10164,"description":"wrong last sequence"},"seq":0}"#;
        assert_eq!(read(undecided), Ok(PublishResult::Undecided));
        assert_eq!(read("+OK"), Err(ErrorKind::Protocol));
    }

    /// Trap: a duplicate flag comes with nothing stored.
    #[test]
    fn publish_duplicate_is_an_error() {
        assert_eq!(
            read(r#"{"stream":"DATA","seq":7,"duplicate":true}"#),
            Err(ErrorKind::Protocol)
        );
    }

    /// Trap: the subject is caught by a stream that is not ours.
    #[test]
    fn another_stream_is_an_error_of_topology() {
        assert_eq!(read(r#"{"stream":"OTHER","seq":7}"#), Err(ErrorKind::Topology));
    }
}
