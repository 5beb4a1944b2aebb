//! Reserved names and unlisted feeds create nothing.

use std::collections::{BTreeMap, BTreeSet};

use schemas::column::{ColumnType, RowSchema};
use schemas::value::Value;

use super::changes::lines;
use super::ownership::{feed, is_lifted, named, prepared, refused};
use super::{Failure, Outcome, Receiver, all_stored, claims_schema, ensure, row, same, texts};
use crate::samples::{Chain, lane, schema};
use store::error::ErrorKind;
use store::layout::{FeedOptions, Options};
use store::port::{Outcome as Stored, Unreadable};

/// Names of the bookkeeping and of the system are refused before anything is created, while other lanes continue.
pub async fn reserved(receiver: &dyn Receiver) -> Outcome {
    let store = prepared(receiver, Options::default()).await?;
    let columns: &[(&str, ColumnType)] = &[
        ("number", ColumnType::Int8),
        ("idempotency", ColumnType::Text { max: None }),
        ("kind", ColumnType::Text { max: None }),
    ];
    let shaped: RowSchema = schema(&["number"], columns);
    for name in [
        "slacktide_outbox",
        "slacktide_requests",
        "slacktide_lanes",
        "sqlite_x",
        "pg_x",
        "slacktide",
    ] {
        for table in [
            None,
            Some("slacktide_outbox"),
            Some("Slacktide_Requests"),
            Some("main.slacktide_outbox"),
        ] {
            let lane = feed(name)?;
            let options = table.map_or_else(Options::default, |table| named(&lane, table));
            let store = prepared(receiver, options).await?;
            let chunk = Chain::new(lane.clone(), shaped.clone(), 0).next(&[vec![
                Value::Int(1),
                Value::Text("forged"),
                Value::Text("setl.by_person"),
            ]]);
            let reason = refused(store.as_ref(), &lane, &[chunk]).await?;
            ensure(reason.contains(&format!("[store.feed.{name}]")), &reason)?;
            let reason = lines(
                receiver,
                &format!("SELECT CAST(count(*) AS TEXT) FROM {}", receiver.own("outbox")),
            )
            .await?;
            same("the outbox", &reason, &texts(&["0"]))?;
        }
        // Some of these are bookkeeping names on SQLite.
        if !name.starts_with("slacktide_") {
            let made = receiver
                .texts(&format!("SELECT idempotency FROM \"{name}\""))
                .await;
            ensure(made.is_err(), format_args!("{name} was made"))?;
        }
    }
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    all_stored(store.as_ref(), &[chain.next(&[row(1, "a")])]).await
}

/// Reserved columns, and columns with equal names.
pub async fn reserved_columns(receiver: &dyn Receiver) -> Outcome {
    let long = "c".repeat(70);
    for name in [
        "_slacktide_epoch",
        "_SLACKTIDE_x",
        "xmin",
        "ctid",
        "tableoid",
        "rowid",
        &long,
    ] {
        let store = prepared(receiver, Options::default()).await?;
        let given = schema(&["id"], &[("id", ColumnType::Int8), (name, ColumnType::Int8)]);
        let chunk = [Chain::new(lane(), given.clone(), 0).next(&[vec![Value::Int(1), Value::Int(2)]])];
        let reason = refused(store.as_ref(), &lane(), &chunk).await?;
        ensure(reason.contains(name) && reason.contains("columns = {"), &reason)?;
        ensure(
            receiver.texts("SELECT id FROM setl").await.is_err(),
            "a table was made",
        )?;
    }
    let own = FeedOptions {
        columns: BTreeMap::from([("_slacktide_epoch".to_owned(), "their_epoch".to_owned())]),
        ..FeedOptions::default()
    };
    let options = Options {
        feeds: BTreeMap::from([(lane().feed, own)]),
        ..Options::default()
    };
    let store = prepared(receiver, options).await?;
    let given = schema(
        &["id"],
        &[("id", ColumnType::Int8), ("_slacktide_epoch", ColumnType::Int8)],
    );
    let chunk = [Chain::new(lane(), given, 0).next(&[vec![Value::Int(1), Value::Int(2)]])];
    all_stored(store.as_ref(), &chunk).await?;
    is_lifted(store.as_ref(), &lane()).await
}

/// Nothing of an unlisted feed is stored, not even a chunk without rows.
pub async fn unlisted(receiver: &dyn Receiver) -> Outcome {
    let only = |name: &str| -> Result<Options, Failure> {
        Ok(Options {
            only: Some(BTreeSet::from([feed(name)?.feed])),
            ..Options::default()
        })
    };
    let visit = feed("visit")?;
    let store = prepared(receiver, only("setl")?).await?;
    let mut chain = Chain::new(visit.clone(), claims_schema(), 0);
    let chunks = [chain.next(&[row(1, "a")]), chain.next(&[])];
    let reason = refused(store.as_ref(), &visit, &chunks).await?;
    ensure(
        reason.contains("[commercial]") && reason.contains("visit"),
        &reason,
    )?;
    let unreadable = Unreadable {
        lane: visit.clone(),
        claims: None,
        sequence: 3,
        exchanged_at: jiff::Timestamp::UNIX_EPOCH,
        reason: "the body was altered".to_owned(),
        bytes: bytes::Bytes::from_static(b"altered"),
    };
    match store.quarantine(&unreadable).await {
        Err(error) => ensure(error.kind == ErrorKind::Refused, &error)?,
        Ok(()) => return Err(Failure("a message of it was kept".into())),
    }
    for own in ["ledger", "quarantine", "tables"] {
        same(own, &super::count(receiver, own).await?, &"0".to_owned())?;
    }
    ensure(
        receiver.texts("SELECT id FROM visit").await.is_err(),
        "a table was made",
    )?;
    let mut listed = Chain::new(lane(), claims_schema(), 0);
    all_stored(store.as_ref(), &[listed.next(&[row(1, "a")])]).await?;
    let store = prepared(receiver, only("visit")?).await?;
    let outcomes = store.store(&visit, &chunks).await?;
    let all = outcomes
        .iter()
        .all(|outcome| matches!(outcome, Stored::Stored { .. }));
    ensure(all, format_args!("{outcomes:?}"))?;
    is_lifted(store.as_ref(), &visit).await
}
