//! Other ends: left behind, discarded; and what has none here.

use bytes::Bytes;
use schemas::cursor::Scalar;
use schemas::manifest::Reject;

use super::super::{
    Failure, Outcome, all_stored, claims, claims_with_tombstone, count, ensure, link, report, row,
    row_or_tombstone, same, table, texts,
};
use super::messages::untrusted;
use super::{Keeper, NOT_UNIQUE, UNIQUE, by, counted, execute, kept, only, open, store_of};
use crate::port::Unreadable;
use crate::quarantine::{Became, Ending, Kind, Wanted};
use crate::samples::{Chain, lane};

/// A row of a chunk that a new epoch does not continue.
pub(super) async fn left_behind(keeper: &dyn Keeper) -> Outcome {
    let quarantine = open(keeper).await?;
    let store = store_of(&quarantine);
    let mut chain = Chain::new(lane(), claims(), 0);
    let first = chain.next(&[row(0, "taken")]);
    all_stored(store, std::slice::from_ref(&first)).await?;
    execute(keeper, UNIQUE).await?;
    quarantine
        .store(&lane(), &[chain.next(&[row(1, "taken")])])
        .await?;
    let id = only(quarantine.as_ref()).await?.id;
    execute(keeper, NOT_UNIQUE).await?;
    let mut other = Chain::new(lane(), claims(), 9);
    other.rewound(link(&first), 9);
    quarantine
        .store(&lane(), &[other.next(&[row(5, "fork")])])
        .await?;
    let answers = quarantine
        .retry_rows(&lane(), std::slice::from_ref(&id), &by())
        .await?;
    let waits = |became: &Became| matches!(became, Became::Waits { reason } if reason.contains("restored"));
    same("waits", &counted(&answers, waits), &1)?;
    all_stored(store, &[other.open(Some(link(&first)))]).await?;
    let answers = quarantine.retry_rows(&lane(), &[id], &by()).await?;
    same("became", &answers, &vec![Became::LeftBehind])?;
    same("left", &kept(quarantine.as_ref()).await?.len(), &0)?;
    same("the table", &table(keeper).await?, &texts(&["0:taken@1.1"]))
}

/// Who, why and which are kept; what it held is not. No receipt says that it is stored, and no
/// tombstone waits for it.
pub(super) async fn discarded(keeper: &dyn Keeper) -> Outcome {
    let quarantine = open(keeper).await?;
    let store = store_of(&quarantine);
    let mut chain = Chain::new(lane(), claims_with_tombstone(), 0);
    let first = chain.next(&[row_or_tombstone(1, "a", false)]);
    let second = chain.next(&[row_or_tombstone(2, "b", false)]);
    let third = chain.next(&[row_or_tombstone(1, "a", true)]);
    quarantine.quarantine(&untrusted(&second)).await?;
    all_stored(store, &[first, third]).await?;
    same("listed", &report(store).await?.quarantined, &vec![2])?;
    same("tombstones", &count(keeper, "tombstones").await?, &"1".to_owned())?;
    let id = only(quarantine.as_ref()).await?.id;
    for wanted in [
        Became::Discarded,
        Became::Ended {
            how: Ending::Discarded,
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
    let all = Wanted {
        ended: true,
        prefix: id.get(..8).unwrap_or_default().to_owned(),
        ..Wanted::default()
    };
    let entries = quarantine.entries(&all).await?;
    let ended = entries.first().and_then(|entry| entry.ended.clone());
    let ended = ended.ok_or_else(|| Failure("it has not ended".to_owned()))?;
    same("digest", &ended.digest.as_deref(), &Some(id.as_str()))?;
    same(
        "who, why",
        &(ended.actor.as_str(), ended.reason.as_str()),
        &("li.na", "mended"),
    )?;
    all_stored(store, &[chain.next(&[])]).await?;
    report(store).await?;
    same(
        "tombstones after",
        &count(keeper, "tombstones").await?,
        &"0".to_owned(),
    )
}

/// They are counted and told, without the key.
pub(super) async fn rejects(keeper: &dyn Keeper) -> Outcome {
    let quarantine = open(keeper).await?;
    let mut chain = Chain::new(lane(), claims(), 0);
    let mut chunk = chain.next(&[row(1, "a")]);
    chunk.chunk.manifest.rejects = vec![Reject {
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
    let held = quarantine.held().await?;
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
        &counted(&answers, |became| matches!(became, Became::Never { .. })),
        &1,
    )?;
    let answers = quarantine.discard(&lane(), &[entry.id], &by()).await?;
    same("discarded", &answers, &vec![Became::Discarded])?;
    same("held after", &quarantine.held().await?.len(), &0)
}

/// A poller that read the frontier before a retry must not write its own over it.
pub(super) async fn advanced_meanwhile(keeper: &dyn Keeper) -> Outcome {
    let quarantine = open(keeper).await?;
    let mut chain = Chain::new(lane(), claims(), 0);
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
        let store = keeper.store();
        let rest: Vec<_> = (41..=80).map(|number| chain.next(&[row(number, "b")])).collect();
        tokio::spawn(async move {
            for chunk in rest {
                store.store(&lane(), &[chunk]).await?;
                store.reports().await?;
            }
            crate::error::Result::Ok(())
        })
    };
    for chunk in &first {
        let id = crate::record::message_id(&untrusted(chunk));
        let became = quarantine.retry_message(&id, chunk, &by()).await?;
        ensure(became.is_out(), format_args!("{became:?}"))?;
    }
    reporting.await.map_err(|error| Failure(error.to_string()))??;
    let told = report(store_of(&quarantine)).await?;
    same(
        "frontier, quarantined, rows",
        &(told.to, told.quarantined, told.rows),
        &(80, vec![], 80),
    )
}

/// A message of before, in tables of before.
pub(super) async fn upgraded(keeper: &dyn Keeper) -> Outcome {
    let quarantine = open(keeper).await?;
    let mut chain = Chain::new(lane(), claims(), 0);
    let message = Unreadable {
        claims: None,
        bytes: Bytes::from_static(b"no place"),
        ..untrusted(&chain.next(&[row(1, "a")]))
    };
    quarantine.quarantine(&message).await?;
    execute(
        keeper,
        &format!("DROP TABLE {}", keeper.own("quarantine_manifests")),
    )
    .await?;
    for column in [
        "kind",
        "ended",
        "ended_digest",
        "ended_by",
        "ended_why",
        "ended_at",
    ] {
        let table = keeper.own("quarantine");
        execute(keeper, &format!("ALTER TABLE {table} DROP COLUMN {column}")).await?;
    }
    let again = open(keeper).await?;
    let entry = only(again.as_ref()).await?;
    same("kind, place", &(entry.kind, entry.place), &(Kind::Message, None))?;
    let answers = again.discard(&lane(), &[entry.id], &by()).await?;
    same("discarded", &answers, &vec![Became::Discarded])
}
