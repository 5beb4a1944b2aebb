//! Whole messages that could not be opened.

use bytes::Bytes;

use super::super::{Failure, Outcome, all_stored, claims_schema, ensure, report, row, same, table, texts};
use super::{NOT_UNIQUE, QuarantineReceiver, UNIQUE, by, counted, execute, only, open, store_of};
use crate::samples::{Chain, lane};
use store::port::{Arrival, Unreadable};
use store::quarantine::{Ending, Kind, Quarantine, RetryOutcome};

/// A message as a poller keeps it that does not trust its signer.
pub(super) fn untrusted(arrival: &Arrival) -> Unreadable {
    Unreadable {
        lane: lane(),
        claims: Some(Box::new((arrival.chunk.manifest.clone(), arrival.chunk.digest))),
        sequence: arrival.sequence,
        exchanged_at: arrival.exchanged_at,
        reason: "signed by a key that is not trusted here".to_owned(),
        bytes: Bytes::copy_from_slice(&arrival.chunk.digest.0),
    }
}

/// Three chunks over the same row; the second is quarantined.
async fn second_kept(quarantine: &dyn Quarantine) -> Result<Arrival, Failure> {
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let first = chain.next(&[row(1, "a"), row(2, "a")]);
    let second = chain.next(&[row(2, "b"), row(3, "b"), row(4, "b")]);
    let third = chain.next(&[row(3, "c")]);
    quarantine.quarantine(&untrusted(&second)).await?;
    let outcomes = quarantine.store(&lane(), &[first, third]).await?;
    ensure(outcomes.len() == 2, format_args!("{outcomes:?}"))?;
    let lane_report = report(quarantine).await?;
    same(
        "frontier, quarantined",
        &(lane_report.to, lane_report.quarantined, lane_report.rows),
        &(3, vec![2], 3),
    )?;
    Ok(second)
}

const AFTER: [&str; 4] = ["1:a@1.1", "2:b@1.2", "3:c@1.3", "4:b@1.2"];
const RELEASED: RetryOutcome = RetryOutcome::Released { rows: 3, refused: 0 };

/// Released in the order of chunk numbers, at any time.
pub(super) async fn released(receiver: &dyn QuarantineReceiver) -> Outcome {
    let quarantine = open(receiver).await?;
    let second = second_kept(quarantine.as_ref()).await?;
    let entry = only(quarantine.as_ref()).await?;
    same("kind", &entry.kind, &Kind::Message)?;
    let wanted = [
        RELEASED,
        RetryOutcome::Ended {
            ending: Ending::Released,
        },
    ];
    for outcome in wanted {
        let answer = quarantine.retry_message(&entry.id, &second, &by()).await?;
        same("became", &answer, &outcome)?;
        same("the table", &table(receiver).await?, &texts(&AFTER))?;
    }
    let lane_report = report(store_of(&quarantine)).await?;
    same(
        "frontier, quarantined, rows",
        &(lane_report.to, lane_report.quarantined, lane_report.rows),
        &(3, vec![], 6),
    )?;
    // A poller that does not trust it yet receives it again.
    quarantine.quarantine(&untrusted(&second)).await?;
    same("kept again", &super::kept(quarantine.as_ref()).await?.len(), &0)
}

/// Interrupted: the chunk is stored, the entry and the frontier are unchanged.
pub(super) async fn killed_between(receiver: &dyn QuarantineReceiver) -> Outcome {
    let quarantine = open(receiver).await?;
    let second = second_kept(quarantine.as_ref()).await?;
    all_stored(store_of(&quarantine), std::slice::from_ref(&second)).await?;
    let entry = only(quarantine.as_ref()).await?;
    let answer = receiver
        .quarantine()
        .retry_message(&entry.id, &second, &by())
        .await?;
    same("became", &answer, &RELEASED)?;
    same("the table", &table(receiver).await?, &texts(&AFTER))?;
    let lane_report = report(store_of(&quarantine)).await?;
    same(
        "quarantined, rows",
        &(lane_report.quarantined, lane_report.rows),
        &(vec![], 6),
    )
}

/// Four operators retry one message.
pub(super) async fn at_once(receiver: &dyn QuarantineReceiver) -> Outcome {
    let quarantine = open(receiver).await?;
    let second = second_kept(quarantine.as_ref()).await?;
    let id = only(quarantine.as_ref()).await?.id;
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let (quarantine, id, second) = (receiver.quarantine(), id.clone(), second.clone());
            tokio::spawn(async move { quarantine.retry_message(&id, &second, &by()).await })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.map_err(|error| Failure(error.to_string()))??);
    }
    same(
        "released once",
        &counted(&answers, |outcome| *outcome == RELEASED),
        &1,
    )?;
    same("out", &counted(&answers, RetryOutcome::is_out), &4)?;
    same("the table", &table(receiver).await?, &texts(&AFTER))?;
    let lane_report = report(store_of(&quarantine)).await?;
    same(
        "quarantined, rows",
        &(lane_report.quarantined, lane_report.rows),
        &(vec![], 6),
    )
}

/// The number stays in the receipts until the last of its rows is stored.
pub(super) async fn refused_rows(receiver: &dyn QuarantineReceiver) -> Outcome {
    let quarantine = open(receiver).await?;
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let first = chain.next(&[row(1, "taken")]);
    let second = chain.next(&[row(2, "taken"), row(3, "good")]);
    quarantine.quarantine(&untrusted(&second)).await?;
    all_stored(store_of(&quarantine), &[first]).await?;
    execute(receiver, UNIQUE).await?;
    same(
        "listed",
        &report(store_of(&quarantine)).await?.quarantined,
        &vec![2],
    )?;
    let message = only(quarantine.as_ref()).await?.id;
    let answer = quarantine.retry_message(&message, &second, &by()).await?;
    same("became", &answer, &RetryOutcome::Released { rows: 2, refused: 1 })?;
    same(
        "listed still",
        &report(store_of(&quarantine)).await?.quarantined,
        &vec![2],
    )?;
    let entry = only(quarantine.as_ref()).await?;
    same("kind", &entry.kind, &Kind::Row)?;
    execute(receiver, NOT_UNIQUE).await?;
    let answers = quarantine.retry_rows(&lane(), &[entry.id], &by()).await?;
    same("out", &counted(&answers, RetryOutcome::is_out), &1)?;
    same(
        "listed no more",
        &report(store_of(&quarantine)).await?.quarantined,
        &vec![],
    )
}

/// A forged message claims a stored chunk's number and is trusted by mistake later.
pub(super) async fn contradicts(receiver: &dyn QuarantineReceiver) -> Outcome {
    let quarantine = open(receiver).await?;
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let first = chain.next(&[row(1, "true")]);
    let forged = Chain::new(lane(), claims_schema(), 9).next(&[row(1, "forged")]);
    all_stored(store_of(&quarantine), &[first]).await?;
    quarantine.quarantine(&untrusted(&forged)).await?;
    let id = only(quarantine.as_ref()).await?.id;
    let answer = quarantine.retry_message(&id, &forged, &by()).await?;
    ensure(
        matches!(answer, RetryOutcome::Contradicts { .. }),
        format_args!("{answer:?}"),
    )?;
    all_stored(store_of(&quarantine), &[chain.next(&[row(2, "next")])]).await?;
    let lane_report = report(store_of(&quarantine)).await?;
    same(
        "frontier, stopped, quarantined",
        &(lane_report.to, lane_report.stopped, lane_report.quarantined),
        &(2, None, vec![]),
    )?;
    same(
        "the table",
        &table(receiver).await?,
        &texts(&["1:true@1.1", "2:next@1.2"]),
    )
}
