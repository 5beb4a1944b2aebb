//! Records requests from outbox rows, and publishes recorded requests.

use bytes::Bytes;
use exchange::{ErrorKind, Filed as Published, Stored};
use futures_util::StreamExt as _;
use futures_util::stream;
use jiff::Timestamp;
use store::requests::{FilingOutcome, Unpublished};
use tokio_util::sync::CancellationToken;

use super::filing::filing;
use super::{AT_ONCE, RequesterParts};
use crate::error::StepError;
use crate::trace;

/// Records the requests of outbox rows. An invalid row is marked with the reason and does not block the rows after
/// it.
pub(super) async fn record_requests(
    parts: &RequesterParts,
    stop: &CancellationToken,
) -> Result<(), StepError> {
    while !stop.is_cancelled() {
        let rows = parts.store.outbox(AT_ONCE).await?;
        let last = rows.len() < AT_ONCE as usize;
        for row in rows {
            let number = row.number;
            let kept = match row.parse() {
                Err(error) => Err(error.to_string()),
                Ok(draft) => filing(
                    draft,
                    &parts.recipient,
                    &parts.key,
                    &parts.here,
                    Some(number),
                    Timestamp::now(),
                )
                .map_err(|error| error.to_string()),
            };
            match kept {
                Ok(filing) => {
                    let filed = parts.store.file(&filing).await?;
                    parts.registry.requests(|status| match filed {
                        FilingOutcome::Kept | FilingOutcome::Known(_) => status.taken += 1,
                        FilingOutcome::Contradicts(_) => status.unfit += 1,
                    });
                }
                Err(reason) => {
                    parts.store.refuse_row(number, &reason).await?;
                    parts.registry.requests(|status| status.unfit += 1);
                }
            }
        }
        if last {
            break;
        }
    }
    Ok(())
}

/// Publishes recorded requests that are not at the exchange yet, several in parallel.
pub(super) async fn publish(parts: &RequesterParts, stop: &CancellationToken) -> Result<(), StepError> {
    while !stop.is_cancelled() {
        let kept = parts.store.unpublished(&parts.recipient, AT_ONCE).await?;
        let last = kept.len() < AT_ONCE as usize;
        let mut published = stream::iter(kept)
            .map(|one| async move { (file(parts, &one).await, one) })
            .buffered(16);
        let mut failure = None;
        while let Some((filed, one)) = published.next().await {
            let filed = match filed {
                Ok(filed) => filed,
                // The others are published regardless.
                Err(error) => {
                    failure = Some(error);
                    continue;
                }
            };
            let noted = match filed {
                FilingResult::Exchange(at) => {
                    parts.registry.requests(|status| status.filed += 1);
                    parts.store.mark_published(&parts.recipient, &one.id, at).await
                }
                FilingResult::Nowhere(reason) => {
                    tracing::error!(id = %one.id, reason, "the exchange refuses a request");
                    parts.registry.requests(|status| status.not_filed += 1);
                    parts
                        .store
                        .mark_not_filed(&parts.recipient, &one.id, &reason)
                        .await
                }
            };
            noted?;
        }
        match failure {
            Some(error) => return Err(error),
            None if last => break,
            None => {}
        }
    }
    Ok(())
}

/// The result of publishing a request.
enum FilingResult {
    /// The exchange stores it since this time.
    Exchange(Timestamp),
    /// The exchange refuses it permanently.
    Nowhere(String),
}

async fn file(parts: &RequesterParts, one: &Unpublished) -> Result<FilingResult, StepError> {
    let bytes = Bytes::from(one.bytes.clone());
    let filing = parts.exchange.file_request(&parts.recipient, &one.id, bytes);
    match trace::file(&parts.recipient, filing).await {
        // An acknowledgement contains no time; it was stored just now.
        Ok(Published::Done { .. }) => Ok(FilingResult::Exchange(Timestamp::now())),
        Ok(Published::Exists(stored)) => Ok(known(&stored, one)),
        Err(error) if error.kind == ErrorKind::TooLarge => Ok(FilingResult::Nowhere(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

/// Compares the stored request. The same bytes mean a lost acknowledgement; other bytes come from another filer.
fn known(stored: &Stored, one: &Unpublished) -> FilingResult {
    if stored.bytes == one.bytes {
        return FilingResult::Exchange(stored.stored_at);
    }
    FilingResult::Nowhere(
        "another request is at the exchange under this id; file it again with another idempotency key"
            .to_owned(),
    )
}
