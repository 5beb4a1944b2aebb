//! The spans of a request in the gateway. A request whose caller sends no trace context has none.
//!
//! The context is passed on to the exchange also while the gateway itself records nothing, so that a trace is not cut here.

use std::time::SystemTime;

use axum::http::{HeaderMap, Method};
use axum::response::Response;
use exchange::{Delivery, TraceParent, trace};
use traces::Span;

/// The trace of one request.
pub(crate) struct RequestTrace {
    span: Span,
    context: Option<TraceParent>,
}

/// Begins the span of a request, by its headers. The route is a pattern, so no name or number of the path is in it.
pub(crate) fn begin(headers: &HeaderMap, method: &Method, route: &str) -> RequestTrace {
    let mut values = headers.get_all(trace::HEADER).iter();
    let caller = match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok().and_then(TraceParent::parse),
        // Several: none of them is right.
        _ => None,
    };
    let span = traces::child("gateway.serve", caller, SystemTime::now())
        .name("http.request.method", method)
        .name("http.route", route);
    RequestTrace {
        context: span.context().or(caller),
        span,
    }
}

impl RequestTrace {
    /// Runs the request in its context.
    pub(crate) async fn run(self, answering: impl Future<Output = Response>) -> Response {
        let response = trace::within(self.context, answering).await;
        let status = response.status();
        let outcome = if status.is_server_error() {
            "failed"
        } else if status.is_client_error() {
            "refused"
        } else {
            "answered"
        };
        self.span
            .number("http.response.status_code", u64::from(status.as_u16()))
            .end(outcome, status.is_server_error());
        response
    }
}

/// Records that a message is handed out, in the trace of its publisher, and makes the reader continue from here.
pub(crate) fn delivered(delivery: Delivery) -> Delivery {
    let span = traces::child("gateway.deliver", delivery.trace, SystemTime::now())
        .number("slacktide.sequence", delivery.sequence)
        .number("slacktide.attempt", delivery.attempt);
    let trace = span.context().or(delivery.trace);
    span.end("delivered", false);
    Delivery { trace, ..delivery }
}
