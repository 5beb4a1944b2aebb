//! The spans of a request at the bureau: parts, and the answer since the request was filed.

use std::time::SystemTime;

use exchange::{TraceParent, trace};
use jiff::Timestamp;
use requests::queue::RequestKey;

use super::reply_publisher::StoreResult;
use super::request_state::Message;

/// The trace of a request's filing, and when the exchange stored the request, by its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RequestTrace {
    pub(super) context: TraceParent,
    pub(super) since: Timestamp,
}

/// Stores a message of a request as a span of its trace.
pub(super) async fn publish(
    key: &RequestKey,
    message: &Message,
    request: Option<RequestTrace>,
    storing: impl Future<Output = StoreResult>,
) -> StoreResult {
    let parent = request.map(|request| request.context);
    let (span, stored) = match message {
        Message::Part { number, .. } => (
            traces::child("part.publish", parent, SystemTime::now())
                .number("slacktide.part", u64::from(*number)),
            "stored",
        ),
        Message::Reply { outcome, .. } => {
            let since = request.map_or_else(SystemTime::now, |request| request.since.into());
            let span =
                traces::child("request.answer", parent, since).number("slacktide.rows", outcome.rows());
            (span, outcome.name())
        }
    };
    let span = span.name("slacktide.recipient", &key.recipient);
    let result = trace::within(span.context(), storing).await;
    match &result {
        StoreResult::Stored => span.end(stored, false),
        StoreResult::Exists => span.end("exists", false),
        StoreResult::Unconfirmed => span.end("unconfirmed", true),
        StoreResult::Failed(_) => span.end("failed", true),
        StoreResult::LeaseLost => span.end("lease_lost", true),
    }
    result
}
