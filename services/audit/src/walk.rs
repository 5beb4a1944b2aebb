//! Reads a selection to its end. Pages are read directly, so that others do not notice and no message is acknowledged.

use std::ops::ControlFlow;

use exchange::port::ReadFrom;
use exchange::{AuditExchange, Stored};
use schemas::name::PartyName;

use crate::error::AuditError;
use crate::selection::Selection;

/// Messages per page. At 100 KB per message, a page has about 25 MB.
const PAGE: usize = 256;

/// Passes every message of the selection to `visit`, in the exchange's order, until it breaks or the end is reached. The
/// parties' streams follow each other by name. Returns the number of visited messages.
///
/// # Errors
/// [`AuditError`] from the exchange or from `visit`.
pub async fn walk(
    exchange: &dyn AuditExchange,
    selection: &Selection,
    mut visit: impl FnMut(Stored) -> Result<ControlFlow<()>, AuditError>,
) -> Result<u64, AuditError> {
    let failed = |source| AuditError::Exchange {
        stream: selection.stream,
        source,
    };
    let parties: Vec<Option<PartyName>> = if selection.recipient.is_none() {
        let parties = exchange.parties(selection.stream).await.map_err(failed)?;
        parties.into_iter().map(Some).collect()
    } else {
        vec![None]
    };
    let mut visited = 0;
    'streams: for party in parties {
        let filter = selection.filter(party.as_ref());
        let mut from = selection.from;
        loop {
            let page = exchange
                .read(selection.stream, from, &filter, PAGE)
                .await
                .map_err(failed)?;
            let Some(last) = page.last().map(|message| message.sequence) else {
                continue 'streams;
            };
            from = ReadFrom::Sequence(last + 1);
            for message in page {
                if selection.ends_before(message.sequence, message.stored_at) {
                    continue 'streams;
                }
                visited += 1;
                if visit(message)?.is_break() {
                    return Ok(visited);
                }
            }
        }
    }
    Ok(visited)
}
