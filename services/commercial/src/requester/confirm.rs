//! Publishes signed confirmations. They are built from stored replies, so a crash loses none.

use bytes::Bytes;
use exchange::{ErrorKind, Filed};
use futures_util::StreamExt as _;
use futures_util::stream;
use jiff::Timestamp;
use schemas::confirm::Confirm;
use schemas::envelope::Envelope;
use store::requests::UnconfirmedReply;
use tokio_util::sync::CancellationToken;

use super::{AT_ONCE, RequesterParts};
use crate::error::StepError;

/// Confirms stored replies that were not confirmed yet.
pub(super) async fn publish(parts: &RequesterParts, stop: &CancellationToken) -> Result<(), StepError> {
    while !stop.is_cancelled() {
        let due = parts.store.unconfirmed_replies(&parts.recipient, AT_ONCE).await?;
        let last = due.len() < AT_ONCE as usize;
        let mut published = stream::iter(due)
            .map(|due| async move { (confirm(parts, &due).await, due) })
            .buffered(16);
        let mut failure = None;
        while let Some((at, due)) = published.next().await {
            let at = match at {
                Ok(at) => at,
                // The others are confirmed regardless.
                Err(error) => {
                    failure = Some(error);
                    continue;
                }
            };
            parts
                .store
                .mark_confirmed(&parts.recipient, &due.id, &due.reply, at)
                .await?;
            parts.registry.requests(|status| status.confirmed += 1);
        }
        match failure {
            Some(error) => return Err(error),
            None if last => break,
            None => {}
        }
    }
    Ok(())
}

async fn confirm(parts: &RequesterParts, due: &UnconfirmedReply) -> Result<Timestamp, StepError> {
    let confirm = Confirm {
        id: due.id.clone(),
        recipient: parts.recipient.clone(),
        reply: due.reply,
        rows: due.rows,
        quarantined: due.quarantined,
        delivered_at: due.delivered_at,
        stored_at: due.stored_at,
        key: parts.key.public().clone(),
    };
    let bytes = Envelope::sign(&confirm, Vec::new(), &parts.key).and_then(|envelope| envelope.encode())?;
    let bytes = Bytes::from(bytes);
    let mut filed = parts
        .exchange
        .confirm(&parts.recipient, &due.id, bytes.clone())
        .await;
    if filed
        .as_ref()
        .is_err_and(|error| error.kind == ErrorKind::Unknown)
    {
        // It may be published already: the retry shows it.
        filed = parts.exchange.confirm(&parts.recipient, &due.id, bytes).await;
    }
    match filed? {
        Filed::Done { .. } => Ok(Timestamp::now()),
        // Another requester was faster.
        Filed::Exists(stored) => Ok(stored.stored_at),
    }
}
