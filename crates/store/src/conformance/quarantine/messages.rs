//! Whole messages that could not be opened.

use bytes::Bytes;

use super::super::{Failure, Outcome, all_stored, claims, ensure, report, row, same, table, texts};
use super::{Keeper, NOT_UNIQUE, UNIQUE, by, counted, execute, only, open, store_of};
use crate::port::{Arrival, Unreadable};
use crate::quarantine::{Became, Ending, Kind, Quarantine};
use crate::samples::{Chain, lane};

/// A message as a poller that does not trust its signer keeps it.
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

/// Three chunks over the same row, the second of which is kept aside.
async fn second_kept(quarantine: &dyn Quarantine) -> Result<Arrival, Failure> {
    let mut chain = Chain::new(lane(), claims(), 0);
    let first = chain.next(&[row(1, "a"), row(2, "a")]);
    let second = chain.next(&[row(2, "b"), row(3, "b"), row(4, "b")]);
    let third = chain.next(&[row(3, "c")]);
    quarantine.quarantine(&untrusted(&second)).await?;
    let outcomes = quarantine.store(&lane(), &[first, third]).await?;
    ensure(outcomes.len() == 2, format_args!("{outcomes:?}"))?;
    let told = report(quarantine).await?;
    same(
        "frontier, quarantined",
        &(told.to, told.quarantined, told.rows),
        &(3, vec![2], 3),
    )?;
    Ok(second)
}

const AFTER: [&str; 4] = ["1:a@1.1", "2:b@1.2", "3:c@1.3", "4:b@1.2"];
const RELEASED: Became = Became::Released { rows: 3, refused: 0 };

/// In the order of places, whenever it comes.
pub(super) async fn released(keeper: &dyn Keeper) -> Outcome {
    let quarantine = open(keeper).await?;
    let second = second_kept(quarantine.as_ref()).await?;
    let entry = only(quarantine.as_ref()).await?;
    same("kind", &entry.kind, &Kind::Message)?;
    let wanted = [
        RELEASED,
        Became::Ended {
            how: Ending::Released,
        },
    ];
    for became in wanted {
        let answer = quarantine.retry_message(&entry.id, &second, &by()).await?;
        same("became", &answer, &became)?;
        same("the table", &table(keeper).await?, &texts(&AFTER))?;
    }
    let told = report(store_of(&quarantine)).await?;
    same(
        "frontier, quarantined, rows",
        &(told.to, told.quarantined, told.rows),
        &(3, vec![], 6),
    )?;
    // The poller that does not trust it yet gets it once more.
    quarantine.quarantine(&untrusted(&second)).await?;
    same("kept again", &super::kept(quarantine.as_ref()).await?.len(), &0)
}

/// The chunk is stored; the entry and the frontier were not touched yet.
pub(super) async fn killed_between(keeper: &dyn Keeper) -> Outcome {
    let quarantine = open(keeper).await?;
    let second = second_kept(quarantine.as_ref()).await?;
    all_stored(store_of(&quarantine), std::slice::from_ref(&second)).await?;
    let entry = only(quarantine.as_ref()).await?;
    let answer = keeper
        .quarantine()
        .retry_message(&entry.id, &second, &by())
        .await?;
    same("became", &answer, &RELEASED)?;
    same("the table", &table(keeper).await?, &texts(&AFTER))?;
    let told = report(store_of(&quarantine)).await?;
    same("quarantined, rows", &(told.quarantined, told.rows), &(vec![], 6))
}

/// Four operators, one message.
pub(super) async fn at_once(keeper: &dyn Keeper) -> Outcome {
    let quarantine = open(keeper).await?;
    let second = second_kept(quarantine.as_ref()).await?;
    let id = only(quarantine.as_ref()).await?.id;
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let (quarantine, id, second) = (keeper.quarantine(), id.clone(), second.clone());
            tokio::spawn(async move { quarantine.retry_message(&id, &second, &by()).await })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.map_err(|error| Failure(error.to_string()))??);
    }
    same(
        "released once",
        &counted(&answers, |became| *became == RELEASED),
        &1,
    )?;
    same("out", &counted(&answers, Became::is_out), &4)?;
    same("the table", &table(keeper).await?, &texts(&AFTER))?;
    let told = report(store_of(&quarantine)).await?;
    same("quarantined, rows", &(told.quarantined, told.rows), &(vec![], 6))
}

/// The number stays in the receipts until the last of its rows is stored.
pub(super) async fn refused_rows(keeper: &dyn Keeper) -> Outcome {
    let quarantine = open(keeper).await?;
    let mut chain = Chain::new(lane(), claims(), 0);
    let first = chain.next(&[row(1, "taken")]);
    let second = chain.next(&[row(2, "taken"), row(3, "good")]);
    quarantine.quarantine(&untrusted(&second)).await?;
    all_stored(store_of(&quarantine), &[first]).await?;
    execute(keeper, UNIQUE).await?;
    same(
        "listed",
        &report(store_of(&quarantine)).await?.quarantined,
        &vec![2],
    )?;
    let message = only(quarantine.as_ref()).await?.id;
    let answer = quarantine.retry_message(&message, &second, &by()).await?;
    same("became", &answer, &Became::Released { rows: 2, refused: 1 })?;
    same(
        "listed still",
        &report(store_of(&quarantine)).await?.quarantined,
        &vec![2],
    )?;
    let entry = only(quarantine.as_ref()).await?;
    same("kind", &entry.kind, &Kind::Row)?;
    execute(keeper, NOT_UNIQUE).await?;
    let answers = quarantine.retry_rows(&lane(), &[entry.id], &by()).await?;
    same("out", &counted(&answers, Became::is_out), &1)?;
    same(
        "listed no more",
        &report(store_of(&quarantine)).await?.quarantined,
        &vec![],
    )
}

/// A forgery that claims the place of a stored chunk, and one day is trusted by mistake.
pub(super) async fn contradicts(keeper: &dyn Keeper) -> Outcome {
    let quarantine = open(keeper).await?;
    let mut chain = Chain::new(lane(), claims(), 0);
    let first = chain.next(&[row(1, "true")]);
    let forged = Chain::new(lane(), claims(), 9).next(&[row(1, "forged")]);
    all_stored(store_of(&quarantine), &[first]).await?;
    quarantine.quarantine(&untrusted(&forged)).await?;
    let id = only(quarantine.as_ref()).await?.id;
    let answer = quarantine.retry_message(&id, &forged, &by()).await?;
    ensure(
        matches!(answer, Became::Contradicts { .. }),
        format_args!("{answer:?}"),
    )?;
    all_stored(store_of(&quarantine), &[chain.next(&[row(2, "next")])]).await?;
    let told = report(store_of(&quarantine)).await?;
    same(
        "frontier, stopped, quarantined",
        &(told.to, told.stopped, told.quarantined),
        &(2, None, vec![]),
    )?;
    same(
        "the table",
        &table(keeper).await?,
        &texts(&["1:true@1.1", "2:next@1.2"]),
    )
}
