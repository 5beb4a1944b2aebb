//! Publish-once subjects: requests, cancels, replies.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep};

use super::{Failure, Outcome, Parties, ensure, ensure_equal, ensure_exists, filed, id, require};
use exchange::delivery::Settlement;
use exchange::outcome::Filed;
use exchange::port::Sequence;

const A: Bytes = Bytes::from_static(b"a");
const B: Bytes = Bytes::from_static(b"b");

pub(super) async fn request_once(parties: &Parties) -> Outcome {
    let (recipient, name, id) = (&parties.recipient, &parties.name, id("requestonce")?);
    let sequence = filed("the first", &recipient.file_request(name, &id, A).await?)?;
    ensure_exists(
        "the same again",
        recipient.file_request(name, &id, A).await?,
        sequence,
        &A,
    )?;
    ensure_exists(
        "another one",
        recipient.file_request(name, &id, B).await?,
        sequence,
        &A,
    )?;
    let (request, reply) = recipient.request_status(name, &id).await?;
    ensure_equal("the request", &require("the request", request)?.bytes, &A)?;
    ensure_equal("the reply", &reply, &None)
}

pub(super) async fn cancel_once(parties: &Parties) -> Outcome {
    let (recipient, name, id) = (&parties.recipient, &parties.name, id("cancelonce")?);
    ensure_equal("no cancel", &parties.bureau.cancellation(name, &id).await?, &None)?;
    let sequence = filed("the first", &recipient.cancel_request(name, &id, A).await?)?;
    ensure_exists(
        "another one",
        recipient.cancel_request(name, &id, B).await?,
        sequence,
        &A,
    )?;
    let cancel = require("the cancel", parties.bureau.cancellation(name, &id).await?)?;
    ensure_equal("the cancel", &cancel.bytes, &A)
}

pub(super) async fn one_reply(parties: &Parties) -> Outcome {
    let (bureau, name, id) = (&parties.bureau, &parties.name, id("onereplyonly")?);
    filed(
        "the request",
        &parties.recipient.file_request(name, &id, A).await?,
    )?;
    let (one, other) = tokio::join!(bureau.reply(name, &id, A), bureau.reply(name, &id, A));
    let replies = [one?, other?];
    let stored = replies
        .iter()
        .filter(|filed| matches!(filed, Filed::Done { .. }))
        .count();
    ensure_equal("replies stored of two at once", &stored, &1)?;
    let (_, reply) = parties.recipient.request_status(name, &id).await?;
    let sequence = require("the reply", reply)?.sequence;
    ensure_exists("another outcome", bureau.reply(name, &id, B).await?, sequence, &A)?;
    fetched(parties, &format!("reply.{name}.{id}")).await
}

async fn fetched(parties: &Parties, subject: &str) -> Outcome {
    let end = Instant::now() + Duration::from_secs(15);
    loop {
        let some = parties.recipient.fetch_replies(&parties.name, 10).await?;
        parties.recipient.settle(&some, Settlement::Ack).await?;
        if let Some(reply) = some.iter().find(|delivery| delivery.subject == subject) {
            return ensure_equal("the reply fetched", &reply.bytes, &A);
        }
        ensure(Instant::now() < end, "the reply was not fetched")?;
        sleep(Duration::from_millis(20)).await;
    }
}

pub(super) async fn queue(parties: &Parties) -> Outcome {
    let (bureau, recipient, name) = (&parties.bureau, &parties.recipient, &parties.name);
    let ids = [
        id("queueone1")?,
        id("queuetwo2")?,
        id("queuethree")?,
        id("queuefour4")?,
    ];
    let mut sequences = Vec::new();
    for id in &ids {
        sequences.push(filed("a request", &recipient.file_request(name, id, A).await?)?);
    }
    filed("a reply", &bureau.reply(name, &ids[1], A).await?)?;
    let open = |from, max| async move {
        let some = bureau.fetch_requests(name, from, max).await?;
        Ok::<Vec<Sequence>, Failure>(some.into_iter().map(|request| request.sequence).collect())
    };
    ensure_equal(
        "open ones",
        &open(sequences[0], 10).await?,
        &vec![sequences[0], sequences[2], sequences[3]],
    )?;
    ensure_equal(
        "the first two",
        &open(sequences[0], 2).await?,
        &vec![sequences[0], sequences[2]],
    )?;
    ensure_equal(
        "from a later sequence",
        &open(sequences[2] + 1, 10).await?,
        &vec![sequences[3]],
    )?;
    ensure_equal("asked for none", &open(sequences[0], 0).await?, &vec![])
}
