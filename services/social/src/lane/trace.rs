//! The spans of a chunk at the bureau: read, signed, published.

use std::time::SystemTime;

use exchange::{TraceParent, trace};
use schemas::name::Lane;
use traces::Span;

use crate::row_batch::RowBatch;
use crate::step::Event;

/// Begins the trace of a chunk with the span of its read, which has ended.
pub(super) fn read(lane: &Lane, rows: &RowBatch) -> Option<TraceParent> {
    let span = of(lane, traces::root("chunk.read", rows.block.read_from.into()))
        .number("slacktide.rows", rows.block.totals.rows)
        .number("slacktide.bytes", rows.block.plain.len() as u64);
    let context = span.context();
    span.end("read", false);
    context
}

/// Measures the signing of a chunk.
pub(super) fn signing(parent: Option<TraceParent>) -> Span {
    traces::child("chunk.sign", parent, SystemTime::now())
}

/// Publishes a chunk as a span of its trace, which the message carries.
pub(super) async fn publish(
    lane: &Lane,
    parent: Option<TraceParent>,
    publishing: impl Future<Output = Event>,
) -> Event {
    let span = of(lane, traces::child("chunk.publish", parent, SystemTime::now()));
    let event = trace::within(span.context(), publishing).await;
    match &event {
        Event::Acked { sequence } => span.number("slacktide.sequence", *sequence).end("stored", false),
        Event::Conflict => span.end("conflict", true),
        Event::LeaseLost => span.end("lease_lost", true),
        _ => span.end("failed", true),
    }
    event
}

fn of(lane: &Lane, span: Span) -> Span {
    span.name("slacktide.recipient", &lane.recipient)
        .name("slacktide.feed", &lane.feed)
}
