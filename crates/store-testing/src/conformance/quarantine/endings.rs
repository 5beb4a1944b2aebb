//! Other ends: superseded and discarded entries; and rejects, which have none here.

use bytes::Bytes;
use schemas::cursor::Scalar;
use schemas::manifest::Reject;

use super::super::{
    Failure, Outcome, all_stored, claims_schema, claims_schema_with_tombstone, count, ensure, link, report,
    row, row_or_tombstone, same, table, texts,
};
use super::messages::untrusted;
use super::{NOT_UNIQUE, QuarantineReceiver, UNIQUE, by, counted, execute, kept, only, open, store_of};
use crate::samples::{Chain, lane};
use store::port::Unreadable;
use store::quarantine::{Ending, EntryFilter, Kind, RetryOutcome};

/// A row of a chunk that a new epoch does not continue.
pub(super) async fn left_behind(receiver: &dyn QuarantineReceiver) -> Outcome {
    let quarantine = open(receiver).await?;
    let store = store_of(&quarantine);
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let first = chain.next(&[row(0, "taken")]);
    all_stored(store, std::slice::from_ref(&first)).await?;
    execute(receiver, UNIQUE).await?;
    quarantine
        .store(&lane(), &[chain.next(&[row(1, "taken")])])
        .await?;
    let id = only(quarantine.as_ref()).await?.id;
    execute(receiver, NOT_UNIQUE).await?;
    let mut other = Chain::new(lane(), claims_schema(), 9);
    other.rewound(link(&first), 9);
    quarantine
        .store(&lane(), &[other.next(&[row(5, "fork")])])
        .await?;
    let answers = quarantine
        .retry_rows(&lane(), std::slice::from_ref(&id), &by())
        .await?;
    let waits = |outcome: &RetryOutcome| matches!(outcome, RetryOutcome::Waits { reason } if reason.contains("restored"));
    same("waits", &counted(&answers, waits), &1)?;
    all_stored(store, &[other.open(Some(link(&first)))]).await?;
    let answers = quarantine.retry_rows(&lane(), &[id], &by()).await?;
    same("became", &answers, &vec![RetryOutcome::LeftBehind])?;
    same("left", &kept(quarantine.as_ref()).await?.len(), &0)?;
    same("the table", &table(receiver).await?, &texts(&["0:taken@1.1"]))
}

/// Who, why and which are kept; the content is not. No receipt covers it as stored, and no tombstone waits for it.
pub(super) async fn discarded(receiver: &dyn QuarantineReceiver) -> Outcome {
    let quarantine = open(receiver).await?;
    let store = store_of(&quarantine);
    let mut chain = Chain::new(lane(), claims_schema_with_tombstone(), 0);
    let first = chain.next(&[row_or_tombstone(1, "a", false)]);
    let second = chain.next(&[row_or_tombstone(2, "b", false)]);
    let third = chain.next(&[row_or_tombstone(1, "a", true)]);
    quarantine.quarantine(&untrusted(&second)).await?;
    all_stored(store, &[first, third]).await?;
    same("listed", &report(store).await?.quarantined, &vec![2])?;
    same(
        "tombstones",
        &count(receiver, "tombstones").await?,
        &"1".to_owned(),
    )?;
    let id = only(quarantine.as_ref()).await?.id;
    for wanted in [
        RetryOutcome::Discarded,
        RetryOutcome::Ended {
            ending: Ending::Discarded,
        },
    ] {
        let answers = quarantine
            .discard(&lane(), std::slice::from_ref(&id), &by())
            .await?;
        same("became", &answers, &vec![wanted])?;
    }
    let retried = quarantine.retry_message(&id, &second, &by()).await;
    ensure(retried.is_ok(), "a retry after a discard failed")?;
    same(
        "content",
        &quarantine.content(&lane(), &id).await?.is_none(),
        &true,
    )?;
    let all = EntryFilter {
        ended: true,
        prefix: id.get(..8).unwrap_or_default().to_owned(),
        ..EntryFilter::default()
    };
    let entries = quarantine.entries(&all).await?;
    let ended = entries.first().and_then(|entry| entry.ended.clone());
    let ended = ended.ok_or_else(|| Failure("it has not ended".to_owned()))?;
    same("digest", &ended.digest.as_deref(), &Some(id.as_str()))?;
    same(
        "who, why",
        &(ended.actor.as_str(), ended.reason.as_str()),
        &("li.na", "repaired"),
    )?;
    all_stored(store, &[chain.next(&[])]).await?;
    report(store).await?;
    same(
        "tombstones after",
        &count(receiver, "tombstones").await?,
        &"0".to_owned(),
    )
}

/// Rejects are counted and shown without their key.
pub(super) async fn rejects(receiver: &dyn QuarantineReceiver) -> Outcome {
    let quarantine = open(receiver).await?;
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let mut chunk = chain.next(&[row(1, "a")]);
    chunk.chunk.manifest.content.rejects = vec![Reject {
        key: vec![Some(Scalar::Text("secret".to_owned()))],
        column: Some("photo".to_owned()),
        reason: "larger than a message".to_owned(),
    }];
    all_stored(store_of(&quarantine), std::slice::from_ref(&chunk)).await?;
    quarantine.store(&lane(), &[chunk]).await?;
    let entry = only(quarantine.as_ref()).await?;
    same("kind", &entry.kind, &Kind::Reject)?;
    ensure(
        entry.reason.contains("photo") && !entry.reason.contains("secret"),
        format_args!("reason: {}", entry.reason),
    )?;
    let held = quarantine.counts().await?;
    same(
        "held",
        &held
            .iter()
            .map(|held| (held.kind, held.count))
            .collect::<Vec<_>>(),
        &vec![(Kind::Reject, 1)],
    )?;
    let answers = quarantine
        .retry_rows(&lane(), std::slice::from_ref(&entry.id), &by())
        .await?;
    same(
        "never",
        &counted(&answers, |outcome| matches!(outcome, RetryOutcome::Never { .. })),
        &1,
    )?;
    let answers = quarantine.discard(&lane(), &[entry.id], &by()).await?;
    same("discarded", &answers, &vec![RetryOutcome::Discarded])?;
    same("held after", &quarantine.counts().await?.len(), &0)
}

/// A poller that read the frontier before a retry must not overwrite the recounted one.
pub(super) async fn advanced_meanwhile(receiver: &dyn QuarantineReceiver) -> Outcome {
    let quarantine = open(receiver).await?;
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let mut first = Vec::new();
    for number in 1..=40 {
        let chunk = chain.next(&[row(number, "a")]);
        if number % 4 == 0 {
            quarantine.quarantine(&untrusted(&chunk)).await?;
            first.push(chunk);
        } else {
            all_stored(store_of(&quarantine), &[chunk]).await?;
        }
    }
    let reporting = {
        let store = receiver.store();
        let rest: Vec<_> = (41..=80).map(|number| chain.next(&[row(number, "b")])).collect();
        tokio::spawn(async move {
            for chunk in rest {
                store.store(&lane(), &[chunk]).await?;
                store.reports().await?;
            }
            store::error::Result::Ok(())
        })
    };
    for chunk in &first {
        let id = schemas::digest::Digest::of(&[&untrusted(chunk).bytes]).to_string();
        let outcome = quarantine.retry_message(&id, chunk, &by()).await?;
        ensure(outcome.is_out(), format_args!("{outcome:?}"))?;
    }
    reporting.await.map_err(|error| Failure(error.to_string()))??;
    let lane_report = report(store_of(&quarantine)).await?;
    same(
        "frontier, quarantined, rows",
        &(lane_report.to, lane_report.quarantined, lane_report.rows),
        &(80, vec![], 80),
    )
}

/// A message of an earlier version, in tables of an earlier version.
pub(super) async fn upgraded(receiver: &dyn QuarantineReceiver) -> Outcome {
    let quarantine = open(receiver).await?;
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let message = Unreadable {
        claims: None,
        bytes: Bytes::from_static(b"no place"),
        ..untrusted(&chain.next(&[row(1, "a")]))
    };
    quarantine.quarantine(&message).await?;
    execute(
        receiver,
        &format!("DROP TABLE {}", receiver.own("quarantine_manifests")),
    )
    .await?;
    for column in [
        "kind",
        "ended",
        "ended_digest",
        "ended_by",
        "ended_reason",
        "ended_at",
    ] {
        let table = receiver.own("quarantine");
        execute(receiver, &format!("ALTER TABLE {table} DROP COLUMN {column}")).await?;
    }
    let again = open(receiver).await?;
    let entry = only(again.as_ref()).await?;
    same(
        "kind, place",
        &(entry.kind, entry.chunk_number),
        &(Kind::Message, None),
    )?;
    let answers = again.discard(&lane(), &[entry.id], &by()).await?;
    same("discarded", &answers, &vec![RetryOutcome::Discarded])
}
