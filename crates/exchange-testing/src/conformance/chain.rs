//! Compare-and-set of chained messages.

use bytes::Bytes;
use schemas::body::MAX_MESSAGE_BYTES;
use schemas::name::{Lane, PartyName};

use super::{Failure, Outcome, Parties, ensure, ensure_equal, require, source};
use exchange::error::ErrorKind;
use exchange::outcome::Published;
use exchange::port::{ReadFrom, Sequence, Stream};

const A: Bytes = Bytes::from_static(b"a");
const B: Bytes = Bytes::from_static(b"b");

fn done(what: &str, published: Published) -> Result<Sequence, Failure> {
    match published {
        Published::Done { sequence } => Ok(sequence),
        Published::Conflict => Err(Failure(format!("{what}: a conflict"))),
    }
}

async fn chunk(
    parties: &Parties,
    lane: &Lane,
    bytes: Bytes,
    expected: Sequence,
) -> Result<Sequence, Failure> {
    done(
        "a chunk with the right expected sequence",
        parties.bureau.publish_chunk(lane, bytes, expected).await?,
    )
}

pub(super) async fn empty_is_zero(parties: &Parties) -> Outcome {
    let lane = parties.lane("chain-empty")?;
    ensure_equal("an empty lane", &parties.bureau.last_chunk(&lane).await?, &None)?;
    ensure_equal(
        "the leader's sequence",
        &parties.bureau.leader_sequence(&lane).await?,
        &0,
    )?;
    let early = parties.bureau.publish_chunk(&lane, A, 1).await?;
    ensure_equal("expecting 1 on an empty lane", &early, &Published::Conflict)?;
    ensure_equal(
        "after the conflict",
        &parties.bureau.last_chunk(&lane).await?,
        &None,
    )?;
    let sequence = chunk(parties, &lane, A, 0).await?;
    let last = require("the chunk", parties.bureau.last_chunk(&lane).await?)?;
    ensure_equal("its sequence", &last.sequence, &sequence)?;
    ensure_equal(
        "the leader's sequence",
        &parties.bureau.leader_sequence(&lane).await?,
        &sequence,
    )?;
    ensure_equal("its bytes", &last.bytes, &A)?;
    ensure_equal("its subject", &last.subject, &format!("data.{lane}"))
}

pub(super) async fn exact_sequence(parties: &Parties) -> Outcome {
    let lane = parties.lane("chain-exact")?;
    let first = chunk(parties, &lane, A, 0).await?;
    for wrong in [0, first - 1, first + 1, u64::MAX] {
        let refused = parties.bureau.publish_chunk(&lane, B, wrong).await?;
        ensure_equal(
            &format!("expecting {wrong} after {first}"),
            &refused,
            &Published::Conflict,
        )?;
    }
    let second = chunk(parties, &lane, B, first).await?;
    ensure(second > first, format_args!("{second} is not above {first}"))?;
    let last = require("the last", parties.bureau.last_chunk(&lane).await?)?;
    ensure_equal("the last", &last.bytes, &B)
}

/// Discards the acknowledgement, as if it had been lost.
pub(super) async fn lost_acknowledgement(parties: &Parties) -> Outcome {
    let lane = parties.lane("chain-lost-ack")?;
    let before = chunk(parties, &lane, A, 0).await?;
    let _lost = parties.bureau.publish_chunk(&lane, B, before).await?;
    let again = parties.bureau.publish_chunk(&lane, B, before).await?;
    ensure_equal("sending it again", &again, &Published::Conflict)?;
    let last = require("the last", parties.bureau.last_chunk(&lane).await?)?;
    ensure_equal("the bytes that were in flight", &last.bytes, &B)?;
    chunk(parties, &lane, A, last.sequence).await.map(|_| ())
}

pub(super) async fn one_wins(parties: &Parties) -> Outcome {
    let lane = parties.lane("chain-race")?;
    let (one, other) = tokio::join!(
        parties.bureau.publish_chunk(&lane, A, 0),
        parties.bureau.publish_chunk(&lane, B, 0)
    );
    let (one, other) = (one?, other?);
    let winners = [one, other]
        .iter()
        .filter(|outcome| matches!(outcome, Published::Done { .. }))
        .count();
    ensure_equal("writers that won", &winners, &1)?;
    let last = require("the winner's", parties.bureau.last_chunk(&lane).await?)?;
    let winner = if one == Published::Conflict { B } else { A };
    ensure_equal("the winner's bytes", &last.bytes, &winner)
}

pub(super) async fn lanes_apart(parties: &Parties) -> Outcome {
    let (one, other) = (parties.lane("chain-one")?, parties.lane("chain-other")?);
    let first = chunk(parties, &one, A, 0).await?;
    chunk(parties, &other, B, 0).await?;
    chunk(parties, &one, B, first).await.map(|_| ())
}

pub(super) async fn receipts(parties: &Parties) -> Outcome {
    let lane = parties.lane("chain-receipts")?;
    let recipient = &parties.recipient;
    let first = done("the first", recipient.publish_receipt(&lane, A, 0).await?)?;
    ensure_equal(
        "a stale one",
        &recipient.publish_receipt(&lane, B, 0).await?,
        &Published::Conflict,
    )?;
    done("the second", recipient.publish_receipt(&lane, B, first).await?)?;
    for party in [&parties.recipient, &parties.bureau] {
        ensure_equal(
            "the last receipt",
            &require("a receipt", party.last_receipt(&lane).await?)?.bytes,
            &B,
        )?;
    }
    let lanes = recipient.receipted_lanes(&parties.name).await?;
    ensure(
        lanes.iter().filter(|listed| **listed == lane).count() == 1 && lanes.is_sorted(),
        "the lanes with a receipt are not listed",
    )?;
    let without = parties.lane("chain-no-receipt")?;
    ensure(!lanes.contains(&without), "a lane without a receipt is listed")
}

pub(super) async fn lease(parties: &Parties) -> Outcome {
    let (source, bureau) = (source("conformance-core")?, &parties.bureau);
    ensure_equal("no lease", &bureau.lease(&source).await?, &None)?;
    let first = done("taking it", bureau.write_lease(&source, A, 0).await?)?;
    ensure_equal(
        "taking it again",
        &bureau.write_lease(&source, B, 0).await?,
        &Published::Conflict,
    )?;
    let second = done("renewing it", bureau.write_lease(&source, B, first).await?)?;
    ensure_equal(
        "a stale renewal",
        &bureau.write_lease(&source, A, first).await?,
        &Published::Conflict,
    )?;
    let stored = require("the lease", bureau.lease(&source).await?)?;
    ensure_equal("the record", &(stored.sequence, stored.bytes), &(second, B))
}

pub(super) async fn audit(parties: &Parties) -> Outcome {
    let (party, bureau) = (&parties.bureau_name, &parties.bureau);
    let writer = PartyName::new("conformance")?;
    ensure_equal("no entry", &bureau.last_audit(party, &writer).await?, &None)?;
    let first = done("the first", bureau.publish_audit(party, &writer, A, 0).await?)?;
    ensure_equal(
        "a stale one",
        &bureau.publish_audit(party, &writer, B, 0).await?,
        &Published::Conflict,
    )?;
    done(
        "the second",
        bureau.publish_audit(party, &writer, B, first).await?,
    )?;
    ensure_equal(
        "the last",
        &require("an entry", bureau.last_audit(party, &writer).await?)?.bytes,
        &B,
    )
}

pub(super) async fn control(parties: &Parties) -> Outcome {
    let (party, bureau) = (&parties.bureau_name, &parties.bureau);
    let last = bureau.last_control(party).await?.map_or(0, |last| last.sequence);
    let first = done("the first", bureau.publish_control(party, A, last).await?)?;
    ensure_equal(
        "a stale one",
        &bureau.publish_control(party, B, last).await?,
        &Published::Conflict,
    )?;
    let second = done("the second", bureau.publish_control(party, B, first).await?)?;
    let stored = require("the orders", bureau.last_control(party).await?)?;
    ensure_equal("the last", &(stored.sequence, stored.bytes), &(second, B))?;
    let subject = format!("control.{party}");
    ensure_equal("its subject", &stored.subject, &subject)?;
    let read = bureau
        .read(Stream::Control, ReadFrom::Sequence(first), &subject, 10)
        .await?;
    let read: Vec<Sequence> = read.iter().map(|message| message.sequence).collect();
    ensure_equal("the orders in order", &read, &vec![first, second])
}

pub(super) async fn sizes(parties: &Parties) -> Outcome {
    let lane = parties.lane("chain-sizes")?;
    let message = |length: usize| Bytes::from(vec![7; length]);
    match parties
        .bureau
        .publish_chunk(&lane, message(MAX_MESSAGE_BYTES * 2), 0)
        .await
    {
        Err(error) => ensure_equal("the error", &error.kind, &ErrorKind::TooLarge)?,
        Ok(outcome) => return Err(Failure(format!("twice the largest size returned {outcome:?}"))),
    }
    chunk(parties, &lane, message(MAX_MESSAGE_BYTES), 0).await?;
    let last = require("the largest", parties.bureau.last_chunk(&lane).await?)?;
    ensure(
        last.bytes == message(MAX_MESSAGE_BYTES),
        "the largest message was altered",
    )
}
