//! A chunk that repairs rows: of its keys the table has exactly its rows afterwards.

use std::collections::BTreeSet;

use reconciliation::RowDigester;
use schemas::manifest::Repair;

use super::refill::differs;
use super::{
    Outcome, Receiver, all_stored, claims_schema, ensure, prepared, report, row, same, table, texts,
};
use crate::samples::{Chain, lane};
use store::Arrival;
use store::layout::Options;
use store::merge::ChunkNumber;
use store::port::Outcome as Stored;

/// Makes a chunk a repair of the rows with these ids.
fn repairing(mut chunk: Arrival, ids: &[i64]) -> Result<Arrival, super::Failure> {
    let mut digester = RowDigester::new(&claims_schema(), "salt", &[], None)
        .map_err(|error| super::Failure(error.to_string()))?;
    let keys: BTreeSet<_> = ids.iter().map(|id| digester.key(&row(*id, ""))).collect();
    let request = "20260131-0123456789abcdef".parse();
    chunk.chunk.manifest.repair = Some(Repair {
        request: request.map_err(|error| super::Failure(format!("{error}")))?,
        salt: "salt".to_owned(),
        keys,
    });
    Ok(chunk)
}

/// Rows are replaced, and rows of keys that are gone are removed, also those that others added. Other rows stay.
pub async fn replaces_and_removes(receiver: &dyn Receiver) -> Outcome {
    let store = prepared(receiver).await?;
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let first = chain.next(&[row(1, "a"), row(2, "gone"), row(3, "c"), row(4, "d")]);
    all_stored(store.as_ref(), &[first]).await?;
    report(store.as_ref()).await?;
    let by_others =
        "INSERT INTO setl (id, name, _slacktide_epoch, _slacktide_number) VALUES (9, 'added', 1, 1)";
    receiver.execute(by_others).await.map_err(super::Failure)?;
    receiver
        .execute("DELETE FROM setl WHERE id = 3")
        .await
        .map_err(super::Failure)?;
    let second = chain.next(&[row(5, "e")]);
    let repair = repairing(
        chain.next(&[row(1, "new"), row(3, "c"), row(6, "skipped")]),
        &[1, 2, 3, 6, 9],
    )?;
    // It arrives before a chunk that may hold older versions.
    let early = store.store(&lane(), std::slice::from_ref(&repair)).await?;
    let waits = |outcome: &Stored| matches!(outcome, Stored::Deferred { .. });
    ensure(early.iter().all(waits), format_args!("not deferred: {early:?}"))?;
    all_stored(store.as_ref(), &[second]).await?;
    report(store.as_ref()).await?;
    all_stored(store.as_ref(), std::slice::from_ref(&repair)).await?;
    let wanted = texts(&["1:new@1.3", "3:c@1.3", "4:d@1.1", "5:e@1.2", "6:skipped@1.3"]);
    same("the table", &table(receiver).await?, &wanted)?;
    let twice = store.store(&lane(), &[repair]).await?;
    same("again", &twice, &vec![Stored::AlreadyStored])?;
    // The feed continues: what was gone may come back with a newer chunk.
    all_stored(store.as_ref(), &[chain.next(&[row(2, "back")])]).await?;
    let lane_report = report(store.as_ref()).await?;
    same("the frontier", &(lane_report.epoch, lane_report.to), &(1, 4))?;
    same("rows", &table(receiver).await?.len(), &6)
}

/// A refill stores an older chunk again, and the repair after it.
pub async fn again_removes_put_back(receiver: &dyn Receiver) -> Outcome {
    let store = receiver.refill(Options::default());
    store.prepare().await?;
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let mut all = vec![chain.next(&[row(1, "a"), row(2, "gone")])];
    all_stored(store.as_ref(), &all).await?;
    report(store.as_ref()).await?;
    all.push(repairing(chain.next(&[row(1, "new")]), &[1, 2])?);
    all_stored(store.as_ref(), &all[1..]).await?;
    report(store.as_ref()).await?;
    differs(store.as_ref(), "after the repair", None).await?;
    let (first, end) = (
        ChunkNumber { epoch: 1, number: 1 },
        ChunkNumber { epoch: 1, number: 2 },
    );
    store.mark_awaited(&lane(), first, end).await?;
    for arrival in &all {
        store.store(&lane(), std::slice::from_ref(arrival)).await?;
    }
    same("awaited", &store.awaited(&lane(), 10).await?, &Vec::new())?;
    same("the table", &table(receiver).await?, &texts(&["1:new@1.2"]))
}
