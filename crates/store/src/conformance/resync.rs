//! A resynchronisation: what did not come again is removed at its end, and nothing else.

use super::refill::differs;
use super::{Outcome, Receiver, all_stored, claims, ensure, prepared, report, row, same, table, texts};
use crate::layout::Options;
use crate::merge::Place;
use crate::port::Outcome as Stored;
use crate::refill::Difference;
use crate::samples::{Chain, lane};

/// Rows that are gone at the source are removed with the chunk that completes it.
pub async fn removes_gone(receiver: &dyn Receiver) -> Outcome {
    let store = prepared(receiver).await?;
    let mut chain = Chain::new(lane(), claims(), 0);
    let old = chain.next(&[row(1, "a"), row(2, "gone"), row(3, "c"), row(4, "changed")]);
    all_stored(store.as_ref(), &[old]).await?;
    let opens = chain.open_resync();
    all_stored(store.as_ref(), &[opens]).await?;
    let told = report(store.as_ref()).await?;
    let opened = Place { epoch: 2, number: 1 };
    same("until its end", &told.unremoved, &Some(opened))?;
    let again = chain.next_resync(&[row(1, "a"), row(4, "new")], 0, false);
    let last = chain.next_resync(&[row(3, "c")], 0, true);
    // It comes before what it builds on.
    let early = store.store(&lane(), std::slice::from_ref(&last)).await?;
    let waits = |outcome: &Stored| matches!(outcome, Stored::Later { .. });
    ensure(early.iter().all(waits), format_args!("not put off: {early:?}"))?;
    all_stored(store.as_ref(), &[again]).await?;
    report(store.as_ref()).await?;
    all_stored(store.as_ref(), std::slice::from_ref(&last)).await?;
    let wanted = texts(&["1:a@2.2", "3:c@2.3", "4:new@2.2"]);
    same("the table", &table(receiver).await?, &wanted)?;
    let told = report(store.as_ref()).await?;
    same("frontier, at its end", &(told.to, told.unremoved), &(3, None))?;
    // It comes once more, and the feed goes on.
    let twice = store.store(&lane(), &[last]).await?;
    same("again", &twice, &vec![Stored::Already])?;
    all_stored(store.as_ref(), &[chain.next(&[row(5, "e")])]).await?;
    let wanted = texts(&["1:a@2.2", "3:c@2.3", "4:new@2.2", "5:e@2.4"]);
    same("the table", &table(receiver).await?, &wanted)
}

/// A row that no chunk of the epoch carries may be there all the same.
pub async fn keeps_doubtful(receiver: &dyn Receiver) -> Outcome {
    let store = prepared(receiver).await?;
    let mut chain = Chain::new(lane(), claims(), 0);
    all_stored(store.as_ref(), &[chain.next(&[row(1, "a"), row(2, "held")])]).await?;
    for (epoch, kept_back) in [(2, 1), (3, 0)] {
        all_stored(store.as_ref(), &[chain.open_resync()]).await?;
        report(store.as_ref()).await?;
        let last = chain.next_resync(&[row(1, "a")], kept_back, true);
        all_stored(store.as_ref(), &[last]).await?;
        let told = report(store.as_ref()).await?;
        let rows = table(receiver).await?.len();
        let place = Place { epoch, number: 2 };
        let wanted = if kept_back > 0 {
            (2, Some(place))
        } else {
            (1, None)
        };
        same("rows, and what is shown", &(rows, told.unremoved), &wanted)?;
    }
    Ok(())
}

/// Others put the table back from a copy that holds rows which the resynchronisation had removed.
pub async fn again_removes_put_back(receiver: &dyn Receiver) -> Outcome {
    let store = receiver.refill(Options::default());
    store.prepare().await?;
    let mut chain = Chain::new(lane(), claims(), 0);
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
    let (first, end) = (Place { epoch: 1, number: 1 }, Place { epoch: 2, number: 2 });
    store.await_again(&lane(), first, end).await?;
    for arrival in &all {
        store.store(&lane(), std::slice::from_ref(arrival)).await?;
    }
    same("awaited", &store.awaited(&lane(), 10).await?, &Vec::new())?;
    same("the table", &table(receiver).await?, &texts(&["1:a@2.2"]))?;
    let told = report(store.as_ref()).await?;
    same(
        "the frontier",
        &(told.epoch, told.to, told.unremoved),
        &(2, 2, None),
    )
}

/// Until its end rows may be here that are gone at the source, whatever is stored again meanwhile.
pub async fn under_way_outlives_refill(receiver: &dyn Receiver) -> Outcome {
    let store = receiver.refill(Options::default());
    store.prepare().await?;
    let mut chain = Chain::new(lane(), claims(), 0);
    let first = chain.next(&[row(1, "a"), row(2, "gone")]);
    let opens = chain.open_resync();
    all_stored(store.as_ref(), &[first, opens.clone()]).await?;
    report(store.as_ref()).await?;
    let opened = Place { epoch: 2, number: 1 };
    store.await_again(&lane(), opened, opened).await?;
    store.store(&lane(), &[opens]).await?;
    let told = report(store.as_ref()).await?;
    same("what may be here", &(told.to, told.unremoved), &(1, Some(opened)))
}

/// Rows that were deleted before it come again; of those that came, others may delete some before its end.
pub async fn deleted_meanwhile(receiver: &dyn Receiver) -> Outcome {
    let store = prepared(receiver).await?;
    let mut chain = Chain::new(lane(), claims(), 0);
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
