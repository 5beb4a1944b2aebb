//! Rows that constraints refused.

use std::sync::Arc;

use super::super::changes::lines;
use super::super::{
    Failure, Outcome, all_stored, claims_schema, claims_schema_with_tombstone, count, ensure, report, row,
    row_or_tombstone, same, table, texts,
};
use super::{NOT_UNIQUE, QuarantineReceiver, UNIQUE, by, counted, execute, ids, kept, only, open, store_of};
use crate::samples::{Chain, lane};
use store::layout::{Mode, Options};
use store::quarantine::{Ending, EntryFilter, Kind, Quarantine, RetryOutcome};

const RELEASED: RetryOutcome = RetryOutcome::Released { rows: 1, refused: 0 };

/// A table with one row, and a chunk whose second row uses the same name.
async fn one_refused(
    receiver: &dyn QuarantineReceiver,
    chain: &mut Chain,
) -> Result<Arc<dyn Quarantine>, Failure> {
    let quarantine = open(receiver).await?;
    all_stored(store_of(&quarantine), &[chain.next(&[row(0, "taken")])]).await?;
    execute(receiver, UNIQUE).await?;
    let chunk = chain.next(&[row(1, "good"), row(2, "taken")]);
    quarantine.store(&lane(), &[chunk]).await?;
    wait_for_operator(receiver).await?;
    Ok(quarantine)
}

/// Waiting rows are only retried by an operator here.
async fn wait_for_operator(receiver: &dyn QuarantineReceiver) -> Outcome {
    let own = receiver.own("quarantine");
    execute(receiver, &format!("UPDATE {own} SET retry_at = NULL")).await
}

/// Receipts then show that the number is no longer quarantined; a second retry changes nothing.
pub(super) async fn released(receiver: &dyn QuarantineReceiver) -> Outcome {
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let quarantine = one_refused(receiver, &mut chain).await?;
    same(
        "listed before",
        &report(store_of(&quarantine)).await?.quarantined,
        &vec![2],
    )?;
    let entry = only(quarantine.as_ref()).await?;
    same(
        "kind, place, ordinal",
        &(
            entry.kind,
            entry.chunk_number.map(|chunk_number| chunk_number.number),
            entry.ordinal,
        ),
        &(Kind::Row, Some(2), Some(1)),
    )?;
    execute(receiver, NOT_UNIQUE).await?;
    let wanted = [
        (RELEASED, 0),
        (
            RetryOutcome::Ended {
                ending: Ending::Released,
            },
            0,
        ),
    ];
    for (outcome, left) in wanted {
        let answers = quarantine
            .retry_rows(&lane(), std::slice::from_ref(&entry.id), &by())
            .await?;
        same("became", &answers, &vec![outcome])?;
        same("left", &kept(quarantine.as_ref()).await?.len(), &left)?;
        same(
            "the table",
            &table(receiver).await?,
            &texts(&["0:taken@1.1", "1:good@1.2", "2:taken@1.2"]),
        )?;
    }
    let lane_report = report(store_of(&quarantine)).await?;
    same(
        "listed after",
        &(lane_report.to, lane_report.quarantined, lane_report.rows),
        &(2, vec![], 3),
    )?;
    let all = EntryFilter {
        ended: true,
        ..EntryFilter::default()
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
        &count(receiver, "quarantine").await?,
        &"1".to_owned(),
    )
}

/// The cause still holds: it is shown, and nothing changes.
pub(super) async fn still_refused(receiver: &dyn QuarantineReceiver) -> Outcome {
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let quarantine = one_refused(receiver, &mut chain).await?;
    let entry = only(quarantine.as_ref()).await?;
    let answers = quarantine
        .retry_rows(&lane(), std::slice::from_ref(&entry.id), &by())
        .await?;
    let lane_report = |outcome: &RetryOutcome| matches!(outcome, RetryOutcome::Stays { reason } if !reason.contains("taken"));
    same("stays", &counted(&answers, lane_report), &1)?;
    same("entry", &only(quarantine.as_ref()).await?.id, &entry.id)?;
    same(
        "listed",
        &report(store_of(&quarantine)).await?.quarantined,
        &vec![2],
    )?;
    let unknown = quarantine.retry_rows(&lane(), &["00".to_owned()], &by()).await?;
    same("unknown", &unknown, &vec![RetryOutcome::Unknown])
}

/// A retry must not overwrite a newer version.
pub(super) async fn newer_is_kept(receiver: &dyn QuarantineReceiver) -> Outcome {
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let quarantine = one_refused(receiver, &mut chain).await?;
    all_stored(store_of(&quarantine), &[chain.next(&[row(2, "newest")])]).await?;
    execute(receiver, NOT_UNIQUE).await?;
    let id = only(quarantine.as_ref()).await?.id;
    let answers = quarantine.retry_rows(&lane(), &[id], &by()).await?;
    same("became", &answers, &vec![RELEASED])?;
    same(
        "the table",
        &table(receiver).await?,
        &texts(&["0:taken@1.1", "1:good@1.2", "2:newest@1.3"]),
    )?;
    let lane_report = report(store_of(&quarantine)).await?;
    same(
        "frontier, quarantined",
        &(lane_report.to, lane_report.quarantined),
        &(3, vec![]),
    )
}

/// A retry must not restore a deleted key. The tombstone is kept while something below it is in quarantine.
pub(super) async fn no_resurrection(receiver: &dyn QuarantineReceiver) -> Outcome {
    let mut chain = Chain::new(lane(), claims_schema_with_tombstone(), 0);
    let quarantine = open(receiver).await?;
    let store = store_of(&quarantine);
    all_stored(store, &[chain.next(&[row_or_tombstone(0, "taken", false)])]).await?;
    execute(receiver, UNIQUE).await?;
    quarantine
        .store(&lane(), &[chain.next(&[row_or_tombstone(7, "taken", false)])])
        .await?;
    wait_for_operator(receiver).await?;
    all_stored(store, &[chain.next(&[row_or_tombstone(7, "taken", true)])]).await?;
    same("frontier", &report(store).await?.to, &3)?;
    same(
        "tombstones kept",
        &count(receiver, "tombstones").await?,
        &"1".to_owned(),
    )?;
    execute(receiver, NOT_UNIQUE).await?;
    let id = only(quarantine.as_ref()).await?.id;
    let answers = quarantine.retry_rows(&lane(), &[id], &by()).await?;
    same("became", &answers, &vec![RELEASED])?;
    same("the table", &table(receiver).await?, &texts(&["0:taken@1.1"]))?;
    all_stored(store, &[chain.next(&[row_or_tombstone(8, "last", false)])]).await?;
    same("listed", &report(store).await?.quarantined, &vec![])?;
    same(
        "tombstones after",
        &count(receiver, "tombstones").await?,
        &"0".to_owned(),
    )
}

/// Stored in the history in the order of its chunk, and not over a newer row of the table.
pub(super) async fn versions(receiver: &dyn QuarantineReceiver) -> Outcome {
    for (mode, at) in [(Mode::Both, "setl"), (Mode::History, "setl_history")] {
        let options = Options {
            mode,
            ..Options::default()
        };
        let quarantine = receiver.quarantine_with(options);
        quarantine.prepare().await?;
        let store = store_of(&quarantine);
        let mut chain = Chain::new(lane(), claims_schema(), 0);
        all_stored(store, &[chain.next(&[row(0, "taken")])]).await?;
        execute(receiver, &format!("CREATE UNIQUE INDEX setl_name ON {at} (name)")).await?;
        let second = chain.next(&[row(1, "good"), row(2, "taken")]);
        quarantine.store(&lane(), &[second]).await?;
        wait_for_operator(receiver).await?;
        all_stored(store, &[chain.next(&[row(2, "newest")])]).await?;
        execute(receiver, NOT_UNIQUE).await?;
        let id = only(quarantine.as_ref()).await?.id;
        for _ in 0..2 {
            quarantine
                .retry_rows(&lane(), std::slice::from_ref(&id), &by())
                .await?;
            let versions = "SELECT CAST(_slacktide_number AS TEXT), CAST(_slacktide_ordinal AS TEXT), CAST(id AS TEXT), \
                 name FROM setl_history ORDER BY 1, 2";
            same(
                "the history",
                &lines(receiver, versions).await?,
                &texts(&["1|0|0|taken", "2|0|1|good", "2|1|2|taken", "3|0|2|newest"]),
            )?;
        }
        if mode == Mode::Both {
            same(
                "the table",
                &table(receiver).await?,
                &texts(&["0:taken@1.1", "1:good@1.2", "2:newest@1.3"]),
            )?;
        }
        same("listed", &report(store).await?.quarantined, &vec![])?;
        let own = ["ledger", "lanes", "quarantine", "quarantine_manifests"];
        let own = own
            .map(|table| format!("DELETE FROM {};", receiver.own(table)))
            .concat();
        let tables = if mode == Mode::Both {
            "DROP TABLE setl;"
        } else {
            ""
        };
        execute(receiver, &format!("{own} {tables} DROP TABLE setl_history;")).await?;
    }
    Ok(())
}

/// Four operators retry the same rows.
pub(super) async fn at_once(receiver: &dyn QuarantineReceiver) -> Outcome {
    let quarantine = open(receiver).await?;
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    all_stored(store_of(&quarantine), &[chain.next(&[row(0, "taken")])]).await?;
    execute(receiver, UNIQUE).await?;
    let rows: Vec<_> = (1..=20).map(|id| row(id, "taken")).collect();
    quarantine.store(&lane(), &[chain.next(&rows)]).await?;
    let all = ids(&kept(quarantine.as_ref()).await?);
    same("refused", &all.len(), &20)?;
    execute(receiver, NOT_UNIQUE).await?;
    let tasks: Vec<_> = (0..4_usize)
        .map(|operator| {
            let (quarantine, mut ids) = (receiver.quarantine(), all.clone());
            ids.rotate_left(operator * 5);
            tokio::spawn(async move { quarantine.retry_rows(&lane(), &ids, &by()).await })
        })
        .collect();
    let mut released = 0;
    for task in tasks {
        let answers = task.await.map_err(|error| Failure(error.to_string()))??;
        released += counted(&answers, |outcome| *outcome == RELEASED);
        same("out", &counted(&answers, RetryOutcome::is_out), &20)?;
    }
    same("released once", &released, &20)?;
    same("the table", &table(receiver).await?.len(), &21)?;
    let left = "SELECT CAST(rows_quarantined AS TEXT) FROM ";
    let left = receiver
        .texts(&format!("{left}{} WHERE number = 2", receiver.own("ledger")))
        .await
        .map_err(Failure)?;
    ensure(
        left == [[Some("0".to_owned())]],
        format_args!("the ledger contains {left:?}"),
    )?;
    same(
        "listed",
        &report(store_of(&quarantine)).await?.quarantined,
        &vec![],
    )
}
