//! Rows that constraints refused.

use std::sync::Arc;

use super::super::changes::lines;
use super::super::{
    Failure, Outcome, all_stored, claims, claims_with_tombstone, count, ensure, report, row,
    row_or_tombstone, same, table, texts,
};
use super::{Keeper, NOT_UNIQUE, UNIQUE, by, counted, execute, ids, kept, only, open, store_of};
use crate::layout::{Mode, Options};
use crate::quarantine::{Became, Ending, Kind, Quarantine, Wanted};
use crate::samples::{Chain, lane};

const RELEASED: Became = Became::Released { rows: 1, refused: 0 };

/// A table with one row, and a chunk whose second row takes the same name.
async fn one_refused(keeper: &dyn Keeper, chain: &mut Chain) -> Result<Arc<dyn Quarantine>, Failure> {
    let quarantine = open(keeper).await?;
    all_stored(store_of(&quarantine), &[chain.next(&[row(0, "taken")])]).await?;
    execute(keeper, UNIQUE).await?;
    let chunk = chain.next(&[row(1, "good"), row(2, "taken")]);
    quarantine.store(&lane(), &[chunk]).await?;
    wait_for_operator(keeper).await?;
    Ok(quarantine)
}

/// Rows that wait for another row are not tried again but by an operator.
async fn wait_for_operator(keeper: &dyn Keeper) -> Outcome {
    let own = keeper.own("quarantine");
    execute(keeper, &format!("UPDATE {own} SET retry_at = NULL")).await
}

/// Receipts then show that the number is no longer quarantined; a second retry changes nothing.
pub(super) async fn released(keeper: &dyn Keeper) -> Outcome {
    let mut chain = Chain::new(lane(), claims(), 0);
    let quarantine = one_refused(keeper, &mut chain).await?;
    same(
        "listed before",
        &report(store_of(&quarantine)).await?.quarantined,
        &vec![2],
    )?;
    let entry = only(quarantine.as_ref()).await?;
    same(
        "kind, place, ordinal",
        &(entry.kind, entry.place.map(|place| place.number), entry.ordinal),
        &(Kind::Row, Some(2), Some(1)),
    )?;
    execute(keeper, NOT_UNIQUE).await?;
    let wanted = [
        (RELEASED, 0),
        (
            Became::Ended {
                how: Ending::Released,
            },
            0,
        ),
    ];
    for (became, left) in wanted {
        let answers = quarantine
            .retry_rows(&lane(), std::slice::from_ref(&entry.id), &by())
            .await?;
        same("became", &answers, &vec![became])?;
        same("left", &kept(quarantine.as_ref()).await?.len(), &left)?;
        same(
            "the table",
            &table(keeper).await?,
            &texts(&["0:taken@1.1", "1:good@1.2", "2:taken@1.2"]),
        )?;
    }
    let told = report(store_of(&quarantine)).await?;
    same(
        "listed after",
        &(told.to, told.quarantined, told.rows),
        &(2, vec![], 3),
    )?;
    let all = Wanted {
        ended: true,
        ..Wanted::default()
    };
    let ended = quarantine.entries(&all).await?;
    let who = ended
        .first()
        .and_then(|entry| entry.ended.as_ref())
        .map(|ended| ended.actor.as_str());
    same("who", &who, &Some("li.na"))?;
    same(
        "bytes are dropped",
        &ended.first().map(|entry| entry.bytes),
        &Some(0),
    )?;
    same(
        "a chunk that comes again",
        &count(keeper, "quarantine").await?,
        &"1".to_owned(),
    )
}

/// What kept it aside still holds: it is told, and nothing changes.
pub(super) async fn stays(keeper: &dyn Keeper) -> Outcome {
    let mut chain = Chain::new(lane(), claims(), 0);
    let quarantine = one_refused(keeper, &mut chain).await?;
    let entry = only(quarantine.as_ref()).await?;
    let answers = quarantine
        .retry_rows(&lane(), std::slice::from_ref(&entry.id), &by())
        .await?;
    let told = |became: &Became| matches!(became, Became::Stays { reason } if !reason.contains("taken"));
    same("stays", &counted(&answers, told), &1)?;
    same("entry", &only(quarantine.as_ref()).await?.id, &entry.id)?;
    same(
        "listed",
        &report(store_of(&quarantine)).await?.quarantined,
        &vec![2],
    )?;
    let unknown = quarantine.retry_rows(&lane(), &["00".to_owned()], &by()).await?;
    same("unknown", &unknown, &vec![Became::Unknown])
}

/// Trap: a retry that puts an old version back over a newer one.
pub(super) async fn newer_stands(keeper: &dyn Keeper) -> Outcome {
    let mut chain = Chain::new(lane(), claims(), 0);
    let quarantine = one_refused(keeper, &mut chain).await?;
    all_stored(store_of(&quarantine), &[chain.next(&[row(2, "newest")])]).await?;
    execute(keeper, NOT_UNIQUE).await?;
    let id = only(quarantine.as_ref()).await?.id;
    let answers = quarantine.retry_rows(&lane(), &[id], &by()).await?;
    same("became", &answers, &vec![RELEASED])?;
    same(
        "the table",
        &table(keeper).await?,
        &texts(&["0:taken@1.1", "1:good@1.2", "2:newest@1.3"]),
    )?;
    let told = report(store_of(&quarantine)).await?;
    same(
        "frontier, quarantined",
        &(told.to, told.quarantined),
        &(3, vec![]),
    )
}

/// Trap: a deleted key comes back. The tombstone waits for what is in quarantine below it, and
/// goes when nothing is.
pub(super) async fn no_resurrection(keeper: &dyn Keeper) -> Outcome {
    let mut chain = Chain::new(lane(), claims_with_tombstone(), 0);
    let quarantine = open(keeper).await?;
    let store = store_of(&quarantine);
    all_stored(store, &[chain.next(&[row_or_tombstone(0, "taken", false)])]).await?;
    execute(keeper, UNIQUE).await?;
    quarantine
        .store(&lane(), &[chain.next(&[row_or_tombstone(7, "taken", false)])])
        .await?;
    wait_for_operator(keeper).await?;
    all_stored(store, &[chain.next(&[row_or_tombstone(7, "taken", true)])]).await?;
    same("frontier", &report(store).await?.to, &3)?;
    same(
        "tombstones kept",
        &count(keeper, "tombstones").await?,
        &"1".to_owned(),
    )?;
    execute(keeper, NOT_UNIQUE).await?;
    let id = only(quarantine.as_ref()).await?.id;
    let answers = quarantine.retry_rows(&lane(), &[id], &by()).await?;
    same("became", &answers, &vec![RELEASED])?;
    same("the table", &table(keeper).await?, &texts(&["0:taken@1.1"]))?;
    all_stored(store, &[chain.next(&[row_or_tombstone(8, "last", false)])]).await?;
    same("listed", &report(store).await?.quarantined, &vec![])?;
    same(
        "tombstones after",
        &count(keeper, "tombstones").await?,
        &"0".to_owned(),
    )
}

/// In the order of its chunk among the versions, and not over a newer one in the table.
pub(super) async fn versions(keeper: &dyn Keeper) -> Outcome {
    for (mode, at) in [(Mode::Both, "setl"), (Mode::History, "setl_history")] {
        let options = Options {
            mode,
            ..Options::default()
        };
        let quarantine = keeper.keeping(options);
        quarantine.prepare().await?;
        let store = store_of(&quarantine);
        let mut chain = Chain::new(lane(), claims(), 0);
        all_stored(store, &[chain.next(&[row(0, "taken")])]).await?;
        execute(keeper, &format!("CREATE UNIQUE INDEX setl_name ON {at} (name)")).await?;
        let second = chain.next(&[row(1, "good"), row(2, "taken")]);
        quarantine.store(&lane(), &[second]).await?;
        wait_for_operator(keeper).await?;
        all_stored(store, &[chain.next(&[row(2, "newest")])]).await?;
        execute(keeper, NOT_UNIQUE).await?;
        let id = only(quarantine.as_ref()).await?.id;
        for _ in 0..2 {
            quarantine
                .retry_rows(&lane(), std::slice::from_ref(&id), &by())
                .await?;
            let versions = "SELECT CAST(_slacktide_number AS TEXT), CAST(_slacktide_ordinal AS TEXT), CAST(id AS TEXT), \
                 name FROM setl_history ORDER BY 1, 2";
            same(
                "the history",
                &lines(keeper, versions).await?,
                &texts(&["1|0|0|taken", "2|0|1|good", "2|1|2|taken", "3|0|2|newest"]),
            )?;
        }
        if mode == Mode::Both {
            same(
                "the table",
                &table(keeper).await?,
                &texts(&["0:taken@1.1", "1:good@1.2", "2:newest@1.3"]),
            )?;
        }
        same("listed", &report(store).await?.quarantined, &vec![])?;
        let own = ["ledger", "lanes", "quarantine", "quarantine_manifests"];
        let own = own
            .map(|table| format!("DELETE FROM {};", keeper.own(table)))
            .concat();
        let tables = if mode == Mode::Both {
            "DROP TABLE setl;"
        } else {
            ""
        };
        execute(keeper, &format!("{own} {tables} DROP TABLE setl_history;")).await?;
    }
    Ok(())
}

/// Four operators, the same rows.
pub(super) async fn at_once(keeper: &dyn Keeper) -> Outcome {
    let quarantine = open(keeper).await?;
    let mut chain = Chain::new(lane(), claims(), 0);
    all_stored(store_of(&quarantine), &[chain.next(&[row(0, "taken")])]).await?;
    execute(keeper, UNIQUE).await?;
    let rows: Vec<_> = (1..=20).map(|id| row(id, "taken")).collect();
    quarantine.store(&lane(), &[chain.next(&rows)]).await?;
    let all = ids(&kept(quarantine.as_ref()).await?);
    same("refused", &all.len(), &20)?;
    execute(keeper, NOT_UNIQUE).await?;
    let tasks: Vec<_> = (0..4_usize)
        .map(|operator| {
            let (quarantine, mut ids) = (keeper.quarantine(), all.clone());
            ids.rotate_left(operator * 5);
            tokio::spawn(async move { quarantine.retry_rows(&lane(), &ids, &by()).await })
        })
        .collect();
    let mut released = 0;
    for task in tasks {
        let answers = task.await.map_err(|error| Failure(error.to_string()))??;
        released += counted(&answers, |became| *became == RELEASED);
        same("out", &counted(&answers, Became::is_out), &20)?;
    }
    same("released once", &released, &20)?;
    same("the table", &table(keeper).await?.len(), &21)?;
    let left = "SELECT CAST(rows_quarantined AS TEXT) FROM ";
    let left = keeper
        .texts(&format!("{left}{} WHERE number = 2", keeper.own("ledger")))
        .await
        .map_err(Failure)?;
    ensure(
        left == [[Some("0".to_owned())]],
        format_args!("the ledger says {left:?}"),
    )?;
    same(
        "listed",
        &report(store_of(&quarantine)).await?.quarantined,
        &vec![],
    )
}
