//! Publishes signed chunks to a fresh lane, each by compare-and-set, one in flight, each fsynced by the exchange before
//! the next is sent.

use std::time::{Duration, Instant};

use exchange::{Exchange, FeedExchange, Published};
use schemas::name::{FeedName, Lane, RecipientName};

use super::Payload;
use crate::Outcome;
use crate::rig::{Rig, UNPOLLED_RECIPIENT};

/// Publishes all chunks.
pub(super) async fn run(rig: &Rig, payload: &Payload, round: usize) -> Outcome<Duration> {
    let lane = Lane {
        recipient: RecipientName::new(UNPOLLED_RECIPIENT)?,
        feed: FeedName::new(format!("setl-{round}"))?,
    };
    let bureau = rig.bureau().await?;
    let began = Instant::now();
    let mut expected = 0;
    for chunk in &payload.chunks {
        match bureau.publish_chunk(&lane, chunk.clone(), expected).await? {
            Published::Done { sequence } => expected = sequence,
            Published::Conflict => return Err(format!("another publisher writes to {lane}").into()),
        }
    }
    let took = began.elapsed();
    bureau.close().await;
    Ok(took)
}
