//! Opens and stores chunks that were read from the stream without the durable consumer: a refill and a rebuilt store use it.
//!
//! The chunks take the same way as those of a poller: [`open`] and [`Store::store`].

use std::time::Duration;

use exchange::{Delivery, Stored};
use runtime::backoff::Backoff;
use schemas::encryption::DecryptionKeys;
use schemas::name::Lane;
use schemas::origin::Origin;
use schemas::sign::PublicKey;
use store::{Arrival, ErrorKind, Outcome, Store};

use crate::open::{Opened, open};

/// How often a transaction is retried while a poller holds a lock that it needs.
const MAX_CONTENDED: u32 = 8;
const CONTENDED_BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));

/// What opens a chunk.
#[derive(Debug, Clone)]
pub struct ChunkTrust {
    /// Public keys whose chunks are stored.
    pub trusted: Vec<PublicKey>,
    /// The origin that chunks must have.
    pub here: Origin,
    /// The keys that open encrypted chunks.
    pub decryption_keys: DecryptionKeys,
}

/// Opening chunks ended early, because the process ends.
#[derive(Debug, Clone, thiserror::Error)]
#[error("opening chunks ended early: {0}")]
pub struct OpeningEnded(pub String);

/// Opens messages on a blocking thread, because it costs CPU.
///
/// # Errors
/// [`OpeningEnded`].
pub async fn open_all(messages: Vec<Stored>, trust: &ChunkTrust) -> Result<Vec<Opened>, OpeningEnded> {
    let trust = trust.clone();
    let opening = tokio::task::spawn_blocking(move || {
        let delivery = |stored: Stored| Delivery {
            subject: stored.subject,
            sequence: stored.sequence,
            stored_at: stored.stored_at,
            attempt: 1,
            trace: stored.trace,
            bytes: stored.bytes,
            token: String::new(),
        };
        messages
            .into_iter()
            .map(|stored| {
                open(
                    &delivery(stored),
                    &trust.trusted,
                    &trust.here,
                    &trust.decryption_keys,
                )
            })
            .collect()
    });
    opening.await.map_err(|error| OpeningEnded(error.to_string()))
}

/// Stores chunks of a lane. Deferred chunks are stored once the frontier has moved.
///
/// # Errors
/// Those of the store.
pub async fn store_all(store: &dyn Store, lane: &Lane, arrivals: &[Arrival]) -> store::Result<Vec<Outcome>> {
    let mut outcomes = store_patiently(store, lane, arrivals).await?;
    let waits = |outcome: &Outcome| matches!(outcome, Outcome::Deferred { .. });
    if outcomes.iter().any(waits) {
        store.reports().await?;
        for (outcome, again) in outcomes
            .iter_mut()
            .zip(store_patiently(store, lane, arrivals).await?)
        {
            if waits(outcome) {
                *outcome = again;
            }
        }
    }
    Ok(outcomes)
}

async fn store_patiently(
    store: &dyn Store,
    lane: &Lane,
    arrivals: &[Arrival],
) -> store::Result<Vec<Outcome>> {
    let mut failures = 0;
    loop {
        match store.store(lane, arrivals).await {
            Err(error) if error.kind == ErrorKind::Contended && failures < MAX_CONTENDED => {
                failures += 1;
                tokio::time::sleep(CONTENDED_BACKOFF.delay(failures, rand::random())).await;
            }
            done => return done,
        }
    }
}
