//! Forks, epochs, frontier, quarantine of messages.

use bytes::Bytes;
use schemas::digest::Digest;

use super::{
    Failure, Outcome, Receiver, all_stored, claims_schema, count, ensure, link, prepared, report, row, same,
    table, texts,
};
use crate::samples::{Chain, lane};
use store::ledger::REWRITTEN;
use store::port::{Arrival, Outcome as Stored, Unreadable};

fn stopped(outcomes: &[Stored], begins: &str) -> Outcome {
    let all = outcomes
        .iter()
        .all(|outcome| matches!(outcome, Stored::Stopped { reason } if reason.starts_with(begins)));
    ensure(
        all && !outcomes.is_empty(),
        format_args!("not stopped by {begins:?}: {outcomes:?}"),
    )
}

/// The exchange was restored from an older copy and the stream continued from there.
pub async fn fork(receiver: &dyn Receiver) -> Outcome {
    let store = prepared(receiver).await?;
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let first = chain.next(&[row(1, "a")]);
    all_stored(store.as_ref(), &[first.clone(), chain.next(&[row(2, "b")])]).await?;
    let mut other = Chain::new(lane(), claims_schema(), 1);
    other.rewound(link(&first), 1);
    let (again, next) = (other.next(&[row(2, "x")]), other.next(&[row(3, "y")]));
    stopped(&store.store(&lane(), &[again, next.clone()]).await?, REWRITTEN)?;
    same(
        "the table",
        &table(receiver).await?,
        &texts(&["1:a@1.1", "2:b@1.2"]),
    )?;
    // The stop persists over processes, and valid chunks wait too.
    let reborn = receiver.store();
    let good = chain.next(&[row(3, "c")]);
    stopped(&reborn.store(&lane(), &[next, good]).await?, REWRITTEN)?;
    let report = report(reborn.as_ref()).await?;
    same("the frontier", &report.to, &2)?;
    ensure(
        report.stopped.is_some_and(|reason| reason.starts_with(REWRITTEN)),
        "the report does not show the stop",
    )
}

/// Two pollers that stored neighbours at the same time did not see each other's entry.
pub async fn unseen_link(receiver: &dyn Receiver) -> Outcome {
    let store = prepared(receiver).await?;
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    all_stored(
        store.as_ref(),
        &[chain.next(&[row(1, "a")]), chain.next(&[row(2, "b")])],
    )
    .await?;
    let alien = Digest::of(&[b"alien"]);
    let sql = format!(
        "UPDATE {} SET previous = '{alien}' WHERE number = 2",
        receiver.own("ledger")
    );
    receiver.execute(&sql).await.map_err(Failure)?;
    let lane_report = report(store.as_ref()).await?;
    same("the frontier", &lane_report.to, &1)?;
    ensure(
        lane_report
            .stopped
            .is_some_and(|reason| reason.starts_with(REWRITTEN)),
        "lane continues",
    )?;
    stopped(
        &store.store(&lane(), &[chain.next(&[row(3, "c")])]).await?,
        REWRITTEN,
    )
}

/// After a fork an operator opens a new epoch from the receipt.
pub async fn opening(receiver: &dyn Receiver) -> Outcome {
    let store = prepared(receiver).await?;
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let first = chain.next(&[row(1, "a")]);
    let second = chain.next(&[row(2, "b")]);
    let lost = chain.next(&[row(3, "lost")]);
    all_stored(store.as_ref(), &[first.clone(), second.clone()]).await?;
    let mut other = Chain::new(lane(), claims_schema(), 1);
    other.rewound(link(&first), 1);
    let alien = other.next(&[row(2, "alien")]);
    stopped(
        &store.store(&lane(), std::slice::from_ref(&alien)).await?,
        REWRITTEN,
    )?;
    let opens = other.open(Some(link(&second)));
    let next = other.next(&[row(3, "c"), row(1, "a2")]);
    all_stored(store.as_ref(), &[opens, next.clone()]).await?;
    same(
        "the table",
        &table(receiver).await?,
        &texts(&["1:a2@2.2", "2:b@1.2", "3:c@2.2"]),
    )?;
    // The lost end of both histories arrives late and changes nothing.
    let late = store.store(&lane(), &[lost, alien]).await?;
    same(
        "the lost end",
        &late,
        &vec![Stored::Superseded, Stored::Superseded],
    )?;
    same(
        "the table",
        &table(receiver).await?,
        &texts(&["1:a2@2.2", "2:b@1.2", "3:c@2.2"]),
    )?;
    let lane_report = report(store.as_ref()).await?;
    same(
        "epoch, frontier",
        &(lane_report.epoch, lane_report.to, lane_report.head),
        &(2, 2, Some(next.chunk.digest)),
    )?;
    same(
        "stop, pending, rows",
        &(lane_report.stopped, lane_report.pending, lane_report.rows),
        &(None, 0, 2),
    )
}

/// An opening may only continue a stored chunk.
pub async fn bad_opening(receiver: &dyn Receiver) -> Outcome {
    let store = prepared(receiver).await?;
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let first = chain.next(&[row(1, "a")]);
    all_stored(store.as_ref(), std::slice::from_ref(&first)).await?;
    let mut other = Chain::new(lane(), claims_schema(), 1);
    let foreign = other.next(&[row(1, "x")]);
    let bad = other.open(Some(link(&foreign)));
    stopped(&store.store(&lane(), &[bad]).await?, "epoch 2 continues")?;
    let good = chain.open_epoch(3, Some(link(&first)));
    all_stored(store.as_ref(), &[good, chain.next(&[row(2, "b")])]).await?;
    let lane_report = report(store.as_ref()).await?;
    same(
        "epoch, frontier, stop",
        &(lane_report.epoch, lane_report.to, lane_report.stopped),
        &(3, 2, None),
    )
}

/// Another poller may be slower with the opening, or with the chunk that it continues.
pub async fn overtaken(receiver: &dyn Receiver) -> Outcome {
    let store = prepared(receiver).await?;
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let first = chain.next(&[row(1, "a")]);
    let opens = chain.open(Some(link(&first)));
    let next = chain.next(&[row(2, "b")]);
    for early in [&next, &opens] {
        let outcomes = store.store(&lane(), std::slice::from_ref(early)).await?;
        ensure(
            matches!(outcomes[..], [Stored::Deferred { .. }]),
            format_args!("{outcomes:?}"),
        )?;
    }
    all_stored(store.as_ref(), &[next, opens, first]).await?;
    same(
        "the table",
        &table(receiver).await?,
        &texts(&["1:a@1.1", "2:b@2.2"]),
    )
}

fn broken(arrival: &Arrival) -> Unreadable {
    Unreadable {
        lane: lane(),
        claims: Some(Box::new((arrival.chunk.manifest.clone(), arrival.chunk.digest))),
        sequence: arrival.sequence,
        exchanged_at: arrival.exchanged_at,
        reason: "the body was altered".to_owned(),
        bytes: Bytes::copy_from_slice(&arrival.chunk.plain),
    }
}

/// An unreadable message is neither lost nor blocks later chunks.
pub async fn unreadable(receiver: &dyn Receiver) -> Outcome {
    let store = prepared(receiver).await?;
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let (first, second, third) = (
        chain.next(&[row(1, "a")]),
        chain.next(&[row(2, "b")]),
        chain.next(&[row(3, "c")]),
    );
    for _ in 0..2 {
        store.quarantine(&broken(&second)).await?;
        // One that claims the place of a good chunk takes nothing from it.
        let forged = Unreadable {
            bytes: Bytes::from_static(b"forged"),
            ..broken(&first)
        };
        store.quarantine(&forged).await?;
    }
    store
        .quarantine(&Unreadable {
            claims: None,
            bytes: Bytes::from_static(b"no place"),
            ..broken(&first)
        })
        .await?;
    all_stored(store.as_ref(), &[third, first]).await?;
    let lane_report = report(store.as_ref()).await?;
    same(
        "frontier, quarantined, rows",
        &(lane_report.to, lane_report.quarantined, lane_report.rows),
        &(3, vec![2], 2),
    )?;
    same("kept", &count(receiver, "quarantine").await?, &"3".to_owned())?;
    same(
        "the table",
        &table(receiver).await?,
        &texts(&["1:a@1.1", "3:c@1.3"]),
    )
}

/// The frontier has no gap, and chunks above it are counted as pending.
pub async fn gap(receiver: &dyn Receiver) -> Outcome {
    let store = prepared(receiver).await?;
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let (first, second, third) = (
        chain.next(&[row(1, "a")]),
        chain.next(&[row(2, "b")]),
        chain.next(&[row(3, "c")]),
    );
    all_stored(store.as_ref(), &[first.clone(), third.clone()]).await?;
    let lane_report = report(store.as_ref()).await?;
    same(
        "frontier, pending, from",
        &(lane_report.to, lane_report.pending, lane_report.from),
        &(1, 1, 1),
    )?;
    same(
        "head, cursor",
        &(lane_report.head, lane_report.cursor),
        &(Some(first.chunk.digest), first.chunk.manifest.cursor_after),
    )?;
    all_stored(receiver.store().as_ref(), &[second]).await?;
    let lane_report = report(receiver.store().as_ref()).await?;
    same(
        "frontier, pending, rows",
        &(lane_report.to, lane_report.pending, lane_report.rows),
        &(3, 0, 3),
    )?;
    same("head", &lane_report.head, &Some(third.chunk.digest))
}
