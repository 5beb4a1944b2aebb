//! The last sequence of each stream, which a read must reach.
//!
//! The streams grow while they are read. Their ends are asked for in an order in which a message never refers beyond the end of
//! another stream: a receipt's chunk was stored before it, so the end of the receipts is fixed before that of the chunks.

use exchange::port::Stream;
use exchange::{AuditExchange, ErrorKind};
use schemas::name::PartyName;
use verification::StreamId;

use crate::error::AuditError;

/// The order in which ends are asked for: what refers comes before what it refers to.
const REFERRING_FIRST: [Stream; 11] = [
    Stream::Confirms,
    Stream::Receipts,
    Stream::Data,
    Stream::Replies,
    Stream::Parts,
    Stream::Progress,
    Stream::Approvals,
    Stream::Cancels,
    Stream::Requests,
    Stream::Control,
    Stream::Audit,
];

/// The order in which streams are read and exported: what is referred to comes first.
pub const READING_ORDER: [Stream; 11] = [
    Stream::Control,
    Stream::Audit,
    Stream::Data,
    Stream::Receipts,
    Stream::Requests,
    Stream::Cancels,
    Stream::Approvals,
    Stream::Parts,
    Stream::Replies,
    Stream::Progress,
    Stream::Confirms,
];

/// The end of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamEnd {
    /// The last sequence, from the stream's leader.
    Sequence(u64),
    /// The transport does not report it.
    Unknown,
}

/// A stream and its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndOf {
    /// The stream.
    pub stream: StreamId,
    /// Its end.
    pub end: StreamEnd,
}

/// Returns the streams of these kinds, of all parties or of some, with their ends, in the order in which they are read. Adds the
/// kinds that the credential may not read to `denied`.
///
/// # Errors
/// [`AuditError`] from the exchange.
pub async fn find_ends(
    exchange: &dyn AuditExchange,
    kinds: &[Stream],
    parties: &[PartyName],
    denied: &mut Vec<StreamId>,
) -> Result<Vec<EndOf>, AuditError> {
    let mut all = Vec::new();
    for kind in REFERRING_FIRST.into_iter().filter(|kind| kinds.contains(kind)) {
        let failed = |source| AuditError::Exchange { stream: kind, source };
        let existing = exchange.parties(kind).await.map_err(failed)?;
        let wanted = existing
            .into_iter()
            .filter(|party| parties.is_empty() || parties.contains(party));
        for party in wanted {
            let stream = StreamId {
                stream: kind,
                party: party.clone(),
            };
            let end = match exchange.stream_state(kind, &party).await {
                Ok(state) => StreamEnd::Sequence(if state.messages == 0 {
                    0
                } else {
                    state.last_sequence
                }),
                // A site whose accounts were made by an earlier version does not let the auditor read orders.
                Err(error) if error.kind == ErrorKind::Denied && kind == Stream::Control => {
                    denied.push(stream);
                    continue;
                }
                Err(error) if error.kind == ErrorKind::Protocol => StreamEnd::Unknown,
                Err(error) => return Err(failed(error)),
            };
            all.push(EndOf { stream, end });
        }
    }
    let place = |end: &EndOf| READING_ORDER.iter().position(|kind| *kind == end.stream.stream);
    all.sort_by(|a, b| (place(a), &a.stream.party).cmp(&(place(b), &b.stream.party)));
    Ok(all)
}
