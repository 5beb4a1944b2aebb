//! The spans of a chunk and of a request at the insurer: fetched, stored, receipted; filed, stored.

use std::time::SystemTime;

use exchange::{Delivery, Filed, Published, Settlement, TraceParent, trace};
use schemas::name::{Lane, RecipientName};
use store::{LaneReport, Outcome};
use traces::Span;

use crate::error::StepError;
use crate::open::Opened;

fn of(lane: &Lane, span: Span) -> Span {
    span.name("slacktide.recipient", &lane.recipient)
        .name("slacktide.feed", &lane.feed)
}

/// Records that a chunk was fetched and opened. Returns the context that storing continues.
pub(crate) fn fetched(delivery: &Delivery, opened: &Opened, since: SystemTime) -> Option<TraceParent> {
    let span = traces::child("chunk.fetch", delivery.trace, since)
        .number("slacktide.sequence", delivery.sequence)
        .number("slacktide.attempt", delivery.attempt);
    let context = span.context();
    match opened {
        Opened::Chunk(lane, _) => of(lane, span).end("opened", false),
        Opened::Closed(lane, _) => of(lane, span).end("key_missing", true),
        Opened::Unreadable(_) => span.end("quarantined", true),
        Opened::Foreign(_) => span.end("unexpected", true),
    }
    context
}

/// Begins the spans of one transaction, one for each chunk.
pub(crate) fn storing(lane: &Lane, deliveries: &[Delivery]) -> Vec<Span> {
    let since = SystemTime::now();
    let one = |delivery: &Delivery| {
        of(lane, traces::child("chunk.store", delivery.trace, since))
            .number("slacktide.chunks", deliveries.len() as u64)
    };
    deliveries.iter().map(one).collect()
}

/// Ends the spans of a transaction. Returns the context of the last chunk that is stored, which the receipt continues.
pub(crate) fn stored<E>(spans: Vec<Span>, result: Result<&[Outcome], &E>) -> Option<TraceParent> {
    let Ok(outcomes) = result else {
        for span in spans {
            span.end("failed", true);
        }
        return None;
    };
    let mut last = None;
    for (span, outcome) in spans.into_iter().zip(outcomes) {
        let context = span.context();
        match outcome {
            Outcome::Stored { rows, .. } => {
                last = context.or(last);
                span.number("slacktide.rows", *rows).end("stored", false);
            }
            Outcome::AlreadyStored => span.end("already_stored", false),
            Outcome::Superseded => span.end("superseded", false),
            Outcome::Stopped { .. } => span.end("stopped", true),
            Outcome::Deferred { .. } => span.end("deferred", false),
        }
    }
    last
}

/// Publishes a receipt as a span of the trace of the last chunk that it covers.
pub(crate) async fn receipt(
    report: &LaneReport,
    parent: Option<TraceParent>,
    publishing: impl Future<Output = exchange::Result<Published>>,
) -> exchange::Result<Published> {
    let span = of(
        &report.lane,
        traces::child("receipt.publish", parent, SystemTime::now()),
    )
    .number("slacktide.frontier", report.to);
    let published = trace::within(span.context(), publishing).await;
    match &published {
        Ok(Published::Done { .. }) => span.end("stored", false),
        Ok(Published::Conflict) => span.end("conflict", false),
        Err(_) => span.end("failed", true),
    }
    published
}

/// Files a request: a trace begins.
pub(crate) async fn file(
    recipient: &RecipientName,
    filing: impl Future<Output = exchange::Result<Filed>>,
) -> exchange::Result<Filed> {
    let span = traces::root("request.file", SystemTime::now()).name("slacktide.recipient", recipient);
    let filed = trace::within(span.context(), filing).await;
    match &filed {
        Ok(Filed::Done { .. }) => span.end("filed", false),
        Ok(Filed::Exists(_)) => span.end("exists", false),
        Err(_) => span.end("failed", true),
    }
    filed
}

/// Stores an answer as a span of its request's trace; it was fetched with others at `since`.
pub(crate) async fn answer(
    delivery: &Delivery,
    since: SystemTime,
    storing: impl Future<Output = Result<Settlement, StepError>>,
) -> Result<Settlement, StepError> {
    let span =
        traces::child("answer.store", delivery.trace, since).number("slacktide.attempt", delivery.attempt);
    let settlement = trace::within(span.context(), storing).await;
    match &settlement {
        Ok(Settlement::Ack) => span.end("stored", false),
        Ok(Settlement::Nak(_)) => span.end("deferred", false),
        Err(_) => span.end("failed", true),
    }
    settlement
}
