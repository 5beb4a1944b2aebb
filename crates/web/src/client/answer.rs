//! One answer, read whole and checked.

use std::time::Duration;

use bytes::Bytes;
use exchange::port::Sequence;
use exchange::{Error, ErrorKind, Result, Stored, TraceParent, trace};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_TYPE, ETAG, HeaderMap};
use hyper::{Response, StatusCode};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::call::Call;
use super::failure::Failed;
use crate::interface::message::{BodyError, Message, decode_all};
use crate::interface::problem::{Problem, ProblemKind};
use crate::interface::{header, media};

/// How many times the limit of a pause the whole body of an answer may take.
const MOST_LIMITS: u32 = 30;

/// A complete answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    /// Reads an answer of at most `most` bytes, and compares its digest if it has one. A slow connection may take longer than
    /// `limit` for a large answer, as long as it never pauses for so long.
    pub(crate) async fn read(
        response: Response<Incoming>,
        most: usize,
        limit: Duration,
    ) -> std::result::Result<Self, Failed> {
        let longest = limit.saturating_mul(MOST_LIMITS);
        timeout(longest, Self::read_frames(response, most, limit))
            .await
            .unwrap_or_else(|_| Err(Failed::timeout(true, longest)))
    }

    async fn read_frames(
        response: Response<Incoming>,
        most: usize,
        limit: Duration,
    ) -> std::result::Result<Self, Failed> {
        let (parts, mut incoming) = response.into_parts();
        let declared = usize::try_from(incoming.size_hint().lower()).unwrap_or(usize::MAX);
        if declared > most {
            return Err(Failed::too_large(most));
        }
        let mut body = Vec::with_capacity(declared);
        while let Some(frame) = timeout(limit, incoming.frame())
            .await
            .map_err(|_| Failed::timeout(true, limit))?
        {
            let frame = frame.map_err(|error| Failed::of(false, &error))?;
            if let Ok(data) = frame.into_data() {
                if body.len() + data.len() > most {
                    return Err(Failed::too_large(most));
                }
                body.extend_from_slice(&data);
            }
        }
        let answer = Self {
            status: parts.status,
            headers: parts.headers,
            body: Bytes::from(body),
        };
        match answer.digest() {
            Some(digest) if digest != header::repr_digest(&answer.body) => Err(Failed::altered()),
            _ => Ok(answer),
        }
    }

    /// Returns the problem that the gateway reports, and its kind. A proxy's own page is not one.
    pub(crate) fn problem(&self) -> Option<(ProblemKind, Problem)> {
        if self.content_type() != media::PROBLEM {
            return None;
        }
        let problem: Problem = serde_json::from_slice(&self.body).ok()?;
        Some((ProblemKind::from_type(&problem.type_uri)?, problem))
    }

    /// Returns the sequence of the entity tag.
    pub(crate) fn sequence(&self) -> Option<Sequence> {
        header::sequence_of(self.text(ETAG.as_str())?)
    }

    /// Returns the one message, or `None` if the resource has none.
    pub(crate) fn message(self, call: &Call) -> Result<Option<Stored>> {
        let odd = |what: &str| Err(protocol(call, format!("the answer has {what}")));
        match (self.status, self.sequence()) {
            (StatusCode::NO_CONTENT, Some(0)) => return Ok(None),
            (StatusCode::OK, Some(1..)) => {}
            (status, _) => return odd(&format!("status {status} without a fitting ETag")),
        }
        if self.content_type() != media::MESSAGE {
            return odd("another media type than a message's");
        }
        if self.digest().is_none() {
            return odd("no digest");
        }
        let subject = self.text(header::SUBJECT).map(str::to_owned);
        let stored_at = self.text(header::STORED_AT).and_then(|text| text.parse().ok());
        match (subject, self.sequence(), stored_at) {
            (Some(subject), Some(sequence), Some(stored_at)) => Ok(Some(Stored {
                subject,
                sequence,
                stored_at,
                trace: self.text(trace::HEADER).and_then(TraceParent::parse),
                bytes: self.body,
            })),
            _ => odd("no readable subject or time"),
        }
    }

    /// Returns the messages. Their end record shows that none is missing.
    pub(crate) fn messages(&self, call: &Call) -> Result<Vec<Message>> {
        if self.status != StatusCode::OK || self.content_type() != media::MESSAGES {
            let text = format!("the answer has status {} and no messages", self.status);
            return Err(protocol(call, text));
        }
        match decode_all(&self.body) {
            Ok((messages, _)) => Ok(messages),
            // As a connection that was lost in the middle.
            Err(error @ BodyError::CutOff { .. }) => {
                Err(call.error(ErrorKind::Unreachable, error.to_string()))
            }
            Err(error) => Err(protocol(call, error.to_string())),
        }
    }

    /// Returns the JSON value.
    pub(crate) fn json<T: DeserializeOwned>(&self, call: &Call) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let text = format!("the answer is unreadable: {error}");
            if error.is_eof() {
                call.error(ErrorKind::Unreachable, text)
            } else {
                protocol(call, text)
            }
        })
    }

    /// Returns the SHA-256 digest that the gateway declares.
    fn digest(&self) -> Option<&str> {
        let items = self.text(header::REPR_DIGEST)?.split(',').map(str::trim);
        items.into_iter().find(|item| item.starts_with("sha-256="))
    }

    fn content_type(&self) -> &str {
        let whole = self.text(CONTENT_TYPE.as_str()).unwrap_or_default();
        whole.split(';').next().unwrap_or_default().trim()
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

fn protocol(call: &Call, what: String) -> Error {
    call.error(ErrorKind::Protocol, what)
}

#[cfg(test)]
impl Answer {
    /// Creates an answer.
    pub(crate) fn of(status: u16, headers: &[(&'static str, &str)], body: &[u8]) -> Self {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        Self {
            status: StatusCode::from_u16(status).unwrap(),
            headers: map,
            body: Bytes::copy_from_slice(body),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interface::message::encode_all;

    const STORED: [(&str, &str); 4] = [
        ("content-type", media::MESSAGE),
        ("etag", "\"7\""),
        ("slacktide-subject", "data.insurer-a.claims"),
        ("slacktide-stored-at", "2026-01-31T00:00:00Z"),
    ];

    fn call() -> Call {
        Call::message("/v1/lanes/insurer-a/claims/tail".to_owned())
    }

    #[test]
    fn answer_message_is_read_with_its_headers() {
        let digest = header::repr_digest(b"chunk");
        let headers = [&STORED[..], &[("repr-digest", digest.as_str())]].concat();
        let stored = Answer::of(200, &headers, b"chunk").message(&call());
        let stored = stored.unwrap().unwrap();
        assert_eq!((stored.sequence, &stored.bytes[..]), (7, &b"chunk"[..]));
        let empty = Answer::of(204, &[("etag", "\"0\"")], b"").message(&call());
        assert_eq!(empty.unwrap(), None);
    }

    #[test]
    fn answer_without_a_needed_header_is_an_error() {
        let digest = header::repr_digest(b"chunk");
        let whole = [&STORED[..], &[("repr-digest", digest.as_str())]].concat();
        for missing in 0..whole.len() {
            let mut headers = whole.clone();
            headers.remove(missing);
            let error = Answer::of(200, &headers, b"chunk").message(&call()).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Protocol, "without {}", whole[missing].0);
        }
        assert!(Answer::of(204, &[], b"").message(&call()).is_err());
    }

    #[test]
    fn answer_cut_off_is_transient_and_never_data() {
        let body = encode_all(Vec::new(), None).unwrap();
        let read = |length| {
            let headers = [("content-type", media::MESSAGES)];
            Answer::of(200, &headers, &body[..length]).messages(&call())
        };
        assert_eq!(read(body.len()).unwrap(), []);
        for length in 0..body.len() {
            assert_eq!(read(length).unwrap_err().kind, ErrorKind::Unreachable, "{length}");
        }
        let json = Answer::of(200, &[], b"[1,").json::<Vec<u8>>(&call());
        assert_eq!(json.unwrap_err().kind, ErrorKind::Unreachable);
    }
}
