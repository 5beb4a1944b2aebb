//! A resynchronisation: at its end exactly the rows that were not sent again are removed.

use super::refill::differs;
use super::{
    Outcome, Receiver, all_stored, claims_schema, ensure, prepared, report, row, same, table, texts,
};
use crate::samples::{Chain, lane};
use store::layout::Options;
use store::merge::ChunkNumber;
use store::port::Outcome as Stored;
use store::refill::Difference;

/// Rows that are gone at the source are removed with the chunk that completes it.
pub async fn removes_gone(receiver: &dyn Receiver) -> Outcome {
    let store = prepared(receiver).await?;
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let old = chain.next(&[row(1, "a"), row(2, "gone"), row(3, "c"), row(4, "changed")]);
    all_stored(store.as_ref(), &[old]).await?;
    let opens = chain.open_resync();
    all_stored(store.as_ref(), &[opens]).await?;
    let lane_report = report(store.as_ref()).await?;
    let opened = ChunkNumber { epoch: 2, number: 1 };
    same("until its end", &lane_report.unfinished_removal, &Some(opened))?;
    let again = chain.next_resync(&[row(1, "a"), row(4, "new")], 0, false);
    let last = chain.next_resync(&[row(3, "c")], 0, true);
    // It arrives before a chunk that it depends on.
    let early = store.store(&lane(), std::slice::from_ref(&last)).await?;
    let waits = |outcome: &Stored| matches!(outcome, Stored::Deferred { .. });
    ensure(early.iter().all(waits), format_args!("not deferred: {early:?}"))?;
    all_stored(store.as_ref(), &[again]).await?;
    report(store.as_ref()).await?;
    all_stored(store.as_ref(), std::slice::from_ref(&last)).await?;
    let wanted = texts(&["1:a@2.2", "3:c@2.3", "4:new@2.2"]);
    same("the table", &table(receiver).await?, &wanted)?;
    let lane_report = report(store.as_ref()).await?;
    same(
        "frontier, at its end",
        &(lane_report.to, lane_report.unfinished_removal),
        &(3, None),
    )?;
    // It is redelivered, and the feed continues.
    let twice = store.store(&lane(), &[last]).await?;
    same("again", &twice, &vec![Stored::AlreadyStored])?;
    all_stored(store.as_ref(), &[chain.next(&[row(5, "e")])]).await?;
    let wanted = texts(&["1:a@2.2", "3:c@2.3", "4:new@2.2", "5:e@2.4"]);
    same("the table", &table(receiver).await?, &wanted)
}

/// A row that no chunk of the epoch contains may still exist.
pub async fn keeps_doubtful(receiver: &dyn Receiver) -> Outcome {
    let store = prepared(receiver).await?;
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    all_stored(store.as_ref(), &[chain.next(&[row(1, "a"), row(2, "held")])]).await?;
    for (epoch, excluded_rows) in [(2, 1), (3, 0)] {
        all_stored(store.as_ref(), &[chain.open_resync()]).await?;
        report(store.as_ref()).await?;
        let last = chain.next_resync(&[row(1, "a")], excluded_rows, true);
        all_stored(store.as_ref(), &[last]).await?;
        let lane_report = report(store.as_ref()).await?;
        let rows = table(receiver).await?.len();
        let chunk_number = ChunkNumber { epoch, number: 2 };
        let wanted = if excluded_rows > 0 {
            (2, Some(chunk_number))
        } else {
            (1, None)
        };
        same(
            "rows, and what is shown",
            &(rows, lane_report.unfinished_removal),
            &wanted,
        )?;
    }
    Ok(())
}

/// Others restore the table from a copy with rows that the resynchronisation had removed.
pub async fn again_removes_put_back(receiver: &dyn Receiver) -> Outcome {
    let store = receiver.refill(Options::default());
    store.prepare().await?;
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let mut all = vec![chain.next(&[row(1, "a"), row(2, "gone")]), chain.open_resync()];
    all_stored(store.as_ref(), &all).await?;
    report(store.as_ref()).await?;
    let last = chain.next_resync(&[row(1, "a")], 0, true);
    all_stored(store.as_ref(), std::slice::from_ref(&last)).await?;
    all.push(last);
    report(store.as_ref()).await?;
    let put_back =
        "INSERT INTO setl (id, name, _slacktide_epoch, _slacktide_number) VALUES (2, 'gone', 1, 1)";
    receiver.execute(put_back).await.map_err(super::Failure)?;
    let (first, end) = (
        ChunkNumber { epoch: 1, number: 1 },
        ChunkNumber { epoch: 2, number: 2 },
    );
    store.mark_awaited(&lane(), first, end).await?;
    for arrival in &all {
        store.store(&lane(), std::slice::from_ref(arrival)).await?;
    }
    same("awaited", &store.awaited(&lane(), 10).await?, &Vec::new())?;
    same("the table", &table(receiver).await?, &texts(&["1:a@2.2"]))?;
    let lane_report = report(store.as_ref()).await?;
    same(
        "the frontier",
        &(lane_report.epoch, lane_report.to, lane_report.unfinished_removal),
        &(2, 2, None),
    )
}

/// Until its end rows may be here that are gone at the source, also if chunks are stored again meanwhile.
pub async fn under_way_outlives_refill(receiver: &dyn Receiver) -> Outcome {
    let store = receiver.refill(Options::default());
    store.prepare().await?;
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let first = chain.next(&[row(1, "a"), row(2, "gone")]);
    let opens = chain.open_resync();
    all_stored(store.as_ref(), &[first, opens.clone()]).await?;
    report(store.as_ref()).await?;
    let opened = ChunkNumber { epoch: 2, number: 1 };
    store.mark_awaited(&lane(), opened, opened).await?;
    store.store(&lane(), &[opens]).await?;
    let lane_report = report(store.as_ref()).await?;
    same(
        "what may be here",
        &(lane_report.to, lane_report.unfinished_removal),
        &(1, Some(opened)),
    )
}

/// Rows that were deleted before are sent again; others may delete some of them before its end.
pub async fn deleted_meanwhile(receiver: &dyn Receiver) -> Outcome {
    let store = prepared(receiver).await?;
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let old = chain.next(&[row(1, "a"), row(2, "gone"), row(3, "c")]);
    all_stored(store.as_ref(), &[old]).await?;
    let delete = "DELETE FROM setl WHERE id = 1";
    receiver.execute(delete).await.map_err(super::Failure)?;
    for is_meanwhile in [false, true] {
        all_stored(store.as_ref(), &[chain.open_resync()]).await?;
        let again = chain.next_resync(&[row(1, "a"), row(3, "c")], 0, false);
        all_stored(store.as_ref(), &[again]).await?;
        report(store.as_ref()).await?;
        if is_meanwhile {
            receiver.execute(delete).await.map_err(super::Failure)?;
        }
        let last = chain.next_resync(&[row(4, "d")], 0, true);
        all_stored(store.as_ref(), &[last]).await?;
        let wanted = is_meanwhile.then_some(Difference::Fewer { missing: 1 });
        differs(store.as_ref(), "at its end", wanted).await?;
    }
    Ok(())
}

/// An epoch that continues with another source is compared before its rows count as equal; one that sends every row need not be.
pub async fn awaits_comparison(receiver: &dyn Receiver) -> Outcome {
    let store = prepared(receiver).await?;
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    all_stored(store.as_ref(), &[chain.next(&[row(1, "a")])]).await?;
    all_stored(store.as_ref(), &[chain.open_comparison(), chain.next(&[])]).await?;
    let lane_report = report(store.as_ref()).await?;
    let stated = ChunkNumber { epoch: 2, number: 2 };
    same("uncompared", &lane_report.uncompared, &Some(stated))?;
    all_stored(store.as_ref(), &[chain.next(&[row(2, "b")])]).await?;
    same("later", &report(store.as_ref()).await?.uncompared, &Some(stated))?;
    all_stored(store.as_ref(), &[chain.open_resync()]).await?;
    same("sent again", &report(store.as_ref()).await?.uncompared, &None)
}
