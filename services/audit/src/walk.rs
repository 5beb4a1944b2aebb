//! Reading a selection to its end. Pages are read directly, so nothing of it is visible to
//! others and nothing is acknowledged on anybody's behalf.

use std::ops::ControlFlow;

use exchange::port::From;
use exchange::{Exchange, Stored};

use crate::error::AuditError;
use crate::selection::Selection;

/// Messages a page. At 100 KB a message, a page is some 25 MB.
const PAGE: usize = 256;

/// Gives every message of the selection to `visit`, in the exchange's order, until it breaks
/// off or there is nothing more now. Returns how many were visited.
///
/// # Errors
/// [`AuditError`] from the exchange or from `visit`.
pub async fn walk(
    exchange: &dyn Exchange,
    selection: &Selection,
    mut visit: impl FnMut(Stored) -> Result<ControlFlow<()>, AuditError>,
) -> Result<u64, AuditError> {
    let filter = selection.filter();
    let (mut from, mut visited) = (selection.from, 0);
    loop {
        let page = exchange
            .read(selection.stream, from, &filter, PAGE)
            .await
            .map_err(|source| AuditError::Exchange {
                stream: selection.stream,
                source,
            })?;
        let Some(last) = page.last().map(|message| message.sequence) else {
            return Ok(visited);
        };
        from = From::Sequence(last + 1);
        for message in page {
            if selection.ends_before(message.sequence, message.stored_at) {
                return Ok(visited);
            }
            visited += 1;
            if visit(message)?.is_break() {
                return Ok(visited);
            }
        }
    }
}
