//! Fetching and settling.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use schemas::name::RecipientName;
use tokio::time::{Instant, sleep, timeout};

use super::{Failure, Outcome, Parties, ensure, same, there};
use crate::delivery::{Delivery, Settlement};
use crate::error::ErrorKind;
use crate::outcome::Published;

/// How long a delivery may take to come again.
const SOON: Duration = Duration::from_secs(15);

/// How long an error may take that is known at once.
const AT_ONCE: Duration = Duration::from_secs(60);

/// Publishes chunks "0", "1", … on a lane of their own.
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

/// Settles whatever other checks left, so that what comes next is this check's own.
async fn clear(parties: &Parties) -> Outcome {
    drain(parties).await.map(|_| ())
}

/// Fetches and settles until nothing is left.
async fn drain(parties: &Parties) -> Result<Vec<Delivery>, Failure> {
    let (recipient, name) = (&parties.recipient, &parties.name);
    let mut all = Vec::new();
    let end = Instant::now() + SOON;
    loop {
        let some = recipient.fetch_chunks(name, 100).await?;
        if some.is_empty() && recipient.drained(name).await? {
            return Ok(all);
        }
        ensure(Instant::now() < end, "fetching never drained")?;
        recipient.settle(&some, Settlement::Done).await?;
        all.extend(some);
    }
}

/// Fetches until a delivery of this subject comes.
async fn next(parties: &Parties, subject: &str) -> Result<Delivery, Failure> {
    let end = Instant::now() + SOON;
    loop {
        let some = parties.recipient.fetch_chunks(&parties.name, 10).await?;
        if let Some(found) = some.into_iter().find(|delivery| delivery.subject == subject) {
            return Ok(found);
        }
        ensure(
            Instant::now() < end,
            format_args!("nothing came on {subject} within {SOON:?}"),
        )?;
        sleep(Duration::from_millis(20)).await;
    }
}

pub(super) async fn settled(parties: &Parties) -> Outcome {
    clear(parties).await?;
    let subject = publish(parties, "delivery-settled", 1).await?;
    ensure(
        !parties.recipient.drained(&parties.name).await?,
        "drained while a chunk waits",
    )?;
    let delivery = next(parties, &subject).await?;
    same("its bytes", &delivery.bytes, &Bytes::from_static(b"0"))?;
    same("its attempt", &delivery.attempt, &1)?;
    let kept = there(
        "the chunk",
        parties
            .bureau
            .last_chunk(&parties.lane("delivery-settled")?)
            .await?,
    )?;
    same(
        "its place",
        &(delivery.sequence, delivery.stored_at),
        &(kept.sequence, kept.stored_at),
    )?;
    parties.recipient.settle(&[delivery], Settlement::Done).await?;
    same("what is left", &drain(parties).await?.len(), &0)
}

pub(super) async fn put_off(parties: &Parties) -> Outcome {
    clear(parties).await?;
    let subject = publish(parties, "delivery-later", 1).await?;
    for attempt in 1..=3 {
        let delivery = next(parties, &subject).await?;
        same("the attempt", &delivery.attempt, &attempt)?;
        let how = Settlement::Later(Duration::from_millis(if attempt == 3 { 0 } else { 50 }));
        parties.recipient.settle(&[delivery], how).await?;
    }
    let last = next(parties, &subject).await?;
    parties.recipient.settle(&[last], Settlement::Done).await?;
    Ok(())
}

pub(super) async fn twice(parties: &Parties) -> Outcome {
    clear(parties).await?;
    let subject = publish(parties, "delivery-twice", 1).await?;
    let delivery = [next(parties, &subject).await?];
    parties.recipient.settle(&delivery, Settlement::Done).await?;
    parties.recipient.settle(&delivery, Settlement::Done).await?;
    parties
        .recipient
        .settle(&delivery, Settlement::Later(Duration::ZERO))
        .await?;
    same("what came again", &drain(parties).await?.len(), &0)
}

pub(super) async fn drains(parties: &Parties) -> Outcome {
    const COUNT: usize = 25;
    clear(parties).await?;
    publish(parties, "delivery-drains", COUNT).await?;
    let some = parties.recipient.fetch_chunks(&parties.name, 10).await?;
    ensure(
        (1..=10).contains(&some.len()),
        format_args!("asked for 10, got {}", some.len()),
    )?;
    parties.recipient.settle(&some, Settlement::Done).await?;
    let mut seen: BTreeSet<Bytes> = some.into_iter().map(|delivery| delivery.bytes).collect();
    for delivery in drain(parties).await? {
        ensure(seen.insert(delivery.bytes), "a settled chunk came again")?;
    }
    same("different chunks", &seen.len(), &COUNT)?;
    same(
        "after the last",
        &parties.recipient.fetch_chunks(&parties.name, 10).await?.len(),
        &0,
    )
}

pub(super) async fn unknown_recipient(parties: &Parties) -> Outcome {
    let nobody = RecipientName::new("nobody")?;
    // What is tested waits for an answer for far longer: no timeout is turned into an error.
    let fetched = timeout(AT_ONCE, parties.recipient.fetch_chunks(&nobody, 1)).await;
    let fetched = fetched.map_err(|_| Failure("the error took its time, as a timeout does".to_owned()))?;
    match fetched {
        Ok(some) => Err(Failure(format!("nobody was handed {} chunks", some.len()))),
        Err(error) => ensure(
            matches!(error.kind, ErrorKind::Topology | ErrorKind::Denied),
            format_args!("an unknown recipient is {:?}: {error}", error.kind),
        ),
    }
}
