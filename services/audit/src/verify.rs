//! Verifies the live streams with the rules of the crate `verification`.

use std::ops::ControlFlow;

use exchange::port::{ReadFrom, Stream};
use exchange::{AuditExchange, Stored};
use verification::heads::KeptHeads;
use verification::{Message, Place, Scope, StreamId, Verifier};

use crate::ends::{READING_ORDER, find_ends};
use crate::error::AuditError;
use crate::selection::Selection;
use crate::walk::{WalkEnd, walk};

pub use verification::{Fault, Findings, Trust};

/// Checks the live streams, limited to the recipient and feed of `scope`. The streams must still hold the heads that the auditor
/// kept.
///
/// # Errors
/// [`AuditError`] if a stream cannot be read. A fault is a finding.
pub async fn verify(
    exchange: &dyn AuditExchange,
    trust: &Trust,
    scope: &Selection,
    since: Option<&KeptHeads>,
) -> Result<Findings, AuditError> {
    let is_of_lanes = scope.recipient.is_some() || scope.feed.is_some();
    let is_part =
        scope.from != ReadFrom::Sequence(1) || scope.to_sequence.is_some() || scope.to_time.is_some();
    let kinds: &[Stream] = if is_of_lanes || is_part {
        &[Stream::Data, Stream::Receipts, Stream::Audit]
    } else {
        &READING_ORDER
    };
    let mut denied = Vec::new();
    let parties = scope.party();
    let ends = find_ends(exchange, kinds, &parties, &mut denied).await?;
    let mut verifier = Verifier::new(trust, if is_part { Scope::Part } else { Scope::Whole });
    if is_of_lanes {
        verifier.restrict();
    }
    if scope.feed.is_some() {
        verifier.allow_gaps();
    }
    for stream in denied {
        verifier.add_not_covered(format!("{stream}: the credential may not read it"));
    }
    for end in ends {
        if end.stream.stream == Stream::Audit && is_of_lanes {
            continue;
        }
        verifier.begin(&end.stream);
        let selection = match end.stream.stream {
            Stream::Data => Selection {
                stream: Stream::Data,
                ..scope.clone()
            },
            Stream::Receipts => Selection {
                recipient: scope.recipient.clone(),
                feed: scope.feed.clone(),
                ..Selection::all(Stream::Receipts)
            },
            kind => Selection::all(kind),
        };
        let filter = selection.filter(&end.stream.party);
        let ended = walk(exchange, &end, &filter, selection.from, |message| {
            if selection.ends_before(message.sequence, message.stored_at) {
                return Ok(ControlFlow::Break(()));
            }
            verifier.push(&message_of(&end.stream, &message));
            Ok(ControlFlow::Continue(()))
        })
        .await?;
        match ended {
            WalkEnd::Reached => {}
            WalkEnd::Unknown => {
                verifier.add_not_covered(format!("the end of {}: its last sequence is not known", end.stream));
            }
            WalkEnd::Missed { end: last } => verifier.add_not_covered(format!(
                "the end of {}: the exchange did not return the messages up to sequence {last}, which its leader has",
                end.stream
            )),
        }
    }
    Ok(verifier.finish(since))
}

fn message_of<'a>(stream: &'a StreamId, stored: &'a Stored) -> Message<'a> {
    Message {
        stream,
        subject: &stored.subject,
        sequence: stored.sequence,
        stored_at: stored.stored_at,
        bytes: &stored.bytes,
        place: Place::default(),
    }
}
