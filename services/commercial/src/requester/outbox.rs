//! Rows of the outbox become requests that are kept; kept requests go to the exchange.

use bytes::Bytes;
use exchange::{ErrorKind, Filed as Published, Stored};
use futures_util::StreamExt as _;
use futures_util::stream;
use jiff::Timestamp;
use store::requests::{Filed, Unpublished};
use tokio_util::sync::CancellationToken;

use super::filing::filing;
use super::{AT_ONCE, RequesterParts};

/// Keeps what the insurer's programs wrote. A row that makes no request is marked with its reason, and the rows
/// behind it go on.
pub(super) async fn keep(parts: &RequesterParts, stop: &CancellationToken) -> Result<(), String> {
    while !stop.is_cancelled() {
        let rows = parts
            .store
            .outbox(AT_ONCE)
            .await
            .map_err(|error| error.to_string())?;
        let last = rows.len() < AT_ONCE as usize;
        for row in rows {
            let number = row.number;
            let kept = match row.wish() {
                Err(reason) => Err(reason),
                Ok(wish) => filing(
                    wish,
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
                    let filed = parts
                        .store
                        .file(&filing)
                        .await
                        .map_err(|error| error.to_string())?;
                    parts.board.requests(|status| match filed {
                        Filed::Kept | Filed::Known(_) => status.taken += 1,
                        Filed::Contradicts(_) => status.unfit += 1,
                    });
                }
                Err(reason) => {
                    let marked = parts.store.unfit(number, &reason).await;
                    marked.map_err(|error| error.to_string())?;
                    parts.board.requests(|status| status.unfit += 1);
                }
            }
        }
        if last {
            break;
        }
    }
    Ok(())
}

/// Publishes what is kept and not at the exchange yet, some side by side.
pub(super) async fn publish(parts: &RequesterParts, stop: &CancellationToken) -> Result<(), String> {
    while !stop.is_cancelled() {
        let kept = parts.store.unpublished(&parts.recipient, AT_ONCE).await;
        let kept = kept.map_err(|error| error.to_string())?;
        let last = kept.len() < AT_ONCE as usize;
        let mut published = stream::iter(kept)
            .map(|one| async move { (file(parts, &one).await, one) })
            .buffered(16);
        let mut trouble = None;
        while let Some((filed, one)) = published.next().await {
            let filed = match filed {
                Ok(filed) => filed,
                // The others are published all the same.
                Err(error) => {
                    trouble = Some(error);
                    continue;
                }
            };
            let noted = match filed {
                At::Exchange(at) => {
                    parts.board.requests(|status| status.filed += 1);
                    parts.store.published(&parts.recipient, &one.id, at).await
                }
                At::Nowhere(reason) => {
                    tracing::error!(id = %one.id, reason, "the exchange does not take a request");
                    parts.board.requests(|status| status.not_filed += 1);
                    parts.store.not_filed(&parts.recipient, &one.id, &reason).await
                }
            };
            noted.map_err(|error| error.to_string())?;
        }
        match trouble {
            Some(error) => return Err(error),
            None if last => break,
            None => {}
        }
    }
    Ok(())
}

/// Where a request is after it was handed in.
enum At {
    /// At the exchange, since then.
    Exchange(Timestamp),
    /// Nowhere, and it never will be.
    Nowhere(String),
}

async fn file(parts: &RequesterParts, one: &Unpublished) -> Result<At, String> {
    let bytes = Bytes::from(one.bytes.clone());
    match parts
        .exchange
        .file_request(&parts.recipient, &one.id, bytes)
        .await
    {
        // An acknowledgement does not say when; it has just come.
        Ok(Published::Done { .. }) => Ok(At::Exchange(Timestamp::now())),
        Ok(Published::Already(stored)) => Ok(known(&stored, one)),
        Err(error) if error.kind == ErrorKind::TooLarge => Ok(At::Nowhere(error.to_string())),
        Err(error) => Err(error.to_string()),
    }
}

/// The same bytes are a lost acknowledgement; others were filed by somebody else.
fn known(stored: &Stored, one: &Unpublished) -> At {
    if stored.bytes == one.bytes {
        return At::Exchange(stored.stored_at);
    }
    At::Nowhere(
        "another request stands at the exchange under this id: ask again with an idempotency key of its own"
            .to_owned(),
    )
}
