//! One request.

use std::fmt::Display;

use bytes::Bytes;
use exchange::port::Sequence;
use exchange::{Error, ErrorKind, trace};
use http_body_util::Full;
use hyper::header::{
    ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue, IF_MATCH, IF_NONE_MATCH,
    USER_AGENT,
};
use hyper::{Method, Request};

use super::failure::Failed;
use super::link::{Body, Link};
use crate::interface::{header, media};

/// Maximum bytes of an answer with one message, and of a problem.
const MOST_MESSAGE: usize = 16 * 1024 * 1024;

/// Maximum bytes of an answer with several messages: a gateway ends them at 16 MiB, after at least one message.
const MOST_MESSAGES: usize = 2 * MOST_MESSAGE;

/// Maximum bytes of an answer in JSON: the ids of some hundred thousand requests.
const MOST_JSON: usize = MOST_MESSAGE;

const AGENT: &str = concat!("slacktide/", env!("CARGO_PKG_VERSION"));

/// A request, independent of the connection that carries it.
#[derive(Debug)]
pub(crate) struct Call {
    /// The method.
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
    /// Whether the exchange may store something: a missing answer is `Unknown` then.
    pub(crate) is_write: bool,
    /// Maximum bytes of the answer.
    pub(crate) most: usize,
    accept: &'static str,
    content: Option<(&'static str, Bytes)>,
    condition: Condition,
}

/// The condition of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    /// None.
    Always,
    /// The last message is still at this sequence.
    At(Sequence),
    /// There is no message.
    Once,
}

impl Call {
    /// Reads one message.
    pub(crate) fn message(path: String) -> Self {
        Self::read(path, media::MESSAGE, MOST_MESSAGE)
    }

    /// Reads several messages.
    pub(crate) fn messages(path: String) -> Self {
        Self::read(path, media::MESSAGES, MOST_MESSAGES)
    }

    /// Reads JSON.
    pub(crate) fn json(path: String) -> Self {
        Self::read(path, media::JSON, MOST_JSON)
    }

    /// Fetches deliveries. After a lost answer the exchange delivers them again, so nothing is lost or stored.
    pub(crate) fn fetch(path: String) -> Self {
        Self {
            method: Method::POST,
            ..Self::messages(path)
        }
    }

    /// Publishes a message.
    pub(crate) fn publish(path: String, bytes: Bytes, condition: Condition) -> Self {
        Self {
            method: Method::PUT,
            is_write: true,
            content: Some((media::MESSAGE, bytes)),
            condition,
            ..Self::read(path, media::PROBLEM, MOST_MESSAGE)
        }
    }

    /// Sends JSON that changes something.
    pub(crate) fn post(path: String, json: Bytes) -> Self {
        Self {
            method: Method::POST,
            is_write: true,
            content: Some((media::JSON, json)),
            ..Self::read(path, media::PROBLEM, MOST_JSON)
        }
    }

    fn read(path: String, accept: &'static str, most: usize) -> Self {
        Self {
            method: Method::GET,
            path,
            is_write: false,
            most,
            accept,
            content: None,
            condition: Condition::Always,
        }
    }

    /// Returns the bytes of the body.
    pub(crate) fn content_length(&self) -> usize {
        self.content.as_ref().map_or(0, |(_, bytes)| bytes.len())
    }

    /// Makes the request for a connection.
    pub(crate) fn request(
        &self,
        link: &Link,
        authorization: Option<HeaderValue>,
    ) -> Result<Request<Body>, Failed> {
        let authority = &link.address.authority;
        let builder = if link.is_shared() {
            Request::builder().uri(format!("https://{authority}{}", self.path))
        } else {
            Request::builder().uri(&self.path).header(HOST, authority)
        };
        let mut builder = builder
            .method(self.method.clone())
            .header(USER_AGENT, AGENT)
            .header(CACHE_CONTROL, "no-store");
        builder = if self.accept == media::PROBLEM {
            builder.header(ACCEPT, media::PROBLEM)
        } else {
            builder.header(ACCEPT, format!("{}, {}", self.accept, media::PROBLEM))
        };
        builder = match self.condition {
            Condition::Always => builder,
            Condition::At(sequence) => builder.header(IF_MATCH, header::etag(sequence)),
            Condition::Once => builder.header(IF_NONE_MATCH, "*"),
        };
        if let Some(trace) = trace::current() {
            builder = builder.header(trace::HEADER, trace.to_string());
        }
        if let Some(authorization) = authorization {
            builder = builder.header(AUTHORIZATION, authorization);
        }
        let body = match &self.content {
            None => Full::default(),
            Some((content_type, bytes)) => {
                builder = builder
                    .header(CONTENT_TYPE, *content_type)
                    .header(header::REPR_DIGEST, header::repr_digest(bytes));
                Full::new(bytes.clone())
            }
        };
        builder.body(body).map_err(|error| Failed::unsendable(&error))
    }

    /// Makes an error of this request.
    pub(crate) fn error(&self, kind: ErrorKind, what: impl Display) -> Error {
        let path = without_officer(&self.path);
        Error::new(kind, format!("{} {path}: {what}", self.method))
    }

    /// Returns the kind of a missing answer.
    pub(crate) fn unanswered(&self) -> ErrorKind {
        if self.is_write {
            ErrorKind::Unknown
        } else {
            ErrorKind::Unreachable
        }
    }
}

/// Returns a path without its query, which holds numbers and the name of the recipient again, and without an officer's name.
fn without_officer(path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    match path.split_once("/approvals/") {
        Some((request, _)) => format!("{request}/approvals/*"),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_error_names_no_officer() {
        let call = Call::json("/v1/requests/20260131-abcdefgh/approvals/li_na?recipient=a".to_owned());
        let error = call.error(ErrorKind::Denied, "refused");
        assert_eq!(
            error.what,
            "GET /v1/requests/20260131-abcdefgh/approvals/*: refused"
        );
    }
}
