//! Prints messages: for the terminal, as JSON lines or as CSV; payloads or rows.
//!
//! Every line names the message's position. An unreadable message is a line with the reason, so that no gap is missed. Rows hold
//! personal data: they are printed only here, because the auditor requested them.
//!
//! - [`printer`] prints one message

pub mod printer;

use std::ops::ControlFlow;

use exchange::port::{ReadFrom, Stream};
use exchange::{AuditExchange, Stored};
use verification::StreamId;

use crate::ends::{EndOf, StreamEnd, find_ends};
use crate::error::AuditError;
use crate::selection::Selection;
use crate::walk::{WalkEnd, walk};
use printer::Printer;

/// How far a replay read one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayedStream {
    /// The stream.
    pub stream: StreamId,
    /// The sequence at which a next replay continues; `None` if nothing was read.
    pub next: Option<u64>,
    /// How it ended.
    pub end: WalkEnd,
}

/// The streams that hold messages about requests.
pub const OF_REQUESTS: [Stream; 7] = [
    Stream::Requests,
    Stream::Cancels,
    Stream::Approvals,
    Stream::Progress,
    Stream::Parts,
    Stream::Replies,
    Stream::Confirms,
];

/// Prints the selection. `progress` gets the number of messages so far and an upper bound of all of them, if it is known.
///
/// # Errors
/// [`AuditError`] from the exchange or the output.
pub async fn replay(
    exchange: &dyn AuditExchange,
    selection: &Selection,
    printer: &mut Printer<'_>,
    progress: &mut (dyn FnMut(u64, Option<u64>) + Send),
) -> Result<Vec<ReplayedStream>, AuditError> {
    let ends = find_ends(exchange, &[selection.stream], &selection.party(), &mut Vec::new()).await?;
    let total = total(&ends, selection);
    let (mut streams, mut count) = (Vec::new(), 0);
    for end in ends {
        let mut next = None;
        let filter = selection.filter(&end.stream.party);
        let ended = walk(exchange, &end, &filter, selection.from, |message| {
            if selection.ends_before(message.sequence, message.stored_at) {
                return Ok(ControlFlow::Break(()));
            }
            printer.print(&message)?;
            next = Some(message.sequence + 1);
            count += 1;
            progress(count, total);
            Ok(ControlFlow::Continue(()))
        })
        .await?;
        streams.push(ReplayedStream {
            stream: end.stream,
            next,
            end: ended,
        });
    }
    printer.finish()?;
    Ok(streams)
}

/// Prints everything about one request, in the order in which it was stored.
///
/// # Errors
/// [`AuditError`] from the exchange or the output.
pub async fn replay_request(
    exchange: &dyn AuditExchange,
    selection: &Selection,
    printer: &mut Printer<'_>,
) -> Result<Vec<ReplayedStream>, AuditError> {
    let ends = find_ends(exchange, &OF_REQUESTS, &selection.party(), &mut Vec::new()).await?;
    let mut messages: Vec<Stored> = Vec::new();
    let mut streams = Vec::new();
    for end in ends {
        let of_stream = Selection {
            stream: end.stream.stream,
            ..selection.clone()
        };
        let filter = of_stream.filter(&end.stream.party);
        let ended = walk(exchange, &end, &filter, ReadFrom::Sequence(1), |message| {
            messages.push(message);
            Ok(ControlFlow::Continue(()))
        })
        .await?;
        streams.push(ReplayedStream {
            stream: end.stream,
            next: None,
            end: ended,
        });
    }
    messages.sort_by(|a, b| (a.stored_at, &a.subject).cmp(&(b.stored_at, &b.subject)));
    for message in &messages {
        printer.print(message)?;
    }
    printer.finish()?;
    Ok(streams)
}

/// Returns an upper bound of the number of messages to read.
fn total(ends: &[EndOf], selection: &Selection) -> Option<u64> {
    let ReadFrom::Sequence(from) = selection.from else {
        return None;
    };
    let of = |end: &EndOf| match end.end {
        StreamEnd::Sequence(last) => {
            let last = selection.to_sequence.map_or(last, |to| to.min(last));
            Some((last + 1).saturating_sub(from.max(1)))
        }
        StreamEnd::Unknown => None,
    };
    ends.iter().map(of).sum()
}
