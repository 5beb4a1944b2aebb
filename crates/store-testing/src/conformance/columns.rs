//! Types, widening, refused rows.

use schemas::column::ColumnType;
use schemas::value::Value;

use super::{
    Failure, Outcome, Receiver, all_stored, claims_schema, count, ensure, prepared, report, row, same, table,
    texts,
};
use crate::samples::{Chain, column, lane, schema};
use store::port::Outcome as Stored;

const UNIQUE: &str = "CREATE UNIQUE INDEX setl_name ON setl (name)";

/// One bad value refuses one row, not everything.
pub async fn refused_row(receiver: &dyn Receiver) -> Outcome {
    let store = prepared(receiver).await?;
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    all_stored(store.as_ref(), &[chain.next(&[row(0, "taken")])]).await?;
    receiver.execute(UNIQUE).await.map_err(Failure)?;
    let names: Vec<String> = (1..=300).map(|id| format!("name {id}")).collect();
    let rows: Vec<_> = (1_i64..)
        .zip(&names)
        .map(|(id, name)| {
            row(
                id,
                if [7, 150, 151].contains(&id) {
                    "taken"
                } else {
                    name
                },
            )
        })
        .collect();
    let arrivals = [chain.next(&rows), chain.next(&[row(1_000, "good")])];
    let outcomes = store.store(&lane(), &arrivals).await?;
    let wanted = vec![
        Stored::Stored {
            rows: 300,
            quarantined: 3,
        },
        Stored::Stored {
            rows: 1,
            quarantined: 0,
        },
    ];
    same("outcomes", &outcomes, &wanted)?;
    same("rows in the table", &table(receiver).await?.len(), &299)?;
    same(
        "again",
        &store.store(&lane(), &arrivals).await?,
        &vec![Stored::AlreadyStored, Stored::AlreadyStored],
    )?;
    same("kept", &count(receiver, "quarantine").await?, &"3".to_owned())?;
    let sql = format!("SELECT reason FROM {}", receiver.own("quarantine"));
    let reasons = receiver.texts(&sql).await.map_err(Failure)?;
    let leaks = |reason: &Option<String>| {
        reason
            .as_deref()
            .is_none_or(|reason| reason.contains("taken") || reason.is_empty())
    };
    ensure(
        !reasons.iter().flatten().any(leaks),
        format_args!("a reason is missing or shows a value: {reasons:?}"),
    )?;
    let lane_report = report(store.as_ref()).await?;
    same(
        "frontier, quarantined",
        &(lane_report.to, lane_report.quarantined),
        &(3, vec![2]),
    )
}

/// A refused version leaves the older version of its key, for any grouping of chunks.
pub async fn refused_version(receiver: &dyn Receiver) -> Outcome {
    let store = prepared(receiver).await?;
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    all_stored(store.as_ref(), &[chain.next(&[row(0, "taken")])]).await?;
    receiver.execute(UNIQUE).await.map_err(Failure)?;
    let both = [chain.next(&[row(1, "older")]), chain.next(&[row(1, "taken")])];
    store.store(&lane(), &both).await?;
    same(
        "the table",
        &table(receiver).await?,
        &texts(&["0:taken@1.1", "1:older@1.2"]),
    )
}

/// A new column; an older chunk without it arrives later.
pub async fn widened(receiver: &dyn Receiver) -> Outcome {
    let store = prepared(receiver).await?;
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let first = chain.next(&[row(1, "a")]);
    let second = chain.next(&[row(2, "b"), row(3, "b")]);
    let mut wider = claims_schema();
    wider.columns.push(column("born", ColumnType::Date));
    chain.columns(wider);
    let with = |id, name| {
        let mut row = row(id, name);
        row.push(Value::Text("1990-01-02"));
        row
    };
    let third = chain.next(&[with(1, "c"), with(2, "d")]);
    all_stored(store.as_ref(), &[first, third]).await?;
    all_stored(receiver.store().as_ref(), &[second]).await?;
    let sql = "SELECT CAST(id AS TEXT), CAST(born AS TEXT) FROM setl ORDER BY id";
    let born = receiver.texts(sql).await.map_err(Failure)?;
    let wanted = [("1", Some("1990-01-02")), ("2", Some("1990-01-02")), ("3", None)];
    let wanted: Vec<_> = wanted
        .map(|(id, born)| vec![Some(id.to_owned()), born.map(str::to_owned)])
        .into();
    same("born", &born, &wanted)?;
    same(
        "the table",
        &table(receiver).await?,
        &texts(&["1:c@1.3", "2:d@1.3", "3:b@1.2"]),
    )
}

/// The rows would not mean the same.
pub async fn refused_type(receiver: &dyn Receiver) -> Outcome {
    let store = prepared(receiver).await?;
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    all_stored(store.as_ref(), &[chain.next(&[row(1, "a")])]).await?;
    let mut other = claims_schema();
    for column in &mut other.columns {
        if column.name == "paid" {
            column.kind = ColumnType::Bool;
        }
    }
    chain.columns(other);
    let empty = chain.next(&[]);
    let next = chain.next(&[vec![Value::Int(1), Value::Text("a"), Value::Bool(true)]]);
    let outcomes = store.store(&lane(), &[empty, next]).await?;
    match &outcomes[..] {
        // A chunk without rows needs nothing from the table.
        [Stored::Stored { .. }, Stored::Stopped { reason }] => ensure(reason.contains("\"paid\""), reason),
        _ => ensure(false, format_args!("it was taken: {outcomes:?}")),
    }
}

/// Money is not stored as float, and an empty text does not become null.
pub async fn values(receiver: &dyn Receiver) -> Outcome {
    let store = prepared(receiver).await?;
    let decimal = ColumnType::Decimal {
        precision: Some(10),
        scale: Some(2),
    };
    let columns = [
        ("id", ColumnType::Int8),
        ("small", ColumnType::Int2),
        ("flag", ColumnType::Bool),
        ("paid", decimal),
        ("ratio", ColumnType::Float8),
        ("name", ColumnType::Text { max: Some(2) }),
        ("photo", ColumnType::Bytes),
        ("born", ColumnType::Date),
        ("seen", ColumnType::TimestampTz),
        ("code", ColumnType::Uuid),
        (
            "odd",
            ColumnType::Other {
                native: "public.no_such_type".to_owned(),
            },
        ),
        ("note", ColumnType::Json),
    ];
    let mut chain = Chain::new(lane(), schema(&["id"], &columns), 0);
    let full = vec![
        Value::Int(i64::MAX),
        Value::Int(-32_768),
        Value::Bool(true),
        Value::Text("46.620000000000005"),
        Value::Float(0.1),
        Value::Text("张三 \\N\t\"line\"\nend\\."),
        Value::Bytes(&[0, 92, 255]),
        Value::Text("0044-03-15"),
        Value::Text("2026-01-31 23:59:59.999999+00"),
        Value::Text("00000000-0000-0000-0000-0000000000ff"),
        Value::Text("{1,2}"),
        Value::Text("5"),
    ];
    let mut empty = vec![Value::Null; columns.len()];
    if let [id, .., name, _, _, _, _, _, _] = &mut empty[..] {
        (*id, *name) = (Value::Int(0), Value::Text(""));
    }
    let trailing = {
        let mut row = empty.clone();
        if let [id, _, _, paid, ..] = &mut row[..] {
            (*id, *paid) = (Value::Int(-1), Value::Text("12345678901234567890.1200"));
        }
        row
    };
    all_stored(store.as_ref(), &[chain.next(&[full, empty, trailing])]).await?;
    let sql = "SELECT CAST(id AS TEXT), CAST(small AS TEXT), CAST(paid AS TEXT), CAST(ratio AS TEXT), name, \
               CAST(born AS TEXT), CAST(code AS TEXT), odd, CAST(note AS TEXT) FROM setl ORDER BY id DESC";
    let got = receiver.texts(sql).await.map_err(Failure)?;
    let some = |text: &str| Some(text.to_owned());
    let first = [
        "9223372036854775807",
        "-32768",
        "46.620000000000005",
        "0.1",
        "张三 \\N\t\"line\"\nend\\.",
        "0044-03-15",
        "00000000-0000-0000-0000-0000000000ff",
        "{1,2}",
        "5",
    ]
    .map(some)
    .to_vec();
    let mut second = vec![None; 9];
    second.splice(0..1, [some("0")]);
    second.splice(4..5, [some("")]);
    let mut third = second.clone();
    third.splice(0..1, [some("-1")]);
    third.splice(2..3, [some("12345678901234567890.1200")]);
    same("values", &got, &vec![first, second, third])
}

/// A key of several columns; a later chunk changes rows.
pub async fn composite(receiver: &dyn Receiver) -> Outcome {
    let store = prepared(receiver).await?;
    let text = || ColumnType::Text { max: None };
    let columns = [("name", text()), ("id", ColumnType::Int8), ("remark", text())];
    let mut chain = Chain::new(lane(), schema(&["id", "name"], &columns), 0);
    let row = |name, id, remark| vec![Value::Text(name), Value::Int(id), Value::Text(remark)];
    let first = chain.next(&[row("b", 1, "x"), row("a", 1, "y"), row("a", 2, "z")]);
    let second = chain.next(&[row("a", 1, "new")]);
    all_stored(store.as_ref(), &[second]).await?;
    all_stored(store.as_ref(), &[first]).await?;
    let remarks = receiver
        .texts("SELECT remark FROM setl ORDER BY id, name")
        .await
        .map_err(Failure)?;
    same(
        "remark",
        &remarks.into_iter().flatten().flatten().collect::<Vec<_>>(),
        &texts(&["new", "x", "z"]),
    )
}
