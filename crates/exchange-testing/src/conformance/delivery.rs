//! Fetching and settling.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use schemas::name::RecipientName;
use tokio::time::{Instant, sleep, timeout};

use super::{Failure, Outcome, Parties, ensure, ensure_equal, require};
use exchange::delivery::{Delivery, Settlement};
use exchange::error::ErrorKind;
use exchange::outcome::Published;

/// Maximum time of a redelivery.
const REDELIVERY_TIMEOUT: Duration = Duration::from_secs(15);

/// Maximum time of an error that needs no timeout.
const ERROR_TIMEOUT: Duration = Duration::from_secs(60);

/// Publishes chunks "0", "1", … on a separate lane and returns its subject.
async fn publish(parties: &Parties, feed: &str, count: usize) -> Result<String, Failure> {
    let lane = parties.lane(feed)?;
    let mut expected = 0;
    for number in 0..count {
        match parties
            .bureau
            .publish_chunk(&lane, Bytes::from(number.to_string()), expected)
            .await?
        {
            Published::Done { sequence } => expected = sequence,
            Published::Conflict => return Err(Failure(format!("{feed} is not empty"))),
        }
    }
    Ok(format!("data.{lane}"))
}

/// Settles the deliveries of other checks.
async fn clear(parties: &Parties) -> Outcome {
    drain(parties).await.map(|_| ())
}

/// Fetches and settles until the exchange has no delivery left.
async fn drain(parties: &Parties) -> Result<Vec<Delivery>, Failure> {
    let (recipient, name) = (&parties.recipient, &parties.name);
    let mut all = Vec::new();
    let end = Instant::now() + REDELIVERY_TIMEOUT;
    loop {
        let fetched = recipient.fetch_chunks(name, 100).await?;
        if fetched.is_empty() && recipient.is_drained(name).await? {
            return Ok(all);
        }
        ensure(Instant::now() < end, "fetching did not complete")?;
        recipient.settle(&fetched, Settlement::Ack).await?;
        all.extend(fetched);
    }
}

/// Fetches until a delivery of this subject is received.
async fn next(parties: &Parties, subject: &str) -> Result<Delivery, Failure> {
    let end = Instant::now() + REDELIVERY_TIMEOUT;
    loop {
        let fetched = parties.recipient.fetch_chunks(&parties.name, 10).await?;
        if let Some(found) = fetched.into_iter().find(|delivery| delivery.subject == subject) {
            return Ok(found);
        }
        ensure(
            Instant::now() < end,
            format_args!("no delivery on {subject} within {REDELIVERY_TIMEOUT:?}"),
        )?;
        sleep(Duration::from_millis(20)).await;
    }
}

pub(super) async fn settled(parties: &Parties) -> Outcome {
    clear(parties).await?;
    let subject = publish(parties, "delivery-settled", 1).await?;
    ensure(
        !parties.recipient.is_drained(&parties.name).await?,
        "drained while a chunk waits",
    )?;
    let delivery = next(parties, &subject).await?;
    ensure_equal("its bytes", &delivery.bytes, &Bytes::from_static(b"0"))?;
    ensure_equal("its attempt", &delivery.attempt, &1)?;
    let stored = require(
        "the chunk",
        parties
            .bureau
            .last_chunk(&parties.lane("delivery-settled")?)
            .await?,
    )?;
    ensure_equal(
        "its sequence and time",
        &(delivery.sequence, delivery.stored_at),
        &(stored.sequence, stored.stored_at),
    )?;
    parties.recipient.settle(&[delivery], Settlement::Ack).await?;
    ensure_equal("what is left", &drain(parties).await?.len(), &0)
}

pub(super) async fn nak(parties: &Parties) -> Outcome {
    clear(parties).await?;
    let subject = publish(parties, "delivery-later", 1).await?;
    for attempt in 1..=3 {
        let delivery = next(parties, &subject).await?;
        ensure_equal("the attempt", &delivery.attempt, &attempt)?;
        let settlement = Settlement::Nak(Duration::from_millis(if attempt == 3 { 0 } else { 50 }));
        parties.recipient.settle(&[delivery], settlement).await?;
    }
    let last = next(parties, &subject).await?;
    parties.recipient.settle(&[last], Settlement::Ack).await?;
    Ok(())
}

pub(super) async fn twice(parties: &Parties) -> Outcome {
    clear(parties).await?;
    let subject = publish(parties, "delivery-twice", 1).await?;
    let delivery = [next(parties, &subject).await?];
    parties.recipient.settle(&delivery, Settlement::Ack).await?;
    parties.recipient.settle(&delivery, Settlement::Ack).await?;
    parties
        .recipient
        .settle(&delivery, Settlement::Nak(Duration::ZERO))
        .await?;
    ensure_equal("redeliveries", &drain(parties).await?.len(), &0)
}

pub(super) async fn drains(parties: &Parties) -> Outcome {
    const COUNT: usize = 25;
    clear(parties).await?;
    publish(parties, "delivery-drains", COUNT).await?;
    let fetched = parties.recipient.fetch_chunks(&parties.name, 10).await?;
    ensure(
        (1..=10).contains(&fetched.len()),
        format_args!("asked for 10, got {}", fetched.len()),
    )?;
    parties.recipient.settle(&fetched, Settlement::Ack).await?;
    let mut seen: BTreeSet<Bytes> = fetched.into_iter().map(|delivery| delivery.bytes).collect();
    for delivery in drain(parties).await? {
        ensure(seen.insert(delivery.bytes), "a settled chunk was redelivered")?;
    }
    ensure_equal("different chunks", &seen.len(), &COUNT)?;
    ensure_equal(
        "after the last",
        &parties.recipient.fetch_chunks(&parties.name, 10).await?.len(),
        &0,
    )
}

pub(super) async fn unknown_recipient(parties: &Parties) -> Outcome {
    let unknown = RecipientName::new("unknown")?;
    // The transport's own timeout is far longer, so this proves that the error is not a timeout.
    let fetched = timeout(ERROR_TIMEOUT, parties.recipient.fetch_chunks(&unknown, 1)).await;
    let fetched = fetched.map_err(|_| Failure("the error took as long as a timeout".to_owned()))?;
    match fetched {
        Ok(chunks) => Err(Failure(format!(
            "an unknown recipient received {} chunks",
            chunks.len()
        ))),
        Err(error) => ensure(
            matches!(error.kind, ErrorKind::Topology | ErrorKind::Denied),
            format_args!("an unknown recipient is {:?}: {error}", error.kind),
        ),
    }
}
