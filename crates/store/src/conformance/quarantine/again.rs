//! Chunks that are stored again, of which something was in quarantine before.

use super::super::changes::lines;
use super::super::{Outcome, all_stored, claims, report, row, same, table, texts};
use super::{Keeper, NOT_UNIQUE, UNIQUE, by, execute, kept, only, open, store_of};
use crate::layout::{Mode, Options};
use crate::merge::Place;
use crate::samples::{Chain, lane};

/// Trap: the entry of a row that was released has ended, and the row is refused once more.
pub(super) async fn refused_again(keeper: &dyn Keeper) -> Outcome {
    let quarantine = open(keeper).await?;
    let refill = keeper.refill(Options::default());
    let mut chain = Chain::new(lane(), claims(), 0);
    let all = [
        chain.next(&[row(0, "taken")]),
        chain.next(&[row(1, "good"), row(2, "taken")]),
    ];
    all_stored(store_of(&quarantine), &all[..1]).await?;
    execute(keeper, UNIQUE).await?;
    quarantine.store(&lane(), &all[1..]).await?;
    let id = only(quarantine.as_ref()).await?.id;
    let end = Place { epoch: 1, number: 2 };
    for is_released in [true, false] {
        if is_released {
            execute(keeper, NOT_UNIQUE).await?;
            quarantine
                .retry_rows(&lane(), std::slice::from_ref(&id), &by())
                .await?;
            execute(keeper, "DELETE FROM setl").await?;
            execute(keeper, UNIQUE).await?;
        } else {
            quarantine
                .discard(&lane(), std::slice::from_ref(&id), &by())
                .await?;
        }
        refill.await_again(&lane(), Place::BEGINNING, end).await?;
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
            &table(keeper).await?,
            &texts(&["0:taken@1.1", "1:good@1.2"]),
        )?;
    }
    execute(keeper, NOT_UNIQUE).await?;
    quarantine
        .retry_rows(&lane(), std::slice::from_ref(&id), &by())
        .await?;
    same(
        "the table after a retry",
        &table(keeper).await?,
        &texts(&["0:taken@1.1", "1:good@1.2", "2:taken@1.2"]),
    )
}

/// Trap: the entry of a row stays, and no retry can store in a history what is there.
pub(super) async fn taken_again(keeper: &dyn Keeper) -> Outcome {
    let both = || Options {
        mode: Mode::Both,
        ..Options::default()
    };
    let (quarantine, refill) = (keeper.keeping(both()), keeper.refill(both()));
    quarantine.prepare().await?;
    let mut chain = Chain::new(lane(), claims(), 0);
    let all = [
        chain.next(&[row(0, "taken")]),
        chain.next(&[row(1, "good"), row(2, "taken")]),
    ];
    all_stored(store_of(&quarantine), &all[..1]).await?;
    execute(keeper, UNIQUE).await?;
    quarantine.store(&lane(), &all[1..]).await?;
    only(quarantine.as_ref()).await?;
    execute(keeper, NOT_UNIQUE).await?;
    let end = Place { epoch: 1, number: 2 };
    refill.await_again(&lane(), end, end).await?;
    all_stored(refill.as_ref(), &all[1..]).await?;
    same("left", &kept(quarantine.as_ref()).await?.len(), &0)?;
    let told = report(store_of(&quarantine)).await?;
    same(
        "frontier, quarantined",
        &(told.to, told.quarantined),
        &(2, vec![]),
    )?;
    let history = "SELECT CAST(id AS TEXT) FROM setl_history ORDER BY 1";
    same(
        "the history",
        &lines(keeper, history).await?,
        &texts(&["0", "1", "2"]),
    )?;
    same(
        "the table",
        &table(keeper).await?,
        &texts(&["0:taken@1.1", "1:good@1.2", "2:taken@1.2"]),
    )
}

/// Trap: the frontier is counted again over a chunk of which a row was given up.
pub(super) async fn given_up_keeps_nothing(keeper: &dyn Keeper) -> Outcome {
    let quarantine = open(keeper).await?;
    let (store, refill) = (store_of(&quarantine), keeper.refill(Options::default()));
    let mut chain = Chain::new(lane(), claims(), 0);
    all_stored(store, &[chain.next(&[row(0, "taken")])]).await?;
    execute(keeper, UNIQUE).await?;
    quarantine
        .store(&lane(), &[chain.next(&[row(1, "good"), row(2, "taken")])])
        .await?;
    let id = only(quarantine.as_ref()).await?.id;
    let third = chain.next(&[row(3, "gone")]);
    all_stored(store, std::slice::from_ref(&third)).await?;
    report(store).await?;
    quarantine.discard(&lane(), &[id], &by()).await?;
    let at = Place { epoch: 1, number: 3 };
    refill.await_again(&lane(), at, at).await?;
    refill.store(&lane(), &[third]).await?;
    report(store).await?;
    all_stored(store, &[chain.open_resync()]).await?;
    report(store).await?;
    let last = chain.next_resync(&[row(0, "taken"), row(1, "good")], 0, true);
    all_stored(store, &[last]).await?;
    let told = report(store).await?;
    same("what may be here", &(told.to, told.unremoved), &(2, None))?;
    same(
        "the table",
        &table(keeper).await?,
        &texts(&["0:taken@2.2", "1:good@2.2"]),
    )
}
