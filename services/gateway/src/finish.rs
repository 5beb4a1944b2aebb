//! What surrounds every request: its id, the limits of time and concurrency, the body of a problem, the headers of every
//! response, the measurements.

use std::time::Instant;

use axum::body::{Body, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use tower_http::compression::predicate::Predicate;
use web::interface::header::REQUEST_ID;
use web::interface::media;
use web::interface::problem::ProblemKind;

use crate::gateway::Gateway;
use crate::metrics::NO_ROUTE;
use crate::precondition::is_unchanged;
use crate::rejection::Rejection;
use crate::respond;
use crate::trace;

/// Runs a request and completes its response.
pub(crate) async fn finish(State(gateway): State<Gateway>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let held = gateway.metrics().in_flight();
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or(NO_ROUTE, MatchedPath::as_str).to_owned();
    let asked = Asked {
        method: request.method().clone(),
        version: request.version(),
        headers: request.headers().clone(),
    };
    let request_id = request_id();
    let request_trace = trace::begin(&asked.headers, &asked.method, &route);
    let response = request_trace.run(answer(&gateway, request, next)).await;
    log_failure(&gateway, &response, &route, &request_id);
    let response = complete(response, &asked, &request_id);
    drop(held);
    let metrics = gateway.metrics();
    metrics.answered(
        &route,
        &asked.method,
        response.status().as_u16(),
        started.elapsed(),
    );
    tracing::debug!(
        request_id,
        route,
        status = response.status().as_u16(),
        "request answered"
    );
    count_body(gateway, response)
}

/// What is needed of a request after it ran.
struct Asked {
    method: Method,
    version: Version,
    headers: HeaderMap,
}

/// Runs a request within the limits of concurrency and time.
pub(crate) async fn answer(gateway: &Gateway, request: Request, next: Next) -> Response {
    let Some(_permit) = gateway.take_any_request().await else {
        let detail = "the gateway answers as many requests as it may at once";
        return Rejection::new(ProblemKind::Unavailable, detail).into_response();
    };
    let limits = gateway.limits();
    let limit = limits.request_time + limits.max_wait;
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let detail = format!("the request took longer than {} s", limit.as_secs());
            Rejection::new(ProblemKind::ExchangeTimeout, detail).into_response()
        }
    }
}

/// Returns a new id; one that the client sends is not used, because it could imitate another.
fn request_id() -> String {
    hex::encode(rand::random::<[u8; 16]>())
}

/// Logs an error of the gateway or the exchange, repeated ones at increasing intervals.
fn log_failure(gateway: &Gateway, response: &Response, route: &str, request_id: &str) {
    let rejection = response.extensions().get::<Rejection>();
    let Some(rejection) = rejection.filter(|rejection| rejection.kind.status() >= 500) else {
        return;
    };
    let problem = rejection.kind.name();
    if gateway.is_new_failure(problem) {
        let error = &rejection.detail;
        tracing::warn!(request_id, route, problem, error, "request failed");
    }
}

/// PURE: completes a response: body of a problem, 304, headers.
fn complete(mut response: Response, asked: &Asked, request_id: &str) -> Response {
    let status = response.status();
    let rejection = response.extensions_mut().remove::<Rejection>();
    let is_error = status.is_client_error() || status.is_server_error();
    if let Some(rejection) = rejection.or_else(|| is_error.then(|| unnamed(status))) {
        let problem = rejection.kind.problem(rejection.detail, request_id);
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        *response.status_mut() =
            StatusCode::from_u16(rejection.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media::PROBLEM));
        *response.body_mut() = Body::from(body);
    } else if status == StatusCode::OK && asked.method == Method::GET {
        let tag = response
            .headers()
            .get(header::ETAG)
            .and_then(|tag| tag.to_str().ok());
        if tag.is_some_and(|tag| is_unchanged(&asked.headers, tag)) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            let headers = response.headers_mut();
            headers.remove(header::CONTENT_LENGTH);
            headers.remove(header::CONTENT_TYPE);
            *response.body_mut() = Body::empty();
        }
    }
    // The rest of the body is not read, so the connection cannot be used again.
    let is_body_left = matches!(
        response.status(),
        StatusCode::REQUEST_TIMEOUT | StatusCode::PAYLOAD_TOO_LARGE
    );
    let headers = response.headers_mut();
    if is_body_left && asked.version < Version::HTTP_2 {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    respond::insert(headers, REQUEST_ID, request_id);
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// PURE: returns the rejection of an error that a library made.
fn unnamed(status: StatusCode) -> Rejection {
    let kind = ProblemKind::all().find(|kind| kind.status() == status.as_u16());
    let kind = kind.unwrap_or(if status.is_client_error() {
        ProblemKind::BadRequest
    } else {
        ProblemKind::Internal
    });
    Rejection::new(kind, kind.title())
}

/// Counts the bytes of a body: at once if its length is known, else as they are sent.
pub(crate) fn count_body(gateway: Gateway, response: Response) -> Response {
    if let Some(length) = response.body().size_hint().exact() {
        gateway.metrics().sent(length);
        return response;
    }
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let length = frame.data_ref().map_or(0, bytes::Bytes::len);
            gateway.metrics().sent(length as u64);
            frame
        }))
    })
}

/// Answers a path without a route.
pub(crate) async fn no_route() -> Rejection {
    Rejection::new(ProblemKind::NotFound, "no resource has this path")
}

/// Answers a method that the resource does not have; the router adds Allow.
pub(crate) async fn no_method() -> Rejection {
    Rejection::new(
        ProblemKind::MethodNotAllowed,
        "the resource does not have this method",
    )
}

/// Which responses are compressed: text; messages are compressed already.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IsText;

impl Predicate for IsText {
    fn should_compress<B: HttpBody>(&self, response: &axum::http::Response<B>) -> bool {
        let content_type = response.headers().get(header::CONTENT_TYPE);
        let content_type = content_type
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        let is_short = response.size_hint().exact().is_some_and(|length| length < 256);
        [media::JSON, media::NDJSON, media::CSV, "text/html"].contains(&media_type) && !is_short
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(version: Version) -> Asked {
        Asked {
            method: Method::GET,
            version,
            headers: HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static("\"7\""))]),
        }
    }

    #[test]
    fn finish_read_of_an_unchanged_message_is_304() {
        let stored = exchange::Stored {
            subject: "lease.core".to_owned(),
            sequence: 7,
            stored_at: jiff::Timestamp::UNIX_EPOCH,
            trace: None,
            bytes: bytes::Bytes::from_static(b"a"),
        };
        let response = complete(
            respond::message(Some(stored.clone())),
            &asked(Version::HTTP_2),
            "id",
        );
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(response.body().size_hint().exact(), Some(0));
        let newer = exchange::Stored {
            sequence: 8,
            ..stored
        };
        let response = complete(respond::message(Some(newer)), &asked(Version::HTTP_2), "id");
        assert_eq!(response.status(), StatusCode::OK);
    }

    #[test]
    fn finish_unread_body_closes_an_http_1_connection() {
        let close = |version| {
            let late = Rejection::new(ProblemKind::RequestTimeout, "x").into_response();
            let response = complete(late, &asked(version), "id");
            response.headers().contains_key(header::CONNECTION)
        };
        assert!(close(Version::HTTP_11));
        assert!(!close(Version::HTTP_2), "HTTP/2 has no such header");
    }

    #[test]
    fn finish_compresses_text_only() {
        let with = |media_type: &'static str, length| {
            let body = Body::from(vec![b'x'; length]);
            let response = ([(header::CONTENT_TYPE, media_type)], body).into_response();
            IsText.should_compress(&response)
        };
        assert!(with(media::NDJSON, 1_000) && with("text/csv; charset=utf-8", 1_000));
        assert!(!with(media::JSON, 100), "compression would not shorten it");
        assert!(!with(media::MESSAGE, 1_000) && !with(media::MESSAGES, 1_000));
    }
}
