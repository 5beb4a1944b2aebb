//! Successful responses.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use exchange::port::Sequence;
use exchange::{Filed, Published, Stored, trace};
use serde::Serialize;
use web::interface::header::{REPR_DIGEST, STORED_AT, SUBJECT, etag, repr_digest};
use web::interface::media;
use web::interface::message::{Message, encode_all};
use web::interface::problem::ProblemKind;

use crate::rejection::{Answer, Rejection};

/// The maximum bytes of the messages in one response, unless there is only one.
const MAX_PAGE: usize = 16 * 1024 * 1024;

/// Answers with one message: 200, or 204 if there is none.
pub(crate) fn message(stored: Option<Stored>) -> Response {
    let Some(stored) = stored else {
        return with_etag(StatusCode::NO_CONTENT, 0);
    };
    let mut response = with_etag(StatusCode::OK, stored.sequence);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media::MESSAGE));
    insert(headers, SUBJECT, &stored.subject);
    insert(headers, STORED_AT, &stored.stored_at.to_string());
    insert(headers, REPR_DIGEST, &repr_digest(&stored.bytes));
    if let Some(trace) = stored.trace {
        insert(headers, trace::HEADER, &trace.to_string());
    }
    *response.body_mut() = Body::from(stored.bytes);
    response
}

/// Answers with a sequence of messages.
pub(crate) fn messages(messages: Vec<Message>, next: Option<String>) -> Answer {
    let body = encode_all(messages, next).map_err(|_| unencodable())?;
    Ok(([(header::CONTENT_TYPE, media::MESSAGES)], body).into_response())
}

/// Answers with the messages of a read that a later read continues: as many as fit into the limit of a response, and at least
/// one.
pub(crate) fn page(stored: Vec<Stored>) -> Answer {
    let mut size = 0;
    let is_within = |stored: &Stored| {
        let is_first = size == 0;
        size += stored.bytes.len();
        is_first || size <= MAX_PAGE
    };
    messages(
        stored
            .into_iter()
            .take_while(is_within)
            .map(Message::from)
            .collect(),
        None,
    )
}

/// Answers with JSON.
pub(crate) fn json<T: Serialize>(value: &T) -> Answer {
    let body = serde_json::to_vec(value).map_err(|_| unencodable())?;
    Ok(([(header::CONTENT_TYPE, media::JSON)], body).into_response())
}

fn unencodable() -> Rejection {
    Rejection::new(ProblemKind::Internal, "the response cannot be encoded")
}

/// Answers a compare-and-set write. After a conflict, `current` reads the last message for its entity tag.
pub(crate) async fn published(
    outcome: Published,
    current: impl Future<Output = exchange::Result<Option<Stored>>>,
) -> Answer {
    let sequence = async { Ok(current.await?.map_or(0, |stored| stored.sequence)) };
    published_at(outcome, sequence).await
}

/// The same where only the sequence of the last message is asked for.
pub(crate) async fn published_at(
    outcome: Published,
    current: impl Future<Output = exchange::Result<Sequence>>,
) -> Answer {
    match outcome {
        Published::Done { sequence } => Ok(with_etag(StatusCode::NO_CONTENT, sequence)),
        Published::Conflict => {
            let detail = "the last message has another sequence than If-Match names";
            let rejection = Rejection::new(ProblemKind::PreconditionFailed, detail);
            // The tag is a convenience: the writer reads the resource again anyway.
            Err(match current.await {
                Ok(sequence) => rejection.with_current(sequence),
                Err(_) => rejection,
            })
        }
    }
}

/// Answers a write to a resource that accepts one message.
pub(crate) fn filed(outcome: Filed) -> Answer {
    match outcome {
        Filed::Done { sequence } => Ok(with_etag(StatusCode::CREATED, sequence)),
        Filed::Exists(stored) => {
            let detail = "the resource already has its message";
            let rejection = Rejection::new(ProblemKind::PreconditionFailed, detail);
            Err(rejection.with_current(stored.sequence))
        }
    }
}

/// Answers with an entity tag and no body.
pub(crate) fn with_etag(status: StatusCode, sequence: Sequence) -> Response {
    let mut response = status.into_response();
    insert(response.headers_mut(), header::ETAG.as_str(), &etag(sequence));
    response
}

/// Inserts a header; a value that no header can have is left out.
pub(crate) fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}
