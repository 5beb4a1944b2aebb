//! Chunks that are stored again after a part of them was quarantined.

use super::super::changes::lines;
use super::super::{Outcome, all_stored, claims_schema, report, row, same, table, texts};
use super::{NOT_UNIQUE, QuarantineReceiver, UNIQUE, by, execute, kept, only, open, store_of};
use crate::samples::{Chain, lane};
use store::layout::{Mode, Options};
use store::merge::ChunkNumber;

/// The entry of a released row has ended, and the row is refused again.
pub(super) async fn refused_again(receiver: &dyn QuarantineReceiver) -> Outcome {
    let quarantine = open(receiver).await?;
    let refill = receiver.refill(Options::default());
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let all = [
        chain.next(&[row(0, "taken")]),
        chain.next(&[row(1, "good"), row(2, "taken")]),
    ];
    all_stored(store_of(&quarantine), &all[..1]).await?;
    execute(receiver, UNIQUE).await?;
    quarantine.store(&lane(), &all[1..]).await?;
    let id = only(quarantine.as_ref()).await?.id;
    let end = ChunkNumber { epoch: 1, number: 2 };
    for is_released in [true, false] {
        if is_released {
            execute(receiver, NOT_UNIQUE).await?;
            quarantine
                .retry_rows(&lane(), std::slice::from_ref(&id), &by())
                .await?;
            execute(receiver, "DELETE FROM setl").await?;
            execute(receiver, UNIQUE).await?;
        } else {
            quarantine
                .discard(&lane(), std::slice::from_ref(&id), &by())
                .await?;
        }
        refill.mark_awaited(&lane(), ChunkNumber::BEGINNING, end).await?;
        for arrival in &all {
            refill.store(&lane(), std::slice::from_ref(arrival)).await?;
        }
        same("the entry", &only(quarantine.as_ref()).await?.id, &id)?;
        same(
            "listed",
            &report(store_of(&quarantine)).await?.quarantined,
            &vec![2],
        )?;
        same(
            "the table",
            &table(receiver).await?,
            &texts(&["0:taken@1.1", "1:good@1.2"]),
        )?;
    }
    execute(receiver, NOT_UNIQUE).await?;
    quarantine
        .retry_rows(&lane(), std::slice::from_ref(&id), &by())
        .await?;
    same(
        "the table after a retry",
        &table(receiver).await?,
        &texts(&["0:taken@1.1", "1:good@1.2", "2:taken@1.2"]),
    )
}

/// The entry of a row is kept, and no retry can store a version that the history holds.
pub(super) async fn taken_again(receiver: &dyn QuarantineReceiver) -> Outcome {
    let both = || Options {
        mode: Mode::Both,
        ..Options::default()
    };
    let (quarantine, refill) = (receiver.quarantine_with(both()), receiver.refill(both()));
    quarantine.prepare().await?;
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let all = [
        chain.next(&[row(0, "taken")]),
        chain.next(&[row(1, "good"), row(2, "taken")]),
    ];
    all_stored(store_of(&quarantine), &all[..1]).await?;
    execute(receiver, UNIQUE).await?;
    quarantine.store(&lane(), &all[1..]).await?;
    only(quarantine.as_ref()).await?;
    execute(receiver, NOT_UNIQUE).await?;
    let end = ChunkNumber { epoch: 1, number: 2 };
    refill.mark_awaited(&lane(), end, end).await?;
    all_stored(refill.as_ref(), &all[1..]).await?;
    same("left", &kept(quarantine.as_ref()).await?.len(), &0)?;
    let lane_report = report(store_of(&quarantine)).await?;
    same(
        "frontier, quarantined",
        &(lane_report.to, lane_report.quarantined),
        &(2, vec![]),
    )?;
    let history = "SELECT CAST(id AS TEXT) FROM setl_history ORDER BY 1";
    same(
        "the history",
        &lines(receiver, history).await?,
        &texts(&["0", "1", "2"]),
    )?;
    same(
        "the table",
        &table(receiver).await?,
        &texts(&["0:taken@1.1", "1:good@1.2", "2:taken@1.2"]),
    )
}

/// The frontier is recounted over a chunk with a discarded row.
pub(super) async fn given_up_keeps_nothing(receiver: &dyn QuarantineReceiver) -> Outcome {
    let quarantine = open(receiver).await?;
    let (store, refill) = (store_of(&quarantine), receiver.refill(Options::default()));
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    all_stored(store, &[chain.next(&[row(0, "taken")])]).await?;
    execute(receiver, UNIQUE).await?;
    quarantine
        .store(&lane(), &[chain.next(&[row(1, "good"), row(2, "taken")])])
        .await?;
    let id = only(quarantine.as_ref()).await?.id;
    let third = chain.next(&[row(3, "gone")]);
    all_stored(store, std::slice::from_ref(&third)).await?;
    report(store).await?;
    quarantine.discard(&lane(), &[id], &by()).await?;
    let at = ChunkNumber { epoch: 1, number: 3 };
    refill.mark_awaited(&lane(), at, at).await?;
    refill.store(&lane(), &[third]).await?;
    report(store).await?;
    all_stored(store, &[chain.open_resync()]).await?;
    report(store).await?;
    let last = chain.next_resync(&[row(0, "taken"), row(1, "good")], 0, true);
    all_stored(store, &[last]).await?;
    let lane_report = report(store).await?;
    same(
        "what may be here",
        &(lane_report.to, lane_report.unfinished_removal),
        &(2, None),
    )?;
    same(
        "the table",
        &table(receiver).await?,
        &texts(&["0:taken@2.2", "1:good@2.2"]),
    )
}
