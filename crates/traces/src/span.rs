//! Spans. Ambient: the tracer is the process's, and the context of a message is that of [`exchange::trace`].

use std::fmt::Display;
use std::sync::OnceLock;
use std::time::SystemTime;

use exchange::TraceParent;
use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId, TraceState,
    Tracer as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SdkTracer;

pub(crate) static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// A span that is being measured. It ends when it is dropped. An empty one does nothing.
#[derive(Debug, Default)]
pub struct Span(Option<Box<opentelemetry_sdk::trace::Span>>);

/// Begins a trace at `since`, if this process records it.
#[must_use]
pub fn root(name: &'static str, since: SystemTime) -> Span {
    begin(name, &Context::new(), since)
}

/// Begins a span of the trace of `parent`. Without a parent that is recorded there is none.
#[must_use]
pub fn child(name: &'static str, parent: Option<TraceParent>, since: SystemTime) -> Span {
    let Some(parent) = parent.filter(|parent| parent.is_sampled()) else {
        return Span::default();
    };
    let context = SpanContext::new(
        TraceId::from(parent.trace()),
        SpanId::from(parent.span()),
        TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    );
    begin(name, &Context::new().with_remote_span_context(context), since)
}

fn begin(name: &'static str, context: &Context, since: SystemTime) -> Span {
    let Some(tracer) = TRACER.get() else {
        return Span::default();
    };
    let builder = tracer
        .span_builder(name)
        .with_kind(kind(name))
        .with_start_time(since);
    let span = tracer.build_with_context(builder, context);
    Span(span.is_recording().then(|| Box::new(span)))
}

/// PURE: the kind of a span, by its name.
fn kind(name: &str) -> SpanKind {
    match name.rsplit('.').next() {
        Some("publish" | "file" | "confirm") => SpanKind::Producer,
        Some("fetch" | "take") => SpanKind::Consumer,
        Some("serve") => SpanKind::Server,
        _ => SpanKind::Internal,
    }
}

impl Span {
    /// Returns the context for messages and further spans, or `None` if it is not recorded.
    #[must_use]
    pub fn context(&self) -> Option<TraceParent> {
        let context = self.0.as_ref()?.span_context();
        let trace = u128::from_be_bytes(context.trace_id().to_bytes());
        TraceParent::new(trace, u64::from_be_bytes(context.span_id().to_bytes()), true)
    }

    /// Adds a name: of a feed, a recipient, a route.
    #[must_use]
    pub fn name(mut self, key: &'static str, name: &(impl Display + ?Sized)) -> Self {
        if let Some(span) = &mut self.0 {
            span.set_attribute(KeyValue::new(key, name.to_string()));
        }
        self
    }

    /// Adds a number.
    #[must_use]
    pub fn number(mut self, key: &'static str, number: u64) -> Self {
        if let Some(span) = &mut self.0 {
            span.set_attribute(KeyValue::new(key, i64::try_from(number).unwrap_or(i64::MAX)));
        }
        self
    }

    /// Ends it with its outcome, a fixed word.
    pub fn end(mut self, outcome: &'static str, is_error: bool) {
        if let Some(span) = &mut self.0 {
            span.set_attribute(KeyValue::new("slacktide.outcome", outcome));
            if is_error {
                span.set_status(Status::error(outcome));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn span_is_empty_while_traces_are_off() {
        let span = root("chunk.read", SystemTime::now()).number("slacktide.rows", 1);
        assert_eq!(span.context(), None);
        let parent = TraceParent::new(1, 2, true);
        assert_eq!(child("chunk.store", parent, SystemTime::now()).context(), None);
    }
}
