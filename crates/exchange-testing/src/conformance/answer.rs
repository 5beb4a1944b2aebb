//! Messages of a pending request: parts, progress, approvals, confirmations.

use bytes::Bytes;
use schemas::body::MAX_MESSAGE_BYTES;
use schemas::name::OfficerName;

use super::{Failure, Outcome, Parties, ensure, ensure_equal, ensure_exists, filed, id, require};
use exchange::outcome::Stored;
use exchange::port::{ReadFrom, Sequence, Stream};

const A: Bytes = Bytes::from_static(b"a");
const B: Bytes = Bytes::from_static(b"b");

fn officer(name: &str) -> Result<OfficerName, Failure> {
    Ok(OfficerName::new(name)?)
}

pub(super) async fn part_once(parties: &Parties) -> Outcome {
    let (bureau, name, id) = (&parties.bureau, &parties.name, id("partonce")?);
    ensure_equal("no part", &bureau.part(name, &id, 1, 1).await?, &None)?;
    let first = bureau.publish_part(name, &id, 1, 1, A).await?;
    let sequence = filed("the first", &first)?;
    for (what, bytes) in [("the same again", A), ("another one", B)] {
        let again = bureau.publish_part(name, &id, 1, 1, bytes).await?;
        ensure_exists(what, again, sequence, &A)?;
    }
    filed("the second", &bureau.publish_part(name, &id, 1, 2, B).await?)?;
    for party in [&parties.recipient, &parties.bureau] {
        let part = require("the first", party.part(name, &id, 1, 1).await?)?;
        ensure_equal("its subject", &part.subject, &format!("part.{name}.{id}.1.1"))?;
        ensure_equal("its bytes", &(part.sequence, part.bytes), &(sequence, A))?;
        let part = require("the second", party.part(name, &id, 1, 2).await?)?;
        ensure_equal("the second", &part.bytes, &B)?;
        ensure_equal("a third", &party.part(name, &id, 1, 3).await?, &None)?;
    }
    Ok(())
}

/// Two responders at once: one stores the first part and owns the attempt, the other uses the next attempt.
pub(super) async fn one_attempt(parties: &Parties) -> Outcome {
    let (bureau, name, id) = (&parties.bureau, &parties.name, id("oneattempt")?);
    let (one, other) = tokio::join!(
        bureau.publish_part(name, &id, 1, 1, A),
        bureau.publish_part(name, &id, 1, 1, B)
    );
    let (one, other) = (filed("one", &one?), filed("the other", &other?));
    ensure(
        one.is_ok() != other.is_ok(),
        format_args!("{one:?} and {other:?}"),
    )?;
    let winner = if one.is_ok() { A } else { B };
    let part = require("the winner's", bureau.part(name, &id, 1, 1).await?)?;
    ensure_equal("the winner's bytes", &part.bytes, &winner)?;
    let next = bureau.publish_part(name, &id, 2, 1, B).await?;
    filed("the next attempt", &next).map(|_| ())
}

pub(super) async fn largest_part(parties: &Parties) -> Outcome {
    let (bureau, name, id) = (&parties.bureau, &parties.name, id("largestpart")?);
    let bytes = Bytes::from(vec![7; MAX_MESSAGE_BYTES]);
    filed(
        "the largest",
        &bureau.publish_part(name, &id, 1, 1, bytes.clone()).await?,
    )?;
    let part = require("the largest", parties.recipient.part(name, &id, 1, 1).await?)?;
    ensure(part.bytes == bytes, "the largest part was altered")
}

pub(super) async fn progress(parties: &Parties) -> Outcome {
    let (bureau, name, id) = (&parties.bureau, &parties.name, id("progress")?);
    ensure_equal("no progress", &bureau.progress(name, &id).await?, &None)?;
    let first = bureau.write_progress(name, &id, A).await?;
    let second = bureau.write_progress(name, &id, B).await?;
    ensure(second > first, format_args!("{second} is not above {first}"))?;
    let last = require("the last progress", parties.recipient.progress(name, &id).await?)?;
    ensure_equal("the last progress", &(last.sequence, last.bytes), &(second, B))?;
    ensure_equal("its subject", &last.subject, &format!("progress.{name}.{id}"))?;
    let stored = parties
        .auditor
        .read(Stream::Progress, ReadFrom::Sequence(first), &last.subject, 10)
        .await?;
    ensure_equal("the stored progress", &sequences(&stored), &vec![second])
}

pub(super) async fn approvals(parties: &Parties) -> Outcome {
    let (bureau, name, id) = (&parties.bureau, &parties.name, id("approvals")?);
    let (li, wang) = (officer("li_na")?, officer("wang-wei")?);
    ensure_equal("none", &bureau.approvals(name, &id).await?, &vec![])?;
    let first = filed("the first", &bureau.approve(name, &id, &li, A).await?)?;
    let again = bureau.approve(name, &id, &li, B).await?;
    ensure_exists("a second decision", again, first, &A)?;
    let second = filed("a colleague's", &bureau.approve(name, &id, &wang, B).await?)?;
    let all = bureau.approvals(name, &id).await?;
    ensure_equal("all of them", &sequences(&all), &vec![first, second])?;
    ensure_equal("the first's bytes", &all[0].bytes, &A)?;
    ensure_equal(
        "the second's subject",
        &all[1].subject,
        &format!("approval.{name}.{id}.{wang}"),
    )
}

pub(super) async fn confirm_once(parties: &Parties) -> Outcome {
    let (recipient, name, id) = (&parties.recipient, &parties.name, id("confirmonce")?);
    ensure_equal("none", &parties.bureau.confirmation(name, &id).await?, &None)?;
    let sequence = filed("the first", &recipient.confirm(name, &id, A).await?)?;
    for (what, bytes) in [("the same again", A), ("another one", B)] {
        ensure_exists(what, recipient.confirm(name, &id, bytes).await?, sequence, &A)?;
    }
    for party in [&parties.bureau, &parties.recipient] {
        let confirmed = require("it", party.confirmation(name, &id).await?)?;
        ensure_equal("its bytes", &confirmed.bytes, &A)?;
    }
    Ok(())
}

/// Ids with a common prefix are different requests.
pub(super) async fn apart(parties: &Parties) -> Outcome {
    let (bureau, name) = (&parties.bureau, &parties.name);
    let (one, other) = (id("apartone")?, id("apartone1")?);
    let li = officer("li")?;
    filed("a part", &bureau.publish_part(name, &one, 1, 1, A).await?)?;
    filed("an approval", &bureau.approve(name, &one, &li, A).await?)?;
    bureau.write_progress(name, &one, A).await?;
    filed("a confirmation", &parties.recipient.confirm(name, &one, A).await?)?;
    ensure_equal("its part", &bureau.part(name, &other, 1, 1).await?, &None)?;
    ensure_equal("another attempt", &bureau.part(name, &one, 11, 1).await?, &None)?;
    ensure_equal("its approvals", &bureau.approvals(name, &other).await?, &vec![])?;
    ensure_equal("its progress", &bureau.progress(name, &other).await?, &None)?;
    ensure_equal(
        "its confirmation",
        &bureau.confirmation(name, &other).await?,
        &None,
    )?;
    filed("its own", &bureau.publish_part(name, &other, 1, 1, B).await?)?;
    filed("its own", &bureau.approve(name, &other, &li, B).await?).map(|_| ())
}

/// Messages about requests that the responder follows.
pub(super) async fn read_by_the_bureau(parties: &Parties) -> Outcome {
    let (bureau, recipient, name) = (&parties.bureau, &parties.recipient, &parties.name);
    let (one, other) = (id("followone")?, id("followother")?);
    let li = officer("li")?;
    let cancels = [
        filed("a cancel", &recipient.cancel_request(name, &one, A).await?)?,
        filed("a cancel", &recipient.cancel_request(name, &other, B).await?)?,
    ];
    let approvals = [
        filed("an approval", &bureau.approve(name, &other, &li, A).await?)?,
        filed("an approval", &bureau.approve(name, &one, &li, B).await?)?,
    ];
    let confirms = [
        filed("a confirmation", &recipient.confirm(name, &one, A).await?)?,
        filed("a confirmation", &recipient.confirm(name, &other, B).await?)?,
    ];
    for (stream, filed) in [
        (Stream::Cancels, cancels),
        (Stream::Approvals, approvals),
        (Stream::Confirms, confirms),
    ] {
        for (from, expected) in [(filed[0], &filed[..]), (filed[0] + 1, &filed[1..])] {
            let filter = format!("{}.{name}.>", stream.token());
            let read = bureau.read(stream, ReadFrom::Sequence(from), &filter, 10).await?;
            ensure_equal(
                &format!("{stream:?} from {from}"),
                &sequences(&read),
                &expected.to_vec(),
            )?;
        }
    }
    Ok(())
}

fn sequences(messages: &[Stored]) -> Vec<Sequence> {
    messages.iter().map(|message| message.sequence).collect()
}
