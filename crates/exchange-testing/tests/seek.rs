//! `exchange::seek` over the exchange in memory. The test is here because `exchange` itself cannot use that exchange in its unit tests.
#![allow(clippy::unwrap_used, reason = "a test fails there and then")]

use bytes::Bytes;
use exchange::seek::find_chunk;
use exchange::{FeedExchange, Published, Result};
use exchange_testing::memory::Memory;
use schemas::name::{FeedName, Lane, RecipientName};

#[tokio::test]
async fn seek_in_a_lane_without_chunks_returns_none() -> Result<()> {
    let recipient = RecipientName::new("insurer-a").unwrap();
    let exchange = Memory::new(std::slice::from_ref(&recipient));
    let lane = Lane {
        recipient,
        feed: FeedName::new("setl").unwrap(),
    };
    assert_eq!(find_chunk(&exchange, &lane, (1, 1)).await?, None);
    // A message that is not a chunk is skipped.
    let published = exchange
        .publish_chunk(&lane, Bytes::from_static(b"no chunk"), 0)
        .await?;
    assert!(matches!(published, Published::Done { .. }));
    assert_eq!(find_chunk(&exchange, &lane, (1, 1)).await?, None);
    Ok(())
}
