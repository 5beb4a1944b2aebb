//! Folded ledger entries: redelivered chunks are ignored, rows are counted, and everything can be stored again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use super::{
    Failure, Outcome, Receiver, all_stored, claims_schema_with_tombstone, count, ensure, link, report,
    row_or_tombstone, same, table, texts,
};
use crate::samples::{Chain, lane};
use store::compaction::LedgerRetention;
use store::layout::Options;
use store::ledger::REWRITTEN;
use store::merge::ChunkNumber;
use store::port::{Arrival, LaneReport, Outcome as Stored, Store, Unreadable};
use store::refill::{Refill, Rows};

const START: ChunkNumber = ChunkNumber { epoch: 1, number: 1 };
const END: ChunkNumber = ChunkNumber { epoch: 9, number: 0 };

/// Keeps the newest four entries of any age.
const FOUR: LedgerRetention = LedgerRetention {
    entries: 4,
    age: Duration::ZERO,
};

/// The rows of the table after [`twelve`].
const ROWS: [&str; 4] = ["2:again@1.11", "3:c@1.3", "4:d@1.12", "9:i@1.9"];

/// Chunks with updates, a deleted row and a row that is inserted again: their table is [`ROWS`].
fn twelve(chain: &mut Chain) -> Vec<Arrival> {
    let chunk = |rows: &[(i64, &str, bool)], chain: &mut Chain| {
        let rows: Vec<_> = rows
            .iter()
            .map(|(id, name, gone)| row_or_tombstone(*id, name, *gone))
            .collect();
        chain.next(&rows)
    };
    [
        &[(1, "a", false), (2, "b", false)][..],
        &[(2, "b2", false)],
        &[(3, "c", false)],
        &[(1, "a", true)],
        &[(4, "d", false)],
        &[(2, "b2", true)],
        &[(5, "e", false)],
        &[(5, "e", true)],
        &[(9, "i", false)],
        &[(4, "d", false)],
        &[(2, "again", false)],
        &[(4, "d", false)],
    ]
    .into_iter()
    .map(|rows| chunk(rows, chain))
    .collect()
}

/// Folds until nothing is due, with a receipt up to this chunk.
async fn fold(store: &dyn Store, keep: LedgerRetention, covered: ChunkNumber) -> Outcome {
    let covered = BTreeMap::from([(lane(), covered)]);
    while store.compact(&keep, &covered).await? > 0 {}
    Ok(())
}

const fn at(number: u64) -> ChunkNumber {
    ChunkNumber { epoch: 1, number }
}

async fn counts(store: &dyn Store, what: &str) -> Outcome {
    let counts = store.count_rows(Duration::from_secs(60)).await?;
    let found = counts.into_iter().find(|count| count.lane == lane());
    let count = found.ok_or_else(|| Failure("the lane's rows are not counted".to_owned()))?;
    let is_counted = matches!(count.rows, Rows::Counted { .. });
    ensure(
        is_counted && count.difference().is_none(),
        format_args!("{what}: {count:?}"),
    )
}

/// A store with twelve chunks, eight of them folded.
async fn folded(receiver: &dyn Receiver) -> Result<(Arc<dyn Refill>, Chain, Vec<Arrival>), Failure> {
    let store = receiver.refill(Options::default());
    store.prepare().await?;
    let mut chain = Chain::new(lane(), claims_schema_with_tombstone(), 0);
    let all = twelve(&mut chain);
    all_stored(store.as_ref(), &all).await?;
    let before = report(store.as_ref()).await?;
    fold(store.as_ref(), FOUR, at(12)).await?;
    let after = report(store.as_ref()).await?;
    same("folded", &after.compacted, &Some(at(8)))?;
    same("entries", &count(receiver, "ledger").await?, &"4".to_owned())?;
    same(
        "the report",
        &LaneReport {
            compacted: None,
            ..after
        },
        &before,
    )?;
    Ok((store, chain, all))
}

/// Redelivered chunks with folded entries change nothing: no row is counted twice, no deleted row is restored.
pub async fn comes_again(receiver: &dyn Receiver) -> Outcome {
    let (store, mut chain, all) = folded(receiver).await?;
    counts(store.as_ref(), "folded").await?;
    for arrival in &all {
        let outcomes = store.store(&lane(), std::slice::from_ref(arrival)).await?;
        same("a chunk that is known", &outcomes, &vec![Stored::AlreadyStored])?;
    }
    same("the table", &table(receiver).await?, &texts(&ROWS))?;
    same("entries", &count(receiver, "ledger").await?, &"4".to_owned())?;
    // A message that claims a folded number does not replace the stored chunk.
    let forged = Unreadable {
        lane: lane(),
        claims: Some(Box::new((all[2].chunk.manifest.clone(), all[1].chunk.digest))),
        sequence: 99,
        exchanged_at: Timestamp::UNIX_EPOCH,
        reason: "the body was altered".to_owned(),
        bytes: Bytes::from_static(b"forged"),
    };
    store.quarantine(&forged).await?;
    all_stored(store.as_ref(), &[chain.next(&[row_or_tombstone(7, "g", false)])]).await?;
    let lane_report = report(store.as_ref()).await?;
    same(
        "frontier, rows, quarantined",
        &(lane_report.to, lane_report.rows, lane_report.quarantined),
        &(13, 14, vec![]),
    )?;
    counts(store.as_ref(), "after one more chunk").await?;
    // The rest is folded too, and the next chunk must still follow the last one.
    let nothing = LedgerRetention {
        entries: 0,
        age: Duration::ZERO,
    };
    fold(store.as_ref(), nothing, at(13)).await?;
    same("entries", &count(receiver, "ledger").await?, &"0".to_owned())?;
    all_stored(store.as_ref(), &[chain.next(&[row_or_tombstone(7, "h", false)])]).await?;
    same("the frontier", &report(store.as_ref()).await?.to, &14)?;
    counts(store.as_ref(), "with nothing kept").await
}

/// The exchange was restored from a copy older than the kept ledger entries.
pub async fn another_history(receiver: &dyn Receiver) -> Outcome {
    let (store, _, all) = folded(receiver).await?;
    let mut other = Chain::new(lane(), claims_schema_with_tombstone(), 1);
    other.rewound(link(&all[1]), 1);
    let mut alien = other.next(&[row_or_tombstone(8, "alien", false)]);
    alien.exchanged_at = Timestamp::UNIX_EPOCH
        .checked_add(Duration::from_secs(60))
        .map_err(|error| Failure(error.to_string()))?;
    let outcomes = store.store(&lane(), &[alien]).await?;
    ensure(
        matches!(&outcomes[..], [Stored::Stopped { reason }] if reason.starts_with(REWRITTEN)),
        format_args!("not stopped: {outcomes:?}"),
    )?;
    ensure(report(store.as_ref()).await?.stopped.is_some(), "lane continues")?;
    // At the last folded number the digest is known at any time.
    let store = receiver.store();
    let mut other = Chain::new(lane(), claims_schema_with_tombstone(), 2);
    other.rewound(link(&all[6]), 2);
    let outcomes = store
        .store(&lane(), &[other.next(&[row_or_tombstone(8, "x", false)])])
        .await?;
    ensure(
        matches!(&outcomes[..], [Stored::Stopped { .. }]),
        format_args!("not stopped: {outcomes:?}"),
    )?;
    // An operator opens an epoch from a chunk with a folded entry.
    let mut chain = Chain::new(lane(), claims_schema_with_tombstone(), 0);
    let opening = chain.open(Some(link(&all[4])));
    all_stored(
        store.as_ref(),
        &[opening, chain.next(&[row_or_tombstone(3, "new", false)])],
    )
    .await?;
    let lane_report = report(store.as_ref()).await?;
    same(
        "epoch, frontier, stop",
        &(lane_report.epoch, lane_report.to, lane_report.stopped),
        &(2, 2, None),
    )?;
    counts(store.as_ref(), "in the new epoch").await
}

/// Entries without a receipt, young entries, and entries from the first releasable one on are not folded.
pub async fn keeps(receiver: &dyn Receiver) -> Outcome {
    let store = receiver.refill(Options::default());
    store.prepare().await?;
    let mut chain = Chain::new(lane(), claims_schema_with_tombstone(), 0);
    let all = twelve(&mut chain);
    // The seventh cannot be opened.
    let broken = Unreadable {
        lane: lane(),
        claims: Some(Box::new((all[6].chunk.manifest.clone(), all[6].chunk.digest))),
        sequence: all[6].sequence,
        exchanged_at: all[6].exchanged_at,
        reason: "the body was altered".to_owned(),
        bytes: Bytes::from_static(b"altered"),
    };
    store.quarantine(&broken).await?;
    all_stored(store.as_ref(), &all[..6]).await?;
    all_stored(store.as_ref(), &all[7..]).await?;
    same("the frontier", &report(store.as_ref()).await?.to, &12)?;
    let young = LedgerRetention {
        age: Duration::from_hours(1),
        ..FOUR
    };
    fold(store.as_ref(), young, at(12)).await?;
    same("young", &report(store.as_ref()).await?.compacted, &None)?;
    store.compact(&FOUR, &BTreeMap::new()).await?;
    same(
        "without a receipt",
        &report(store.as_ref()).await?.compacted,
        &None,
    )?;
    fold(store.as_ref(), FOUR, at(3)).await?;
    same("covered", &report(store.as_ref()).await?.compacted, &Some(at(3)))?;
    fold(store.as_ref(), FOUR, at(12)).await?;
    let lane_report = report(store.as_ref()).await?;
    same("before the quarantine", &lane_report.compacted, &Some(at(6)))?;
    same("quarantined", &lane_report.quarantined, &vec![7])?;
    counts(store.as_ref(), "up to the quarantine").await
}

/// A refill from a folded number stores everything again and counts no row twice.
pub async fn refilled(receiver: &dyn Receiver) -> Outcome {
    let (store, mut chain, all) = folded(receiver).await?;
    let delete = "DELETE FROM setl WHERE id <> 3";
    receiver.execute(delete).await.map_err(Failure)?;
    store.mark_awaited(&lane(), at(5), END).await?;
    let lane_report = report(store.as_ref()).await?;
    same(
        "frontier, folded, owed",
        &(lane_report.to, lane_report.compacted, lane_report.refill_until),
        &(0, None, Some(at(8))),
    )?;
    // A poller stores a new chunk meanwhile.
    let new = chain.next(&[row_or_tombstone(7, "g", false)]);
    all_stored(receiver.store().as_ref(), std::slice::from_ref(&new)).await?;
    for arrival in &all[..5] {
        all_stored(store.as_ref(), std::slice::from_ref(arrival)).await?;
    }
    // An interrupted refill stays visible, also if stored chunks are folded again.
    same("the frontier", &report(store.as_ref()).await?.to, &5)?;
    fold(store.as_ref(), FOUR, at(12)).await?;
    let lane_report = report(store.as_ref()).await?;
    same(
        "frontier, folded, owed of an interrupted refill",
        &(lane_report.to, lane_report.compacted, lane_report.refill_until),
        &(5, Some(at(5)), Some(at(8))),
    )?;
    for arrival in &all[5..] {
        store.store(&lane(), std::slice::from_ref(arrival)).await?;
    }
    let lane_report = report(store.as_ref()).await?;
    same(
        "frontier, rows, owed",
        &(lane_report.to, lane_report.rows, lane_report.refill_until),
        &(13, 14, None),
    )?;
    same("awaited", &store.awaited(&lane(), 10).await?, &Vec::new())?;
    let rows = [&ROWS[..3], &["7:g@1.13"], &ROWS[3..]].concat();
    same("the table", &table(receiver).await?, &texts(&rows))?;
    counts(store.as_ref(), "after the refill").await?;
    fold(store.as_ref(), FOUR, at(13)).await?;
    same(
        "folded again",
        &report(store.as_ref()).await?.compacted,
        &Some(at(9)),
    )?;
    counts(store.as_ref(), "folded again").await?;
    // A second refill, from the start.
    store.mark_awaited(&lane(), START, END).await?;
    for arrival in all.iter().chain([&new]) {
        store.store(&lane(), std::slice::from_ref(arrival)).await?;
    }
    same("the frontier", &report(store.as_ref()).await?.to, &13)?;
    same("the table", &table(receiver).await?, &texts(&rows))?;
    counts(store.as_ref(), "after the second refill").await
}
