//! A store that holds less than its receipts cover: identity, chunks stored again, row counts.

use std::time::Duration;

use schemas::receipt::StoreId;

use super::{
    Failure, Outcome, Receiver, all_stored, claims_schema, claims_schema_with_tombstone, ensure, link,
    prepared, report, row, row_or_tombstone, same, table, texts,
};
use crate::samples::{Chain, lane};
use store::layout::{Mode, Options};
use store::merge::ChunkNumber;
use store::port::{Approval, Arrival, Store};
use store::refill::{Difference, Refill, RowCount, Rows};

const START: ChunkNumber = ChunkNumber { epoch: 1, number: 1 };
const END: ChunkNumber = ChunkNumber { epoch: 9, number: 0 };

fn by() -> Approval {
    Approval {
        actor: "li.na".to_owned(),
        reason: "a drill".to_owned(),
    }
}

async fn one_count(store: &dyn Store) -> Result<RowCount, Failure> {
    let counts = store.count_rows(Duration::from_secs(60)).await?;
    let found = counts.into_iter().find(|count| count.lane == lane());
    found.ok_or_else(|| Failure("the lane's rows are not counted".to_owned()))
}

pub(super) async fn differs(store: &dyn Store, what: &str, wanted: Option<Difference>) -> Outcome {
    let count = one_count(store).await?;
    ensure(
        wanted.is_some() || matches!(count.rows, Rows::Counted { .. }),
        format_args!("{what}: {count:?}"),
    )?;
    same(what, &count.difference(), &wanted)
}

/// Stores awaited chunks again, in the order of the exchange.
async fn again(store: &dyn Refill, arrivals: &[Arrival]) -> Outcome {
    for arrival in arrivals {
        store.store(&lane(), std::slice::from_ref(arrival)).await?;
    }
    same("awaited", &store.awaited(&lane(), 10).await?, &Vec::new())
}

/// One UUID for each database, for any number of processes and preparations.
pub async fn identity(receiver: &dyn Receiver) -> Outcome {
    let first = prepared(receiver).await?.identity().await?;
    let other = receiver.refill(Options::default());
    other.prepare().await?;
    same("by another", &other.identity().await?, &first)?;
    let lost = StoreId::of([7; 16]);
    ensure(!first.owns(&lost), "it owns another store's receipts")?;
    let replaced = other.replace(std::slice::from_ref(&lost), &by()).await?;
    ensure(
        replaced.owns(&lost) && replaced.owns(&first.id),
        "it is not replaced",
    )?;
    same("kept", &receiver.store().identity().await?, &replaced)?;
    let sql = format!("SELECT actor FROM {}", receiver.own("declarations"));
    let declared = receiver.texts(&sql).await.map_err(Failure)?;
    same("who decided", &declared, &vec![vec![Some("li.na".to_owned())]])
}

/// The ledger knows every chunk, but the rows are gone.
pub async fn truncated(receiver: &dyn Receiver) -> Outcome {
    let store = receiver.refill(Options::default());
    store.prepare().await?;
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let mut all = vec![
        chain.next(&[row(1, "a"), row(2, "b")]),
        chain.next(&[row(1, "c"), row(3, "d")]),
    ];
    all_stored(store.as_ref(), &all).await?;
    differs(store.as_ref(), "as stored", None).await?;
    let delete = "DELETE FROM setl WHERE id <> 2";
    receiver.execute(delete).await.map_err(Failure)?;
    let fewer = Some(Difference::Fewer { missing: 2 });
    differs(store.as_ref(), "after the deletion", fewer).await?;
    let third = chain.next(&[row(4, "e")]);
    all_stored(store.as_ref(), std::slice::from_ref(&third)).await?;
    differs(store.as_ref(), "after one more chunk", fewer).await?;
    all.push(third);
    let awaited = store.mark_awaited(&lane(), START, END).await?;
    same("awaited", &awaited, &3)?;
    same("the frontier", &report(store.as_ref()).await?.to, &0)?;
    // An interrupted refill continues when repeated, and a poller stores new chunks meanwhile.
    let fourth = chain.next(&[row(2, "f")]);
    store.store(&lane(), &all[..1]).await?;
    all_stored(receiver.store().as_ref(), std::slice::from_ref(&fourth)).await?;
    same("the frontier", &report(store.as_ref()).await?.to, &1)?;
    again(store.as_ref(), &all).await?;
    same("the frontier", &report(store.as_ref()).await?.to, &4)?;
    same(
        "the table",
        &table(receiver).await?,
        &texts(&["1:c@1.2", "2:f@1.4", "3:d@1.2", "4:e@1.3"]),
    )?;
    differs(store.as_ref(), "after the refill", None).await
}

/// A missing table is shown, refuses chunks, and is created and filled again.
pub async fn dropped(receiver: &dyn Receiver) -> Outcome {
    let store = receiver.refill(Options::default());
    store.prepare().await?;
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let all = [chain.next(&[row(1, "a")]), chain.next(&[row(2, "b")])];
    all_stored(store.as_ref(), &all).await?;
    receiver.execute("DROP TABLE setl").await.map_err(Failure)?;
    differs(store.as_ref(), "a table that is gone", Some(Difference::Gone)).await?;
    store.mark_awaited(&lane(), START, END).await?;
    let fewer = Some(Difference::Fewer { missing: 2 });
    differs(store.as_ref(), "made again", fewer).await?;
    again(store.as_ref(), &all).await?;
    same(
        "the table",
        &table(receiver).await?,
        &texts(&["1:a@1.1", "2:b@1.2"]),
    )?;
    differs(store.as_ref(), "filled again", None).await
}

/// Others changed rows and left their chunk numbers.
pub async fn changed(receiver: &dyn Receiver) -> Outcome {
    let store = receiver.refill(Options::default());
    store.prepare().await?;
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let all = [
        chain.next(&[row(1, "a"), row(2, "b")]),
        chain.next(&[row(1, "c")]),
    ];
    all_stored(store.as_ref(), &all).await?;
    let change = "UPDATE setl SET name = 'changed'";
    receiver.execute(change).await.map_err(Failure)?;
    store.mark_awaited(&lane(), START, END).await?;
    again(store.as_ref(), &all).await?;
    same(
        "the table",
        &table(receiver).await?,
        &texts(&["1:c@1.2", "2:b@1.1"]),
    )
}

/// The tombstone of an old delete is dropped, and a newer one arrives while old chunks are read.
pub async fn no_resurrection(receiver: &dyn Receiver) -> Outcome {
    let store = receiver.refill(Options::default());
    store.prepare().await?;
    let mut chain = Chain::new(lane(), claims_schema_with_tombstone(), 0);
    let all = [
        chain.next(&[row_or_tombstone(1, "a", false), row_or_tombstone(2, "b", false)]),
        chain.next(&[row_or_tombstone(1, "a", true)]),
    ];
    all_stored(store.as_ref(), &all).await?;
    report(store.as_ref()).await?;
    same(
        "tombstones",
        &super::count(receiver, "tombstones").await?,
        &"0".to_owned(),
    )?;
    receiver.execute("DELETE FROM setl").await.map_err(Failure)?;
    store.mark_awaited(&lane(), START, END).await?;
    let third = chain.next(&[row_or_tombstone(2, "b", true)]);
    let poller = receiver.store();
    all_stored(poller.as_ref(), std::slice::from_ref(&third)).await?;
    report(poller.as_ref()).await?;
    again(store.as_ref(), &all).await?;
    report(poller.as_ref()).await?;
    same("the table", &table(receiver).await?, &texts(&[]))?;
    // After a complete refill an operator accepts the current rows.
    store.accept_row_count(&lane(), Some(&by())).await?;
    differs(store.as_ref(), "after the refill", None).await
}

/// The ledger knows the number of rows after any chunks.
pub async fn counted(receiver: &dyn Receiver) -> Outcome {
    let store = receiver.refill(Options::default());
    store.prepare().await?;
    let mut chain = Chain::new(lane(), claims_schema_with_tombstone(), 0);
    let mut random = 0x2545_f491_u32;
    for round in 0..12 {
        let rows: Vec<_> = (0..20)
            .map(|_| {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                row_or_tombstone(
                    i64::from((random >> 8) % 40),
                    "n",
                    (random >> 20).is_multiple_of(3),
                )
            })
            .collect();
        let both = [chain.next(&rows), chain.next(&rows[..7])];
        all_stored(store.as_ref(), &both).await?;
        differs(store.as_ref(), &format!("after round {round}"), None).await?;
    }
    let add = "INSERT INTO setl (id, _slacktide_epoch, _slacktide_number) VALUES (999, 1, 1)";
    receiver.execute(add).await.map_err(Failure)?;
    let more = Some(Difference::More { surplus: 1 });
    differs(store.as_ref(), "after others added one", more).await?;
    store.accept_row_count(&lane(), Some(&by())).await?;
    differs(store.as_ref(), "trusted", None).await
}

/// Versions are keyed by chunk number: existing ones must not conflict.
pub async fn history(receiver: &dyn Receiver) -> Outcome {
    let options = || Options {
        mode: Mode::Both,
        ..Options::default()
    };
    let store = receiver.refill(options());
    store.prepare().await?;
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let all = [
        chain.next(&[row(1, "a"), row(2, "b")]),
        chain.next(&[row(1, "c")]),
    ];
    all_stored(store.as_ref(), &all).await?;
    let delete = "DELETE FROM setl_history WHERE id = 2; DELETE FROM setl WHERE id = 1;";
    receiver.execute(delete).await.map_err(Failure)?;
    store.mark_awaited(&lane(), START, END).await?;
    again(store.as_ref(), &all).await?;
    let sql = "SELECT name FROM setl_history ORDER BY _slacktide_number, _slacktide_ordinal";
    let versions = receiver.texts(sql).await.map_err(Failure)?;
    let named = |name: &str| vec![Some(name.to_owned())];
    same(
        "the history",
        &versions,
        &vec![named("a"), named("b"), named("c")],
    )?;
    same(
        "the table",
        &table(receiver).await?,
        &texts(&["1:c@1.2", "2:b@1.1"]),
    )?;
    same(
        "quarantine",
        &super::count(receiver, "quarantine").await?,
        &"0".to_owned(),
    )
}

/// A chunk that can no longer be opened must not block the frontier permanently.
pub async fn mark_stored(receiver: &dyn Receiver) -> Outcome {
    let store = receiver.refill(Options::default());
    store.prepare().await?;
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let all = [
        chain.next(&[row(1, "a")]),
        chain.next(&[row(2, "b")]),
        chain.next(&[row(3, "c")]),
    ];
    all_stored(store.as_ref(), &all).await?;
    let second = ChunkNumber { epoch: 1, number: 2 };
    store.mark_awaited(&lane(), second, second).await?;
    same("awaited", &store.awaited(&lane(), 10).await?, &vec![second])?;
    same("the frontier", &report(store.as_ref()).await?.to, &1)?;
    store.mark_stored(&lane(), second).await?;
    same("the frontier", &report(store.as_ref()).await?.to, &3)
}

/// A refill is interrupted, and a new epoch supersedes the awaited chunks.
pub async fn awaits_nothing_left_behind(receiver: &dyn Receiver) -> Outcome {
    let store = receiver.refill(Options::default());
    store.prepare().await?;
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let all = [chain.next(&[row(1, "a")]), chain.next(&[row(2, "b")])];
    all_stored(store.as_ref(), &all).await?;
    store.mark_awaited(&lane(), START, END).await?;
    same("awaited", &store.awaited(&lane(), 1).await?, &vec![START])?;
    all_stored(store.as_ref(), &[chain.open(None), chain.next(&[row(1, "c")])]).await?;
    same("awaited", &store.awaited(&lane(), 10).await?, &vec![])?;
    frontier_is(store.as_ref(), (2, 2, 0)).await
}

/// Returns epoch, frontier and pending chunks of the lane.
async fn frontier_is(store: &dyn Store, wanted: (u32, u64, u64)) -> Outcome {
    let report = report(store).await?;
    same(
        "epoch, frontier, pending",
        &(report.epoch, report.to, report.pending),
        &wanted,
    )
}

/// A chunk is stored above a gap, and the exchange is restored from a copy older than the gap. A chunk that is
/// republished there has a lower number than the stored one.
pub async fn republished(receiver: &dyn Receiver) -> Outcome {
    let store = receiver.refill(Options::default());
    store.prepare().await?;
    let mut chain = Chain::new(lane(), claims_schema_with_tombstone(), 0);
    let first = chain.next(&[row_or_tombstone(1, "a", false), row_or_tombstone(2, "b", false)]);
    let lost = [
        chain.next(&[row_or_tombstone(4, "lost", false)]),
        chain.next(&[row_or_tombstone(5, "lost", false)]),
    ];
    let above = chain.next(&[
        row_or_tombstone(1, "old", false),
        row_or_tombstone(2, "b", true),
        row_or_tombstone(3, "old", false),
    ]);
    all_stored(store.as_ref(), &[first.clone(), above]).await?;
    // The exchange is restored to the first chunk; another chunk gets the second number.
    let mut other = Chain::new(lane(), claims_schema_with_tombstone(), 1);
    other.rewound(link(&first), 1);
    let mut republished = other.next(&[
        row_or_tombstone(1, "new", false),
        row_or_tombstone(2, "new", false),
    ]);
    republished.exchanged_at = jiff::Timestamp::UNIX_EPOCH
        .checked_add(Duration::from_secs(60))
        .map_err(|error| Failure(error.to_string()))?;
    all_stored(store.as_ref(), std::slice::from_ref(&republished)).await?;
    same("the frontier", &report(store.as_ref()).await?.to, &2)?;
    let alien = other.next(&[row_or_tombstone(6, "x", false)]);
    let outcomes = store.store(&lane(), &[alien]).await?;
    ensure(
        matches!(outcomes[..], [store::port::Outcome::Stopped { .. }]),
        format_args!("{outcomes:?}"),
    )?;
    // An operator opens an epoch that continues the republished chunk.
    let opening = other.open(Some(link(&republished)));
    let last = other.next(&[row_or_tombstone(3, "next", false)]);
    let second = ChunkNumber { epoch: 1, number: 2 };
    all_stored(store.as_ref(), &[opening, last.clone()]).await?;
    same("awaited", &store.awaited(&lane(), 10).await?, &vec![second])?;
    frontier_is(store.as_ref(), (1, 1, 4)).await?;
    again(store.as_ref(), &[republished]).await?;
    same(
        "the table",
        &table(receiver).await?,
        &texts(&["1:new@1.2", "2:new@1.2", "3:next@2.2"]),
    )?;
    frontier_is(store.as_ref(), (2, 2, 0)).await?;
    // A superseded chunk that is delivered late changes nothing. Another epoch awaits no chunk.
    for late in lost {
        let outcomes = store.store(&lane(), &[late]).await?;
        same("late", &outcomes, &vec![store::port::Outcome::Superseded])?;
    }
    let third = other.open(Some(link(&last)));
    all_stored(store.as_ref(), &[third]).await?;
    same("awaited", &store.awaited(&lane(), 10).await?, &vec![])?;
    one_count(store.as_ref()).await?;
    differs(store.as_ref(), "after the refill", None).await?;
    let delete = "DELETE FROM setl WHERE id = 3";
    receiver.execute(delete).await.map_err(Failure)?;
    let fewer = Some(Difference::Fewer { missing: 1 });
    differs(store.as_ref(), "after a deletion", fewer).await
}
