//! Reading a stream in order, as the auditor does.

use bytes::Bytes;

use super::{Failure, Outcome, Parties, ensure, ensure_equal, id};
use exchange::delivery::Settlement;
use exchange::outcome::{Filed, Published, Stored};
use exchange::port::{ReadFrom, Sequence, Stream};
use schemas::name::PartyName;

/// Publishes chunks alternately on two lanes and returns their sequences.
async fn two_lanes(parties: &Parties, feeds: [&str; 2], count: usize) -> Result<[Vec<Sequence>; 2], Failure> {
    let lanes = [parties.lane(feeds[0])?, parties.lane(feeds[1])?];
    let mut sequences = [Vec::new(), Vec::new()];
    for number in 0..count {
        for (lane, sequences) in lanes.iter().zip(&mut sequences) {
            let (bytes, expected) = (
                Bytes::from(number.to_string()),
                sequences.last().copied().unwrap_or(0),
            );
            match parties.bureau.publish_chunk(lane, bytes, expected).await? {
                Published::Done { sequence } => sequences.push(sequence),
                Published::Conflict => return Err(Failure(format!("{lane} is not empty"))),
            }
        }
    }
    Ok(sequences)
}

/// Reads to the end in pages, as a caller does.
async fn all(parties: &Parties, filter: &str, page: usize) -> Result<Vec<Stored>, Failure> {
    let (mut all, mut next) = (Vec::new(), 0);
    loop {
        let some = parties
            .auditor
            .read(Stream::Data, ReadFrom::Sequence(next), filter, page)
            .await?;
        let Some(last) = some.last() else { return Ok(all) };
        ensure(some.len() <= page, "more than asked for")?;
        next = last.sequence + 1;
        all.extend(some);
    }
}

fn sequences(messages: &[Stored]) -> Vec<Sequence> {
    messages.iter().map(|message| message.sequence).collect()
}

pub(super) async fn ordered(parties: &Parties) -> Outcome {
    let [one, other] = two_lanes(parties, ["replay-one", "replay-other"], 7).await?;
    let name = &parties.name;
    let read = all(parties, &format!("data.{name}.replay-one"), 3).await?;
    ensure_equal("one lane", &sequences(&read), &one)?;
    ensure_equal("its bytes", &read[6].bytes, &Bytes::from_static(b"6"))?;
    let read = all(parties, &format!("data.{name}.*"), 4).await?;
    let both: Vec<Sequence> = sequences(&read)
        .into_iter()
        .filter(|sequence| one.contains(sequence) || other.contains(sequence))
        .collect();
    let mut expected = [one, other].concat();
    expected.sort_unstable();
    ensure_equal("both lanes, by sequence", &both, &expected)?;
    let whole = format!("data.{name}.>");
    ensure_equal(
        "all of it",
        &sequences(&all(parties, &whole, 4).await?),
        &sequences(&read),
    )?;
    let nothing = format!("data.{name}.no-such-feed");
    ensure_equal("nothing", &all(parties, &nothing, 4).await?.len(), &0)?;
    let none = parties
        .auditor
        .read(Stream::Data, ReadFrom::Sequence(0), &whole, 0)
        .await?;
    ensure_equal("none asked for", &none.len(), &0)
}

pub(super) async fn begins(parties: &Parties) -> Outcome {
    let [one, _] = two_lanes(parties, ["replay-begins", "replay-second"], 4).await?;
    let filter = format!("data.{}.replay-begins", parties.name);
    let read = |from| parties.auditor.read(Stream::Data, from, &filter, 100);
    ensure_equal(
        "from a sequence",
        &sequences(&read(ReadFrom::Sequence(one[2])).await?),
        &one[2..].to_vec(),
    )?;
    ensure_equal(
        "from one after it",
        &sequences(&read(ReadFrom::Sequence(one[2] + 1)).await?),
        &one[3..].to_vec(),
    )?;
    ensure_equal(
        "from beyond the end",
        &read(ReadFrom::Sequence(u64::MAX / 2)).await?.len(),
        &0,
    )?;
    let chunks = read(ReadFrom::Sequence(0)).await?;
    ensure_equal(
        "from a time",
        &sequences(&read(ReadFrom::Time(chunks[1].stored_at)).await?),
        &one[1..].to_vec(),
    )?;
    let later = chunks[3].stored_at + jiff::SignedDuration::from_hours(1);
    ensure_equal("from the future", &read(ReadFrom::Time(later)).await?.len(), &0)
}

/// Every lane with a message is listed once, to each party that may read its chunks.
pub(super) async fn lanes(parties: &Parties) -> Outcome {
    let feeds = ["replay-listed-a", "replay-listed-b"];
    two_lanes(parties, feeds, 3).await?;
    for reader in [&parties.recipient, &parties.bureau, &parties.auditor] {
        let listed = reader.lanes(&parties.name).await?;
        ensure(listed.is_sorted(), "the lanes are not sorted")?;
        for feed in feeds {
            let lane = parties.lane(feed)?;
            let times = listed.iter().filter(|listed| **listed == lane).count();
            ensure_equal("times that a lane is listed", &times, &1)?;
        }
    }
    Ok(())
}

/// Recipient and bureau read settled chunks again, without a redelivery.
pub(super) async fn again(parties: &Parties) -> Outcome {
    let [one, _] = two_lanes(parties, ["replay-again", "replay-apart"], 3).await?;
    let filter = format!("data.{}.replay-again", parties.name);
    loop {
        let some = parties.recipient.fetch_chunks(&parties.name, 100).await?;
        if some.is_empty() {
            break;
        }
        parties.recipient.settle(&some, Settlement::Ack).await?;
    }
    for reader in [&parties.recipient, &parties.bureau] {
        let read = reader
            .read(Stream::Data, ReadFrom::Sequence(one[1]), &filter, 10)
            .await?;
        ensure_equal("from the second on", &sequences(&read), &one[1..].to_vec())?;
    }
    let delivered = parties.recipient.fetch_chunks(&parties.name, 100).await?;
    ensure_equal("deliveries", &delivered.len(), &0)?;
    let request = id("readagain")?;
    let confirm = parties
        .recipient
        .confirm(&parties.name, &request, Bytes::from_static(b"c"));
    ensure(
        matches!(confirm.await?, Filed::Done { .. }),
        "it was confirmed already",
    )?;
    let filter = format!("confirm.{}.*", parties.name);
    let read = parties
        .recipient
        .read(Stream::Confirms, ReadFrom::Sequence(0), &filter, 1_000)
        .await?;
    let subject = format!("confirm.{}.{request}", parties.name);
    ensure(
        read.iter().any(|stored| stored.subject == subject),
        "a confirmation is not read",
    )
}

/// Messages between the matching ones are skipped like a gap.
pub(super) async fn gaps(parties: &Parties) -> Outcome {
    let mut filed = Vec::new();
    for token in ["gapsaaaa", "gapsbbbb", "gapscccc"] {
        match parties
            .recipient
            .file_request(&parties.name, &id(token)?, Bytes::from_static(b"g"))
            .await?
        {
            Filed::Done { sequence } => filed.push(sequence),
            Filed::Exists(_) => return Err(Failure(format!("{token} was filed already"))),
        }
    }
    let filter = format!("request.{}.{}", parties.name, id("gapscccc")?);
    let read = parties
        .auditor
        .read(Stream::Requests, ReadFrom::Sequence(filed[0]), &filter, 10)
        .await?;
    ensure_equal(
        "after those that do not match",
        &sequences(&read),
        &filed[2..].to_vec(),
    )
}

/// The writer and the auditor see how a stream grows.
pub(super) async fn state(parties: &Parties) -> Outcome {
    let party = PartyName::new(parties.name.as_str())?;
    let before = parties.recipient.stream_state(Stream::Requests, &party).await?;
    let bytes = Bytes::from_static(b"state");
    let filed = parties
        .recipient
        .file_request(&parties.name, &id("statestate")?, bytes)
        .await?;
    let Filed::Done { sequence } = filed else {
        return Err(Failure("it was filed already".to_owned()));
    };
    for reader in [&parties.recipient, &parties.auditor] {
        let after = reader.stream_state(Stream::Requests, &party).await?;
        ensure_equal("messages", &after.messages, &(before.messages + 1))?;
        ensure_equal("the last sequence", &after.last_sequence, &sequence)?;
        ensure(after.bytes > before.bytes, "the bytes did not grow")?;
        ensure(
            after.first_stored_at.is_some() && after.first_stored_at <= after.last_stored_at,
            "the times of the first and the last message are missing or reversed",
        )?;
    }
    Ok(())
}

/// Each party has its own stream: the party is listed, and a filter must contain it.
pub(super) async fn parties(parties: &Parties) -> Outcome {
    let request = parties
        .recipient
        .file_request(&parties.name, &id("listed00")?, Bytes::from_static(b"l"))
        .await?;
    ensure(matches!(request, Filed::Done { .. }), "it was filed already")?;
    for reader in [&parties.bureau, &parties.auditor] {
        let listed = reader.parties(Stream::Requests).await?;
        ensure(
            listed.iter().any(|party| party.as_str() == parties.name.as_str()),
            "the recipient is not listed",
        )?;
        let without_party = reader
            .read(Stream::Requests, ReadFrom::Sequence(0), "request.*.*", 1)
            .await;
        ensure(without_party.is_err(), "a filter without a party was accepted")?;
    }
    Ok(())
}
