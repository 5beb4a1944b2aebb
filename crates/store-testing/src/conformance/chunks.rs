//! Storing: exactly once, in any order, newest version wins, deletes.

use std::sync::Arc;

use super::{
    Failure, Outcome, Receiver, all_stored, claims_schema, claims_schema_with_tombstone, count, ensure,
    prepared, report, row, row_or_tombstone, same, table, texts,
};
use crate::samples::{Chain, lane};
use store::port::{Arrival, Outcome as Stored, Store};

/// A message is redelivered after the poller died between commit and settlement.
pub async fn twice(receiver: &dyn Receiver) -> Outcome {
    let store = prepared(receiver).await?;
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let both = [
        chain.next(&[row(1, "a"), row(2, "b")]),
        chain.next(&[row(1, "c")]),
    ];
    all_stored(store.as_ref(), &both).await?;
    let before = table(receiver).await?;
    same("the table", &before, &texts(&["1:c@1.2", "2:b@1.1"]))?;
    for store in [store, receiver.store()] {
        let outcomes = store.store(&lane(), &both).await?;
        same(
            "again",
            &outcomes,
            &vec![Stored::AlreadyStored, Stored::AlreadyStored],
        )?;
    }
    // The same chunk twice in one call.
    let third = chain.next(&[row(3, "d")]);
    let outcomes = receiver.store().store(&lane(), &[third.clone(), third]).await?;
    same(
        "twice in a call",
        &outcomes,
        &vec![
            Stored::Stored {
                rows: 1,
                quarantined: 0,
            },
            Stored::AlreadyStored,
        ],
    )?;
    same("the ledger", &count(receiver, "ledger").await?, &"3".to_owned())
}

/// A chain in which keys repeat, with deletes.
fn history(chain: &mut Chain) -> Vec<Arrival> {
    const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
    NAMES
        .iter()
        .zip(0_i64..)
        .map(|(name, at)| {
            let rows: Vec<_> = (0..5)
                .map(|step| row_or_tombstone((at * 3 + step * 2) % 7, name, (at + step) % 4 == 0))
                .collect();
            chain.next(&rows)
        })
        .collect()
}

/// N pollers store in any order, in calls of any size.
pub async fn any_order(receiver: &dyn Receiver) -> Outcome {
    let store = prepared(receiver).await?;
    let mut chain = Chain::new(lane(), claims_schema_with_tombstone(), 0);
    let arrivals = history(&mut chain);
    let mut wanted: Option<Vec<String>> = None;
    let mut random = 0x2545_f491_u32;
    for round in 0..40 {
        let mut order = arrivals.clone();
        if round > 0 {
            for at in (1..order.len()).rev() {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                order.swap(at, (random >> 8) as usize % (at + 1));
            }
        }
        for call in order.chunks(1 + round % 4) {
            all_stored(store.as_ref(), call).await?;
        }
        let got = table(receiver).await?;
        match &wanted {
            Some(wanted) => same(&format!("the table after order {round}"), &got, wanted)?,
            None => wanted = Some(got),
        }
        let forget = ["ledger", "tombstones"]
            .map(|own| format!("DELETE FROM {};", receiver.own(own)))
            .concat();
        receiver
            .execute(&format!("{forget} DELETE FROM setl;"))
            .await
            .map_err(Failure)?;
    }
    Ok(())
}

/// The newest version wins in any order of arrival.
pub async fn older_loses(receiver: &dyn Receiver) -> Outcome {
    let store = prepared(receiver).await?;
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let (first, second) = (
        chain.next(&[row(1, "old"), row(2, "old")]),
        chain.next(&[row(1, "new")]),
    );
    all_stored(store.as_ref(), &[second]).await?;
    all_stored(store.as_ref(), &[first]).await?;
    same(
        "the table",
        &table(receiver).await?,
        &texts(&["1:new@1.2", "2:old@1.1"]),
    )
}

/// Without a tombstone a late older chunk would restore the deleted row.
pub async fn no_resurrection(receiver: &dyn Receiver) -> Outcome {
    let store = prepared(receiver).await?;
    let mut chain = Chain::new(lane(), claims_schema_with_tombstone(), 0);
    let first = chain.next(&[row_or_tombstone(1, "a", false), row_or_tombstone(2, "b", false)]);
    let second = chain.next(&[row_or_tombstone(1, "a", true)]);
    let third = chain.next(&[row_or_tombstone(2, "c", true)]);
    all_stored(store.as_ref(), &[second, third]).await?;
    report(store.as_ref()).await?;
    all_stored(store.as_ref(), &[first]).await?;
    same("the table", &table(receiver).await?, &texts(&[]))?;
    let fourth = chain.next(&[row_or_tombstone(2, "d", false)]);
    all_stored(store.as_ref(), &[fourth]).await?;
    same("the table", &table(receiver).await?, &texts(&["2:d@1.4"]))
}

/// Tombstones are kept while an older chunk is missing, and no longer.
pub async fn tombstones_go(receiver: &dyn Receiver) -> Outcome {
    let store = prepared(receiver).await?;
    let mut chain = Chain::new(lane(), claims_schema_with_tombstone(), 0);
    let first = chain.next(&[row_or_tombstone(1, "a", false)]);
    let second = chain.next(&[row_or_tombstone(1, "a", true)]);
    all_stored(store.as_ref(), &[second]).await?;
    report(store.as_ref()).await?;
    same(
        "tombstones while 1 is missing",
        &count(receiver, "tombstones").await?,
        &"1".to_owned(),
    )?;
    all_stored(store.as_ref(), &[first]).await?;
    report(store.as_ref()).await?;
    same(
        "tombstones after",
        &count(receiver, "tombstones").await?,
        &"0".to_owned(),
    )?;
    same("the table", &table(receiver).await?, &texts(&[]))
}

/// Two pollers store overlapping chunks and keys concurrently.
pub async fn at_once(receiver: &dyn Receiver) -> Outcome {
    let mut chain = Chain::new(lane(), claims_schema_with_tombstone(), 0);
    let mut arrivals = Vec::new();
    for _ in 0..4 {
        arrivals.extend(history(&mut chain));
    }
    prepared(receiver).await?;
    let tasks: Vec<_> = (0..3_usize)
        .map(|poller| {
            let (store, mut mine): (Arc<dyn Store>, _) = (receiver.store(), arrivals.clone());
            if poller == 1 {
                mine.reverse();
            }
            mine.rotate_left(poller);
            tokio::spawn(async move {
                for call in mine.chunks(2 + poller) {
                    store.store(&lane(), call).await?;
                }
                store::error::Result::Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await.map_err(|error| Failure(error.to_string()))??;
    }
    let got = table(receiver).await?;
    same(
        "the ledger",
        &count(receiver, "ledger").await?,
        &arrivals.len().to_string(),
    )?;
    let store = receiver.store();
    let whole = report(store.as_ref()).await?;
    same("the frontier", &whole.to, &(arrivals.len() as u64))?;
    same("rows", &whole.rows, &(arrivals.len() as u64 * 5))?;
    let forget = ["ledger", "tombstones", "lanes"]
        .map(|own| format!("DELETE FROM {};", receiver.own(own)))
        .concat();
    receiver
        .execute(&format!("{forget} DELETE FROM setl;"))
        .await
        .map_err(Failure)?;
    all_stored(receiver.store().as_ref(), &arrivals).await?;
    same(
        "the table, compared with one poller's",
        &got,
        &table(receiver).await?,
    )
}

/// Pollers that start concurrently.
pub async fn prepared_at_once(receiver: &dyn Receiver) -> Outcome {
    let start = |_| {
        let store = receiver.store();
        tokio::spawn(async move { store.prepare().await })
    };
    for task in (0..4).map(start).collect::<Vec<_>>() {
        task.await.map_err(|error| Failure(error.to_string()))??;
    }
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let arrivals = [chain.next(&[row(1, "a")]), chain.next(&[row(1, "b")])];
    let both: Vec<_> = arrivals
        .into_iter()
        .map(|arrival| {
            let store = receiver.store();
            tokio::spawn(async move { store.store(&lane(), &[arrival]).await })
        })
        .collect();
    for task in both {
        let outcomes = task.await.map_err(|error| Failure(error.to_string()))??;
        ensure(
            matches!(outcomes[..], [Stored::Stored { .. }]),
            format_args!("{outcomes:?}"),
        )?;
    }
    same("the table", &table(receiver).await?, &texts(&["1:b@1.2"]))
}
