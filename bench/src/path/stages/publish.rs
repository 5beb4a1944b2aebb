//! Publishing: sealed chunks onto a fresh lane, each by compare-and-set, one in flight, every one
//! of them fsynced by the exchange before the next is sent.

use std::time::{Duration, Instant};

use exchange::{Exchange, Published};
use schemas::name::{FeedName, Lane, RecipientName};

use super::Freight;
use crate::Outcome;
use crate::rig::{ASIDE, Rig};

/// Publishes all chunks.
pub(super) async fn run(rig: &Rig, freight: &Freight, round: usize) -> Outcome<Duration> {
    let lane = Lane {
        recipient: RecipientName::new(ASIDE)?,
        feed: FeedName::new(format!("setl-{round}"))?,
    };
    let bureau = rig.bureau().await?;
    let began = Instant::now();
    let mut expected = 0;
    for chunk in &freight.chunks {
        match bureau.publish_chunk(&lane, chunk.clone(), expected).await? {
            Published::Done { sequence } => expected = sequence,
            Published::Conflict => return Err(format!("somebody else writes on {lane}").into()),
        }
    }
    let took = began.elapsed();
    bureau.close().await;
    Ok(took)
}
