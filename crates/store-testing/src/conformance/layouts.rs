//! Tables, names and modes of an operator.

use std::collections::BTreeMap;

use schemas::column::ColumnType;
use schemas::value::Value;

use super::changes::{approval, lines, waits};
use super::{
    Failure, Outcome, Receiver, all_stored, claims_schema, claims_schema_with_tombstone, count, ensure, link,
    report, row, row_or_tombstone, same, texts,
};
use crate::samples::{Chain, lane};
use store::error::ErrorKind;
use store::layout::{FeedOptions, Mode, Options};
use store::port::{Outcome as Stored, PendingChanges};

const HISTORY: &str = "SELECT CAST(_slacktide_epoch AS TEXT), CAST(_slacktide_number AS TEXT), \
    CAST(_slacktide_ordinal AS TEXT), CAST(id AS TEXT), name, CASE WHEN _slacktide_deleted THEN 'deleted' ELSE '-' END, \
    CASE WHEN _slacktide_superseded THEN 'superseded' ELSE '-' END FROM setl_history ORDER BY 1, 2, 3";

fn mode(mode: Mode) -> Options {
    Options {
        mode,
        ..Options::default()
    }
}

fn named(options: FeedOptions) -> Options {
    Options {
        feeds: BTreeMap::from([(lane().feed, options)]),
        ..Options::default()
    }
}

async fn prepared(
    receiver: &dyn Receiver,
    options: Options,
) -> Result<std::sync::Arc<dyn PendingChanges>, Failure> {
    let store = receiver.with(options);
    store.prepare().await?;
    Ok(store)
}

/// Every version is stored once in any order of deliveries; deletes are versions too.
pub async fn history(receiver: &dyn Receiver) -> Outcome {
    let mut chain = Chain::new(lane(), claims_schema_with_tombstone(), 0);
    let arrivals = [
        chain.next(&[row_or_tombstone(1, "a", false), row_or_tombstone(1, "b", false)]),
        chain.next(&[row_or_tombstone(2, "c", false), row_or_tombstone(1, "d", true)]),
        chain.next(&[row_or_tombstone(1, "e", false)]),
    ];
    prepared(receiver, mode(Mode::Both)).await?;
    let pollers: Vec<_> = (0..3_usize)
        .map(|poller| {
            let (store, mut mine) = (receiver.with(mode(Mode::Both)), arrivals.to_vec());
            mine.rotate_left(poller);
            tokio::spawn(async move {
                for one in mine {
                    store.store(&lane(), &[one]).await?;
                }
                Ok::<(), Failure>(())
            })
        })
        .collect();
    for poller in pollers {
        poller.await.map_err(|error| Failure(error.to_string()))??;
    }
    let versions = [
        "1|1|0|1|a|-|-",
        "1|1|1|1|b|-|-",
        "1|2|0|2|c|-|-",
        "1|2|1|1|d|deleted|-",
        "1|3|0|1|e|-|-",
    ];
    same("the history", &lines(receiver, HISTORY).await?, &texts(&versions))?;
    same(
        "the table",
        &super::table(receiver).await?,
        &texts(&["1:e@1.3", "2:c@1.2"]),
    )
}

/// A later epoch supersedes versions: they stay and are marked. A history alone creates no other table.
pub async fn superseded(receiver: &dyn Receiver) -> Outcome {
    let store = prepared(receiver, mode(Mode::History)).await?;
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let (first, second) = (chain.next(&[row(1, "a")]), chain.next(&[row(1, "lost")]));
    let continues = link(&first);
    all_stored(store.as_ref(), &[first, second.clone()]).await?;
    let opening = chain.open(Some(continues));
    let again = chain.next(&[row(1, "b")]);
    all_stored(store.as_ref(), &[opening, again]).await?;
    let outcomes = store.store(&lane(), &[second]).await?;
    same("left behind", &outcomes, &vec![Stored::AlreadyStored])?;
    same(
        "the history",
        &lines(receiver, HISTORY).await?,
        &texts(&["1|1|0|1|a|-|-", "1|2|0|1|lost|-|superseded", "2|2|0|1|b|-|-"]),
    )?;
    // There is no object of this name.
    receiver
        .execute("CREATE TABLE setl (id BIGINT)")
        .await
        .map_err(Failure)
}

/// The same if they arrive in one call with the openings that supersede them.
pub async fn superseded_at_once(receiver: &dyn Receiver) -> Outcome {
    let store = prepared(receiver, mode(Mode::History)).await?;
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let first = chain.next(&[row(1, "a")]);
    let continues = link(&first);
    all_stored(store.as_ref(), &[first]).await?;
    let lost = chain.next(&[row(1, "lost")]);
    let opens = chain.open(Some(continues));
    let continues = link(&opens);
    let left = chain.next(&[row(1, "left")]);
    let left_link = link(&left);
    let again = [
        lost,
        opens,
        left,
        chain.open(Some(continues)),
        chain.next(&[row(1, "b")]),
    ];
    all_stored(store.as_ref(), &again).await?;
    let wanted = [
        "1|1|0|1|a|-|-",
        "1|2|0|1|lost|-|superseded",
        "2|2|0|1|left|-|superseded",
        "3|2|0|1|b|-|-",
    ];
    same("the history", &lines(receiver, HISTORY).await?, &texts(&wanted))?;
    // Superseded versions count again if a later epoch continues from them.
    all_stored(store.as_ref(), &[chain.open(Some(left_link))]).await?;
    let wanted = [
        "1|1|0|1|a|-|-",
        "1|2|0|1|lost|-|superseded",
        "2|2|0|1|left|-|-",
        "3|2|0|1|b|-|superseded",
    ];
    same("the history", &lines(receiver, HISTORY).await?, &texts(&wanted))
}

/// A row that one table refuses is in neither, and is quarantined once.
pub async fn refused_by_one(receiver: &dyn Receiver) -> Outcome {
    for (options, refuses) in [
        (Mode::Both, "setl"),
        (Mode::Both, "setl_history"),
        (Mode::History, "setl_history"),
    ] {
        let store = prepared(receiver, mode(options)).await?;
        let mut chain = Chain::new(lane(), claims_schema(), 0);
        all_stored(store.as_ref(), &[chain.next(&[row(0, "taken")])]).await?;
        receiver
            .execute(&format!("CREATE UNIQUE INDEX only_one ON {refuses} (name)"))
            .await
            .map_err(Failure)?;
        let outcomes = store
            .store(
                &lane(),
                &[chain.next(&[row(1, "x"), row(2, "taken"), row(3, "y")])],
            )
            .await?;
        let wanted = Stored::Stored {
            rows: 3,
            quarantined: 1,
        };
        same(
            &format!("outcomes where {refuses} refuses"),
            &outcomes,
            &vec![wanted],
        )?;
        let mut tables = vec!["setl_history"];
        if options == Mode::Both {
            tables.push("setl");
        }
        for table in tables {
            let sql = format!("SELECT name FROM {table} ORDER BY id");
            same(
                &format!("{table} where {refuses} refuses"),
                &lines(receiver, &sql).await?,
                &texts(&["taken", "x", "y"]),
            )?;
        }
        same("kept", &count(receiver, "quarantine").await?, &"1".to_owned())?;
        let forget = ["ledger", "lanes", "quarantine", "quarantine_manifests"]
            .map(|own| format!("DELETE FROM {};", receiver.own(own)))
            .concat();
        receiver
            .execute(&format!(
                "{forget} DROP TABLE IF EXISTS setl; DROP TABLE setl_history;"
            ))
            .await
            .map_err(Failure)?;
    }
    Ok(())
}

/// A table of its owner, with other names and constraints.
pub async fn of_others(receiver: &dyn Receiver) -> Outcome {
    let made = "CREATE TABLE office (code TEXT PRIMARY KEY); INSERT INTO office VALUES ('x');
        CREATE TABLE claims_here (claim_id BIGINT PRIMARY KEY, office TEXT NOT NULL REFERENCES office (code),
        amount DECIMAL CHECK (amount IS NOT NULL), remark TEXT DEFAULT 'ours');";
    receiver.execute(made).await.map_err(Failure)?;
    let names = |amount: &str| FeedOptions {
        table: Some("claims_here".into()),
        columns: [("id", "claim_id"), ("name", "office"), ("paid", amount)]
            .map(|(from, to)| (from.to_owned(), to.to_owned()))
            .into(),
        ..FeedOptions::default()
    };
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let chunk = chain.next(&[
        row(1, "x"),
        row(2, "nowhere"),
        vec![Value::Int(3), Value::Null, Value::Text("1")],
        vec![Value::Int(4), Value::Text("x"), Value::Null],
    ]);
    let store = prepared(receiver, named(names("missing"))).await?;
    let error = store.store(&lane(), std::slice::from_ref(&chunk)).await;
    let error = error
        .err()
        .ok_or_else(|| Failure("a table without the column was taken".into()))?;
    ensure(
        error.kind == ErrorKind::Refused && error.what.contains("\"missing\""),
        format_args!("{error}"),
    )?;
    let store = prepared(receiver, named(names("amount"))).await?;
    let outcomes = store.store(&lane(), &[chunk]).await?;
    same(
        "outcomes",
        &outcomes,
        &vec![Stored::Stored {
            rows: 4,
            quarantined: 3,
        }],
    )?;
    let sql = "SELECT CAST(claim_id AS TEXT), office, remark FROM claims_here";
    same("the table", &lines(receiver, sql).await?, &texts(&["1|x|ours"]))
}

/// A table without a unique key of the feed is not written.
pub async fn without_key(receiver: &dyn Receiver) -> Outcome {
    receiver
        .execute("CREATE TABLE setl (id BIGINT, name TEXT, paid DECIMAL)")
        .await
        .map_err(Failure)?;
    let options = FeedOptions {
        table: Some("setl".into()),
        ..FeedOptions::default()
    };
    let store = prepared(receiver, named(options)).await?;
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let chunk = chain.next(&[row(1, "x")]);
    match store.store(&lane(), std::slice::from_ref(&chunk)).await {
        Err(error) => ensure(
            error.kind == ErrorKind::Refused && error.what.contains("no unique key over (\"id\")"),
            format_args!("{error}"),
        )?,
        Ok(outcomes) => return Err(Failure(format!("it was taken: {outcomes:?}"))),
    }
    receiver
        .execute("CREATE UNIQUE INDEX by_id ON setl (id)")
        .await
        .map_err(Failure)?;
    all_stored(store.as_ref(), &[chunk]).await
}

/// Changed modes: a history begins when it is enabled; the way back needs approval.
pub async fn another_mode(receiver: &dyn Receiver) -> Outcome {
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let store = prepared(receiver, mode(Mode::Current)).await?;
    all_stored(store.as_ref(), &[chain.next(&[row(1, "a")])]).await?;
    let store = prepared(receiver, mode(Mode::Both)).await?;
    all_stored(store.as_ref(), &[chain.next(&[row(1, "b")])]).await?;
    let store = prepared(receiver, mode(Mode::History)).await?;
    all_stored(store.as_ref(), &[chain.next(&[row(1, "c")])]).await?;
    same("the table", &super::table(receiver).await?, &texts(&["1:b@1.2"]))?;
    let store = prepared(receiver, mode(Mode::Both)).await?;
    let next = chain.next(&[row(1, "d")]);
    let reason = waits(store.as_ref(), std::slice::from_ref(&next)).await?;
    ensure(reason.contains("mode was \"history\""), &reason)?;
    store.accept(&lane(), &approval()).await?;
    all_stored(store.as_ref(), &[next]).await?;
    same("the table", &super::table(receiver).await?, &texts(&["1:d@1.4"]))?;
    same(
        "the history",
        &lines(receiver, HISTORY).await?,
        &texts(&["1|2|0|1|b|-|-", "1|3|0|1|c|-|-", "1|4|0|1|d|-|-"]),
    )
}

/// Changed names: nothing is created next to existing rows until they are renamed.
pub async fn another_name(receiver: &dyn Receiver) -> Outcome {
    let mut chain = Chain::new(lane(), claims_schema(), 0);
    let store = prepared(receiver, Options::default()).await?;
    all_stored(store.as_ref(), &[chain.next(&[row(1, "a")])]).await?;
    let options = || {
        named(FeedOptions {
            table: Some("settlement".into()),
            columns: BTreeMap::from([("name".into(), "person".into())]),
            ..FeedOptions::default()
        })
    };
    let store = prepared(receiver, options()).await?;
    let next = chain.next(&[row(2, "b")]);
    for (word, repair) in [
        ("setl", "ALTER TABLE setl RENAME TO settlement"),
        ("\"name\"", "ALTER TABLE settlement RENAME COLUMN name TO person"),
    ] {
        match store.store(&lane(), std::slice::from_ref(&next)).await {
            Err(error) => ensure(
                error.kind == ErrorKind::Refused && error.what.contains(word),
                format_args!("{error}"),
            )?,
            Ok(outcomes) => return Err(Failure(format!("it was taken: {outcomes:?}"))),
        }
        receiver.execute(repair).await.map_err(Failure)?;
    }
    all_stored(store.as_ref(), &[next]).await?;
    let sql = "SELECT CAST(id AS TEXT), person FROM settlement ORDER BY id";
    same("the table", &lines(receiver, sql).await?, &texts(&["1|a", "2|b"]))?;
    same("the frontier", &report(store.as_ref()).await?.to, &2)
}

/// A reserved name cannot be used.
pub async fn our_own_name(receiver: &dyn Receiver) -> Outcome {
    let store = prepared(receiver, Options::default()).await?;
    let mut wrong = claims_schema();
    wrong
        .columns
        .push(crate::samples::column("_slacktide_number", ColumnType::Int4));
    let mut chain = Chain::new(lane(), wrong, 0);
    let mut values = row(1, "a");
    values.push(Value::Int(1));
    let reason = waits(store.as_ref(), &[chain.next(&[values])]).await?;
    ensure(reason.contains("Slacktide's own"), &reason)
}
