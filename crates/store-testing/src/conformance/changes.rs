//! Changed columns: types that are followed, and changes that need approval.

use std::sync::Arc;

use schemas::column::{ColumnType, RowSchema};
use schemas::value::Value;

use super::{Failure, Outcome, Receiver, all_stored, ensure, prepared, report, same};
use crate::samples::{Chain, lane, schema};
use store::layout::Options;
use store::port::{Approval, Arrival, Outcome as Stored, Store};

const TEXT: ColumnType = ColumnType::Text { max: None };

fn decimal(precision: u16, scale: i16) -> ColumnType {
    ColumnType::Decimal {
        precision: Some(precision),
        scale: Some(scale),
    }
}

fn text_of(max: u32) -> ColumnType {
    ColumnType::Text { max: Some(max) }
}

pub(super) fn approval() -> Approval {
    Approval {
        actor: "li.na".to_owned(),
        reason: "agreed by telephone".to_owned(),
    }
}

pub(super) async fn lines(receiver: &dyn Receiver, sql: &str) -> Result<Vec<String>, Failure> {
    let rows = receiver.texts(sql).await.map_err(Failure)?;
    let line = |row: &Vec<Option<String>>| {
        let cells: Vec<&str> = row.iter().map(|cell| cell.as_deref().unwrap_or("null")).collect();
        cells.join("|")
    };
    Ok(rows.iter().map(line).collect())
}

/// Expects every chunk to wait, and returns the reason.
pub(super) async fn waits(store: &dyn Store, arrivals: &[Arrival]) -> Result<String, Failure> {
    let outcomes = store.store(&lane(), arrivals).await?;
    let mut reason = String::new();
    for outcome in &outcomes {
        match outcome {
            Stored::Stopped { reason: found } => reason.clone_from(found),
            other => return Err(Failure(format!("it does not wait: {other:?}"))),
        }
    }
    Ok(reason)
}

fn table(kinds: [ColumnType; 7]) -> RowSchema {
    let [id, count, money, ratio, code, born, more] = kinds;
    schema(
        &["id"],
        &[
            ("id", id),
            ("count", count),
            ("money", money),
            ("ratio", ratio),
            ("code", code),
            ("born", born),
            ("more", more),
        ],
    )
}

/// Types became wider; an older chunk arrives later, at a store with an empty cache.
pub async fn wider_types(receiver: &dyn Receiver) -> Outcome {
    let old = [
        ColumnType::Int2,
        ColumnType::Int4,
        ColumnType::Int4,
        ColumnType::Float4,
        text_of(3),
        ColumnType::Date,
        decimal(6, 2),
    ];
    let new = [
        ColumnType::Int8,
        ColumnType::Int8,
        decimal(12, 2),
        ColumnType::Float8,
        TEXT,
        ColumnType::Timestamp,
        decimal(20, 4),
    ];
    let (one, other) = (prepared(receiver).await?, receiver.store());
    let mut chain = Chain::new(lane(), table(old), 0);
    let row = |id, count, money, ratio, code, born, more| {
        vec![
            Value::Int(id),
            Value::Int(count),
            money,
            Value::Float(ratio),
            Value::Text(code),
            Value::Text(born),
            Value::Text(more),
        ]
    };
    let first = chain.next(&[row(1, 7, Value::Int(5), 0.5, "abc", "2026-01-31", "1.50")]);
    let late = chain.next(&[row(2, 8, Value::Int(6), 0.25, "def", "0044-03-15 BC", "2.50")]);
    chain.columns(table(new));
    let last = chain.next(&[row(
        40_000,
        4_000_000_000,
        Value::Text("7.25"),
        0.125,
        "longer",
        "2026-01-31 10:00:00",
        "3.1415",
    )]);
    all_stored(one.as_ref(), &[first]).await?;
    receiver
        .execute("CREATE INDEX setl_money ON setl (money)")
        .await
        .map_err(Failure)?;
    all_stored(other.as_ref(), std::slice::from_ref(&last)).await?;
    all_stored(one.as_ref(), &[late]).await?;
    same(
        "again",
        &one.store(&lane(), &[last]).await?,
        &vec![Stored::AlreadyStored],
    )?;
    let got = lines(
        receiver,
        "SELECT CAST(id AS TEXT), CAST(count AS TEXT), CAST(money AS TEXT), CAST(ratio AS TEXT), code, \
         CAST(born AS TEXT), CAST(more AS TEXT) FROM setl ORDER BY id",
    )
    .await?;
    let wanted = [
        "1|7|5|0.5|abc|2026-01-31 00:00:00|1.50",
        "2|8|6|0.25|def|0044-03-15 00:00:00 BC|2.50",
        "40000|4000000000|7.25|0.125|longer|2026-01-31 10:00:00|3.1415",
    ];
    same("the table", &got, &super::texts(&wanted))
}

/// Three pollers store each chunk three times in different orders, while types and columns change.
pub async fn wider_at_once(receiver: &dyn Receiver) -> Outcome {
    let shape = |kind: ColumnType, more: bool| {
        let mut columns = vec![("id", ColumnType::Int8), ("count", kind)];
        if more {
            columns.push(("note", TEXT));
        }
        schema(&["id"], &columns)
    };
    let mut chain = Chain::new(lane(), shape(ColumnType::Int2, false), 0);
    let mut arrivals = Vec::new();
    for at in 0..24_i64 {
        let note = format!("note {at}");
        match at {
            8 => chain.columns(shape(ColumnType::Int4, true)),
            16 => chain.columns(shape(decimal(12, 2), true)),
            _ => {}
        }
        let rows: Vec<_> = (0..4)
            .map(|step| {
                let count = if at < 16 {
                    Value::Int(at)
                } else {
                    Value::Text("16.25")
                };
                let mut row = vec![Value::Int((at * 5 + step * 3) % 13), count];
                if at >= 8 {
                    row.push(Value::Text(&note));
                }
                row
            })
            .collect();
        arrivals.push(chain.next(&rows));
    }
    prepared(receiver).await?;
    let pollers: Vec<_> = (0..3_usize)
        .map(|poller| {
            let (store, mut mine) = (receiver.store(), arrivals.clone());
            match poller {
                0 => {}
                1 => mine.reverse(),
                _ => mine.rotate_left(11),
            }
            tokio::spawn(async move {
                for call in mine.chunks(1 + poller) {
                    let outcomes = store.store(&lane(), call).await?;
                    let done = |one: &Stored| {
                        matches!(one, Stored::Stored { quarantined: 0, .. } | Stored::AlreadyStored)
                    };
                    ensure(outcomes.iter().all(done), format_args!("{outcomes:?}"))?;
                }
                Ok::<(), Failure>(())
            })
        })
        .collect();
    for poller in pollers {
        poller.await.map_err(|error| Failure(error.to_string()))??;
    }
    let sql = "SELECT CAST(id AS TEXT), CAST(count AS TEXT), note, CAST(_slacktide_number AS TEXT) FROM setl ORDER BY setl.id";
    let got = lines(receiver, sql).await?;
    let mut wanted = std::collections::BTreeMap::new();
    for at in 0..24_i64 {
        let count = if at < 16 {
            at.to_string()
        } else {
            "16.25".to_owned()
        };
        let note = if at < 8 {
            "null".to_owned()
        } else {
            format!("note {at}")
        };
        for step in 0..4 {
            let id = (at * 5 + step * 3) % 13;
            wanted.insert(id, format!("{id}|{count}|{note}|{}", at + 1));
        }
    }
    same("the table", &got, &wanted.into_values().collect::<Vec<_>>())
}

/// An incompatible type is approved, and no old value is lost.
pub async fn retyped(receiver: &dyn Receiver) -> Outcome {
    let shape = |kind| schema(&["id"], &[("id", ColumnType::Int8), ("paid", kind)]);
    let (store, other) = (prepared(receiver).await?, receiver.with(Options::default()));
    let mut chain = Chain::new(lane(), shape(ColumnType::Int4), 0);
    let first = chain.next(&[
        vec![Value::Int(1), Value::Int(10)],
        vec![Value::Int(2), Value::Int(20)],
    ]);
    let late = chain.next(&[vec![Value::Int(3), Value::Int(30)]]);
    chain.columns(shape(TEXT));
    let third = chain.next(&[vec![Value::Int(1), Value::Text("ten")]]);
    let fourth = chain.next(&[vec![Value::Int(4), Value::Text("forty")]]);
    all_stored(store.as_ref(), &[first]).await?;
    for _ in 0..2 {
        let reason = waits(store.as_ref(), &[fourth.clone(), third.clone()]).await?;
        for word in ["setl", "\"paid\"", "integer", "text", "accept-change"] {
            ensure(
                reason.contains(word),
                format_args!("{word:?} is missing: {reason}"),
            )?;
        }
    }
    let pending = other.pending_changes().await?;
    same("lanes that wait", &pending.len(), &1)?;
    same(
        "the first chunk",
        &pending
            .iter()
            .map(|(_, q)| q.chunk_number.number)
            .collect::<Vec<_>>(),
        &vec![3],
    )?;
    ensure(
        report(store.as_ref()).await?.pending_change.is_some(),
        "the report does not show it",
    )?;
    ensure(
        other.accept(&lane(), &approval()).await?.is_some(),
        "there was nothing to accept",
    )?;
    same(
        "approved again",
        &other.accept(&lane(), &approval()).await?,
        &None,
    )?;
    all_stored(other.as_ref(), &[fourth, third]).await?;
    all_stored(store.as_ref(), &[late]).await?;
    ensure(
        report(store.as_ref()).await?.pending_change.is_none(),
        "it waits still",
    )?;
    let sql = "SELECT CAST(id AS TEXT), paid, CAST(paid_before_1_3 AS TEXT) FROM setl ORDER BY id";
    same(
        "the table",
        &lines(receiver, sql).await?,
        &super::texts(&["1|ten|null", "2|null|20", "3|null|30", "4|forty|null"]),
    )?;
    let kept = format!("SELECT actor || ': ' || reason FROM {}", receiver.own("changes"));
    same(
        "who answered",
        &lines(receiver, &kept).await?,
        &super::texts(&["li.na: agreed by telephone"]),
    )
}

/// A column is dropped, or renamed, which looks the same.
pub async fn dropped(receiver: &dyn Receiver) -> Outcome {
    let both = schema(
        &["id"],
        &[("id", ColumnType::Int8), ("name", TEXT), ("note", TEXT)],
    );
    let renamed = schema(
        &["id"],
        &[("id", ColumnType::Int8), ("name", TEXT), ("remark", TEXT)],
    );
    let (store, other) = (prepared(receiver).await?, receiver.with(Options::default()));
    let mut chain = Chain::new(lane(), both, 0);
    let row = |id, note| vec![Value::Int(id), Value::Text("x"), Value::Text(note)];
    all_stored(store.as_ref(), &[chain.next(&[row(1, "a"), row(2, "b")])]).await?;
    let late = chain.next(&[row(3, "c")]);
    chain.columns(renamed);
    let next = chain.next(&[row(1, "new")]);
    let reason = waits(store.as_ref(), std::slice::from_ref(&next)).await?;
    ensure(reason.contains("\"note\" is no longer sent"), &reason)?;
    all_stored(store.as_ref(), &[late]).await?;
    other.accept(&lane(), &approval()).await?;
    all_stored(store.as_ref(), &[next]).await?;
    same(
        "the table",
        &lines(
            receiver,
            "SELECT CAST(id AS TEXT), note, remark FROM setl ORDER BY id",
        )
        .await?,
        &super::texts(&["1|null|new", "2|b|null", "3|c|null"]),
    )
}

/// Another key: the table is renamed after all earlier chunks are stored, and a new one begins.
pub async fn another_key(receiver: &dyn Receiver) -> Outcome {
    let shape = |key: &[&str]| schema(key, &[("id", ColumnType::Int8), ("name", TEXT)]);
    let (store, other) = (prepared(receiver).await?, receiver.with(Options::default()));
    let mut chain = Chain::new(lane(), shape(&["id"]), 0);
    let row = |id, name| vec![Value::Int(id), Value::Text(name)];
    let (first, late) = (chain.next(&[row(1, "a")]), chain.next(&[row(2, "b")]));
    chain.columns(shape(&["name"]));
    let next = chain.next(&[row(1, "c"), row(1, "d")]);
    all_stored(store.as_ref(), &[first]).await?;
    let reason = waits(store.as_ref(), std::slice::from_ref(&next)).await?;
    ensure(
        reason.contains("the key was [\"id\"] and is now [\"name\"]"),
        &reason,
    )?;
    other.accept(&lane(), &approval()).await?;
    waits(store.as_ref(), std::slice::from_ref(&next)).await?;
    all_stored(store.as_ref(), &[late]).await?;
    report(store.as_ref()).await?;
    all_stored(store.as_ref(), &[next]).await?;
    let sql = "SELECT CAST(id AS TEXT), name FROM setl ORDER BY name";
    same(
        "the new table",
        &lines(receiver, sql).await?,
        &super::texts(&["1|c", "1|d"]),
    )?;
    let sql = "SELECT CAST(id AS TEXT), name FROM setl_before_1_3 ORDER BY id";
    same(
        "the old one",
        &lines(receiver, sql).await?,
        &super::texts(&["1|a", "2|b"]),
    )
}

/// The old rows are different rows under the new type: new tables are created.
pub async fn another_key_type(receiver: &dyn Receiver) -> Outcome {
    let shape = |kind| schema(&["id"], &[("id", kind), ("name", TEXT)]);
    let (store, other) = (prepared(receiver).await?, receiver.with(Options::default()));
    let mut chain = Chain::new(lane(), shape(decimal(10, 2)), 0);
    let row = |id, name| vec![Value::Text(id), Value::Text(name)];
    let first = chain.next(&[row("1.0", "a")]);
    chain.columns(shape(TEXT));
    let next = chain.next(&[row("1.0", "b"), row("1.00", "c")]);
    all_stored(store.as_ref(), &[first]).await?;
    report(store.as_ref()).await?;
    let reason = waits(store.as_ref(), std::slice::from_ref(&next)).await?;
    ensure(
        reason.contains("\"id\" of the key was numeric(10,2) and is now text"),
        &reason,
    )?;
    other.accept(&lane(), &approval()).await?;
    all_stored(store.as_ref(), &[next]).await?;
    let sql = "SELECT CAST(id AS TEXT), name FROM setl ORDER BY name";
    same(
        "the new table",
        &lines(receiver, sql).await?,
        &super::texts(&["1.0|b", "1.00|c"]),
    )?;
    let sql = "SELECT name FROM setl_before_1_2";
    same("the old one", &lines(receiver, sql).await?, &super::texts(&["a"]))
}

/// A pending change blocks no other lane, and persists over processes.
pub async fn other_lanes_go_on(receiver: &dyn Receiver) -> Outcome {
    let shape = |kind| schema(&["id"], &[("id", ColumnType::Int8), ("paid", kind)]);
    let store: Arc<dyn Store> = prepared(receiver).await?;
    let mut chain = Chain::new(lane(), shape(ColumnType::Int4), 0);
    all_stored(
        store.as_ref(),
        &[chain.next(&[vec![Value::Int(1), Value::Int(10)]])],
    )
    .await?;
    chain.columns(shape(ColumnType::Bool));
    let next = chain.next(&[vec![Value::Int(1), Value::Bool(true)]]);
    waits(store.as_ref(), std::slice::from_ref(&next)).await?;
    let mut neighbour = lane();
    neighbour.feed = schemas::name::FeedName::new("other").map_err(|error| Failure(error.to_string()))?;
    let mut chain = Chain::new(neighbour.clone(), shape(TEXT), 1);
    let outcomes = store
        .store(
            &neighbour,
            &[chain.next(&[vec![Value::Int(1), Value::Text("x")]])],
        )
        .await?;
    ensure(
        matches!(outcomes[..], [Stored::Stored { .. }]),
        format_args!("{outcomes:?}"),
    )?;
    store.close().await;
    let again = receiver.store();
    ensure(
        report(again.as_ref()).await?.pending_change.is_some(),
        "it is forgotten",
    )?;
    waits(again.as_ref(), &[next]).await.map(drop)
}
