//! Tables of other owners stay unchanged for any name of a feed or a column.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemas::column::ColumnType;
use schemas::name::{FeedName, Lane};
use schemas::value::Value;

use super::changes::lines;
use super::{
    Failure, Outcome, Receiver, all_stored, claims_schema, claims_schema_with_tombstone, ensure, link, row,
    same, texts,
};
use crate::samples::{Chain, lane};
use store::error::ErrorKind;
use store::layout::{FeedOptions, Mode, Options};
use store::port::{Arrival, Outcome as Stored, PendingChanges, Store};

/// A table of the insurer that would fit a feed.
const THEIRS: &str = "(id BIGINT PRIMARY KEY, name TEXT, paid DECIMAL, _slacktide_epoch INTEGER NOT NULL DEFAULT 0, \
    _slacktide_number BIGINT NOT NULL DEFAULT 0)";

pub(super) fn feed(name: &str) -> Result<Lane, Failure> {
    Ok(Lane {
        feed: FeedName::new(name).map_err(|error| Failure(error.to_string()))?,
        ..lane()
    })
}

pub(super) fn named(feed: &Lane, table: &str) -> Options {
    let own = FeedOptions {
        table: Some(table.to_owned()),
        ..FeedOptions::default()
    };
    Options {
        feeds: BTreeMap::from([(feed.feed.clone(), own)]),
        ..Options::default()
    }
}

pub(super) async fn prepared(
    receiver: &dyn Receiver,
    options: Options,
) -> Result<Arc<dyn PendingChanges>, Failure> {
    let store = receiver.with(options);
    store.prepare().await?;
    Ok(store)
}

async fn execute(receiver: &dyn Receiver, sql: &str) -> Outcome {
    receiver.execute(sql).await.map_err(Failure)
}

/// Expects that nothing is stored and both sides show why; returns this side's text.
pub(super) async fn refused(store: &dyn Store, lane: &Lane, arrivals: &[Arrival]) -> Result<String, Failure> {
    match store.store(lane, arrivals).await {
        Err(error) if error.kind == ErrorKind::Refused => {}
        Err(error) => return Err(error.into()),
        Ok(outcomes) => {
            let all = outcomes
                .iter()
                .all(|outcome| matches!(outcome, Stored::Stopped { .. }));
            ensure(all, format_args!("{}: {outcomes:?}", lane.feed))?;
        }
    }
    let reports = store.reports().await?;
    let report = reports.into_iter().find(|report| report.lane == *lane);
    let report = report.ok_or_else(|| Failure(format!("{}: the lane has no report", lane.feed)))?;
    let refusal = report
        .refused
        .ok_or_else(|| Failure(format!("{}: waits without any word", lane.feed)))?;
    ensure(!refusal.remedy.is_empty() && !refusal.shared.is_empty(), &refusal)?;
    same("the frontier", &report.to, &0)?;
    Ok(refusal.to_string())
}

pub(super) async fn is_lifted(store: &dyn Store, lane: &Lane) -> Outcome {
    let reports = store.reports().await?;
    let held = reports
        .iter()
        .find(|report| report.lane == *lane)
        .map(|report| report.refused.clone());
    same("what is refused", &held, &Some(None))
}

/// A table of the insurer with a feed's name is adopted only if the configuration names it.
pub async fn of_the_insurer(receiver: &dyn Receiver) -> Outcome {
    execute(
        receiver,
        &format!("CREATE TABLE setl {THEIRS}; INSERT INTO setl VALUES (1, 'theirs', 5, 0, 0)"),
    )
    .await?;
    let mut chain = Chain::new(lane(), claims_schema_with_tombstone(), 0);
    let gone = vec![Value::Int(1), Value::Text("x"), Value::Null, Value::Bool(true)];
    let kept = vec![Value::Int(2), Value::Text("y"), Value::Null, Value::Bool(false)];
    let chunks = [chain.next(&[gone, kept])];
    let rows = "SELECT CAST(id AS TEXT), name FROM setl ORDER BY id";
    for mode in [Mode::Current, Mode::Both] {
        let options = Options {
            mode,
            ..Options::default()
        };
        let store = prepared(receiver, options).await?;
        let reason = refused(store.as_ref(), &lane(), &chunks).await?;
        for word in ["did not create", "table = \"setl\"", "[store.feed.setl]"] {
            ensure(reason.contains(word), &reason)?;
        }
        same(
            "their table",
            &lines(receiver, rows).await?,
            &texts(&["1|theirs"]),
        )?;
        ensure(
            receiver.texts("SELECT gone FROM setl").await.is_err(),
            "their table was altered",
        )?;
        ensure(
            receiver.texts("SELECT name FROM setl_history").await.is_err(),
            "a history was made",
        )?;
        // Another lane continues.
        let visit = feed("visit")?;
        let mut other = Chain::new(visit.clone(), claims_schema(), u64::from(mode == Mode::Both));
        if mode == Mode::Current {
            let outcomes = store.store(&visit, &[other.next(&[row(1, "a")])]).await?;
            ensure(
                matches!(outcomes[..], [Stored::Stored { .. }]),
                format_args!("{outcomes:?}"),
            )?;
        }
    }
    execute(receiver, "ALTER TABLE setl ADD COLUMN gone BOOLEAN").await?;
    let store = prepared(receiver, named(&lane(), "setl")).await?;
    all_stored(store.as_ref(), &chunks).await?;
    same(
        "the adopted table",
        &lines(receiver, rows).await?,
        &texts(&["2|y"]),
    )?;
    is_lifted(store.as_ref(), &lane()).await?;
    // The configuration no longer names the table: the adopted table is released.
    let store = prepared(receiver, Options::default()).await?;
    let next = chain.next(&[vec![
        Value::Int(3),
        Value::Text("z"),
        Value::Null,
        Value::Bool(false),
    ]]);
    match store.store(&lane(), std::slice::from_ref(&next)).await {
        Err(error) => ensure(error.what.contains("it no longer does"), &error)?,
        Ok(outcomes) => return Err(Failure(format!("it was stored: {outcomes:?}"))),
    }
    same(
        "the table let go",
        &lines(receiver, rows).await?,
        &texts(&["2|y"]),
    )
}

/// The same for a history, which has its own configuration key.
pub async fn history_of_the_insurer(receiver: &dyn Receiver) -> Outcome {
    execute(receiver, &format!("CREATE TABLE setl_history {THEIRS}")).await?;
    let options = Options {
        mode: Mode::Both,
        ..named(&lane(), "setl")
    };
    let store = prepared(receiver, options).await?;
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let reason = refused(store.as_ref(), &lane(), &[chain.next(&[row(1, "a")])]).await?;
    ensure(
        reason.contains("setl_history") && reason.contains("history = "),
        &reason,
    )?;
    let count = lines(receiver, "SELECT CAST(count(*) AS TEXT) FROM setl_history").await?;
    same("their table", &count, &texts(&["0"]))
}

/// A table that replaces the lane's own between two chunks is not written.
pub async fn replaced(receiver: &dyn Receiver) -> Outcome {
    for mode in [Mode::Current, Mode::History, Mode::Both] {
        let options = Options {
            mode,
            ..Options::default()
        };
        let store = prepared(receiver, options).await?;
        let mut chain = Chain::new(lane(), claims_schema(), 0);
        let first = chain.next(&[row(1, "a")]);
        let continues = link(&first);
        all_stored(store.as_ref(), &[first]).await?;
        let table = if mode == Mode::Current {
            "setl"
        } else {
            "setl_history"
        };
        let columns = match mode {
            Mode::Current => THEIRS.to_owned(),
            _ => THEIRS.replace(
                "_slacktide_epoch",
                "_slacktide_ordinal BIGINT, _slacktide_deleted BOOLEAN, _slacktide_stored_at TIMESTAMP DEFAULT \
                 CURRENT_TIMESTAMP, _slacktide_superseded BOOLEAN DEFAULT false, _slacktide_epoch",
            ),
        };
        execute(
            receiver,
            &format!(
                "ALTER TABLE {table} RENAME TO ours_before; CREATE TABLE {table} {columns}; \
                 INSERT INTO {table} (id, name, _slacktide_epoch, _slacktide_number) VALUES (1, 'theirs', 1, 1)"
            ),
        )
        .await?;
        let second = chain.next(&[row(1, "b"), row(2, "c")]);
        // Also by a store with an empty cache, by an opening, and with another column.
        let mut wider = claims_schema();
        wider
            .columns
            .push(crate::samples::column("more", ColumnType::Int8));
        let mut with_more = Chain::new(lane(), wider, 0);
        with_more.rewound(continues, 0);
        let mut values = row(3, "d");
        values.push(Value::Int(1));
        let more = with_more.next(&[values]);
        let opening = Chain::new(lane(), claims_schema(), 0).open(Some(continues));
        let again = receiver.with(Options {
            mode,
            ..Options::default()
        });
        for one in [&store, &again] {
            for chunk in [&second, &more, &opening] {
                // An opening has no rows; it marks versions in a history.
                if chunk.chunk.manifest.content.totals.rows == 0 && mode == Mode::Current {
                    continue;
                }
                let stored = one.store(&lane(), std::slice::from_ref(chunk)).await;
                match stored {
                    Err(error) => ensure(error.kind == ErrorKind::Refused, &error)?,
                    Ok(outcomes) => return Err(Failure(format!("{mode:?}: it was stored: {outcomes:?}"))),
                }
                let rows = format!("SELECT CAST(id AS TEXT), name FROM {table}");
                same(
                    &format!("{mode:?}: their table"),
                    &lines(receiver, &rows).await?,
                    &texts(&["1|theirs"]),
                )?;
                ensure(
                    receiver
                        .texts(&format!("SELECT more FROM {table}"))
                        .await
                        .is_err(),
                    "their table was altered",
                )?;
            }
            if mode == Mode::Current {
                break;
            }
        }
        if mode == Mode::Current {
            // Once the configuration names it, it is adopted.
            let store = prepared(receiver, named(&lane(), "setl")).await?;
            all_stored(store.as_ref(), std::slice::from_ref(&second)).await?;
            let rows = lines(receiver, "SELECT CAST(id AS TEXT), name FROM setl ORDER BY id").await?;
            same("the adopted table", &rows, &texts(&["1|b", "2|c"]))?;
            is_lifted(store.as_ref(), &lane()).await?;
        }
        let forget = ["ledger", "lanes", "tables", "tombstones"]
            .map(|own| format!("DELETE FROM {};", receiver.own(own)))
            .concat();
        execute(
            receiver,
            &format!("{forget} DROP TABLE IF EXISTS setl; DROP TABLE IF EXISTS setl_history; DROP TABLE ours_before"),
        )
        .await?;
    }
    Ok(())
}

/// A table has one owner for any configuration and names of two lanes.
pub async fn one_owner(receiver: &dyn Receiver) -> Outcome {
    let (first, second) = (feed("a")?, feed("a_history")?);
    let both = Options {
        mode: Mode::Both,
        ..Options::default()
    };
    let store = prepared(receiver, both).await?;
    let mut chain = Chain::new(first.clone(), claims_schema(), 0);
    let outcomes = store.store(&first, &[chain.next(&[row(1, "a")])]).await?;
    ensure(
        matches!(outcomes[..], [Stored::Stored { .. }]),
        format_args!("{outcomes:?}"),
    )?;
    let other = [Chain::new(second.clone(), claims_schema(), 1).next(&[row(7, "b")])];
    let reason = refused(store.as_ref(), &second, &other).await?;
    for word in ["feed a of", "feed a_history of"] {
        ensure(reason.contains(word), &reason)?;
    }
    // Not even if the configuration names it, or for another recipient.
    let third = feed("third")?;
    let elsewhere = Lane {
        recipient: "insurer-b".parse().map_err(|_| Failure("a bad name".into()))?,
        ..first.clone()
    };
    for (lane, options) in [
        (third.clone(), named(&third, "a")),
        (third.clone(), named(&third, "a_history")),
        (elsewhere, Options::default()),
    ] {
        let store = prepared(receiver, options).await?;
        let chunk = [Chain::new(lane.clone(), claims_schema(), 2).next(&[row(7, "b")])];
        let reason = refused(store.as_ref(), &lane, &chunk).await?;
        ensure(reason.contains("feed a of insurer-a"), &reason)?;
    }
    let rows = lines(
        receiver,
        "SELECT CAST(id AS TEXT) FROM a UNION ALL SELECT CAST(id AS TEXT) FROM a_history",
    )
    .await?;
    same("the tables", &rows, &texts(&["1", "1"]))
}

/// A new column does not use a column that the table's owner added.
pub async fn column_of_the_insurer(receiver: &dyn Receiver) -> Outcome {
    let store = prepared(receiver, Options::default()).await?;
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    all_stored(store.as_ref(), &[chain.next(&[row(1, "a")])]).await?;
    execute(
        receiver,
        "ALTER TABLE setl ADD COLUMN remark TEXT; UPDATE setl SET remark = 'theirs'",
    )
    .await?;
    let mut wider = claims_schema();
    wider
        .columns
        .push(crate::samples::column("remark", ColumnType::Text { max: None }));
    chain.columns(wider);
    let mut values = row(1, "b");
    values.push(Value::Text("of the bureau"));
    let next = chain.next(&[values]);
    match store.store(&lane(), std::slice::from_ref(&next)).await {
        Err(error) => ensure(error.remedy.contains("\"remark\" = \"remark\""), &error)?,
        Ok(outcomes) => return Err(Failure(format!("it was stored: {outcomes:?}"))),
    }
    let rows = "SELECT name, remark FROM setl";
    same(
        "their column",
        &lines(receiver, rows).await?,
        &texts(&["a|theirs"]),
    )?;
    let own = FeedOptions {
        columns: BTreeMap::from([("remark".to_owned(), "remark".to_owned())]),
        ..FeedOptions::default()
    };
    let options = Options {
        feeds: BTreeMap::from([(lane().feed, own)]),
        ..Options::default()
    };
    let store = prepared(receiver, options).await?;
    all_stored(store.as_ref(), &[next]).await?;
    same(
        "the named column",
        &lines(receiver, rows).await?,
        &texts(&["b|of the bureau"]),
    )
}

/// Views, indexes and other objects are not tables, even if the configuration names them.
pub async fn no_table(receiver: &dyn Receiver) -> Outcome {
    execute(
        receiver,
        "CREATE TABLE base (id BIGINT PRIMARY KEY, name TEXT, paid DECIMAL); \
         CREATE VIEW setl AS SELECT * FROM base; CREATE INDEX visit ON base (name)",
    )
    .await?;
    for (name, kind) in [("setl", "view"), ("visit", "index")] {
        let lane = feed(name)?;
        for options in [Options::default(), named(&lane, name)] {
            let store = prepared(receiver, options).await?;
            let chunk = [Chain::new(lane.clone(), claims_schema(), 0).next(&[row(1, "a")])];
            let reason = refused(store.as_ref(), &lane, &chunk).await?;
            ensure(reason.contains(kind), &reason)?;
        }
    }
    let count = lines(receiver, "SELECT CAST(count(*) AS TEXT) FROM base").await?;
    same("their table", &count, &texts(&["0"]))
}
