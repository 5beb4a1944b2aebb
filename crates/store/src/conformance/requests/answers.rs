//! Replies with their rows.

use std::sync::Arc;

use schemas::column::ColumnType;
use schemas::refusal::RefusalCode;
use schemas::reply::Outcome as Answer;
use schemas::value::Value;

use super::super::{Failure, Outcome, ensure, same, texts};
use super::made::{TABLE, at, columns, filing, recipient, reply, row, with_outcome};
use super::{Asker, open, rows};
use crate::error::ErrorKind;
use crate::layout::{FeedOptions, Options};
use crate::requests::{Became, Filing, Requests, Standing, Wanted};
use crate::samples::schema;

/// A request that is at the exchange.
async fn filed(requests: &Arc<dyn Requests>, name: &str) -> Result<Filing, Failure> {
    let filing = filing(name, "1");
    requests.file(&filing).await?;
    requests
        .published(&recipient(), &filing.request.id, at(2))
        .await?;
    Ok(filing)
}

/// The table's rows: `place:id:name`.
async fn table(asker: &dyn Asker) -> Result<Vec<String>, Failure> {
    let sql = format!(
        "SELECT CAST(_slacktide_place AS TEXT), CAST(id AS TEXT), name FROM {TABLE} ORDER BY _slacktide_request, _slacktide_place"
    );
    rows(asker, &sql).await
}

fn stored(rows: u64) -> Became {
    Became::Stored { rows, quarantined: 0 }
}

fn contradicts(became: &Became) -> bool {
    matches!(became, Became::Contradicts { .. })
}

pub(super) async fn once(asker: &dyn Asker) -> Outcome {
    let requests = open(asker).await?;
    let filing = filed(&requests, "a").await?;
    // Rows have no key: two that are alike are two.
    let (first, second) = ([row(1, "x"), row(1, "x")], [row(2, "y")]);
    let answered = reply(&filing, &columns(), &[&first, &second])?;
    same("stored", &requests.store_reply(&answered).await?, &stored(3))?;
    same(
        "again",
        &asker.requests().store_reply(&answered).await?,
        &Became::Already,
    )?;
    same(
        "the table",
        &table(asker).await?,
        &texts(&["1|1|x", "2|1|x", "3|2|y"]),
    )?;
    let ids = rows(asker, &format!("SELECT DISTINCT _slacktide_request FROM {TABLE}")).await?;
    same("whose rows", &ids, &vec![filing.request.id.to_string()])?;
    let listed = requests.listed(&recipient(), &Wanted::default()).await?;
    let told = listed.first().and_then(|one| one.reply.as_ref());
    let told = told.map(|told| {
        (
            told.outcome.as_str(),
            told.digest,
            told.rows,
            told.withheld,
            told.delivered_at,
        )
    });
    same(
        "what is told",
        &told,
        &Some(("answered", answered.digest, 3, 3, at(6))),
    )?;
    let named = listed
        .first()
        .and_then(|one| one.reply.as_ref()?.table.clone())
        .unwrap_or_default();
    same(
        "the table that is named",
        &rows(asker, &format!("SELECT CAST(count(*) AS TEXT) FROM {named}")).await?,
        &texts(&["3"]),
    )
}

pub(super) async fn another(asker: &dyn Asker) -> Outcome {
    let requests = open(asker).await?;
    let filing = filed(&requests, "a").await?;
    let answered = reply(&filing, &columns(), &[&[row(1, "x")]])?;
    let ids = [filing.request.id.clone()];
    let unanswered = requests.unanswered(&recipient(), &ids).await?;
    same("before the reply", &unanswered, &ids.to_vec())?;
    requests.store_reply(&answered).await?;
    let unanswered = requests.unanswered(&recipient(), &ids).await?;
    same("after the reply", &unanswered, &Vec::new())?;
    let refusal = Answer::Refused {
        code: RefusalCode::NoBasis,
        reason: "no".to_owned(),
        retry_at: None,
    };
    for other in [
        reply(&filing, &columns(), &[&[row(2, "y")]])?,
        with_outcome(&filing, refusal, Vec::new()),
    ] {
        let became = requests.store_reply(&other).await?;
        ensure(contradicts(&became), format_args!("another reply: {became:?}"))?;
    }
    same("the table", &table(asker).await?, &texts(&["1|1|x"]))
}

pub(super) async fn not_whole(asker: &dyn Asker) -> Outcome {
    let requests = open(asker).await?;
    let filing = filed(&requests, "a").await?;
    let unknown = reply(&super::made::filing("b", "1"), &columns(), &[])?;
    same(
        "without its request",
        &requests.store_reply(&unknown).await?,
        &Became::Unknown,
    )?;
    let good = reply(&filing, &columns(), &[&[row(1, "x")], &[row(2, "y")]])?;
    let (mut missing, mut turned, mut of_another, mut more) =
        (good.clone(), good.clone(), good.clone(), good.clone());
    missing.parts.pop();
    turned.parts.reverse();
    for part in &mut of_another.parts {
        part.part.attempt = 1;
    }
    if let Answer::Answered { rows, .. } = &mut more.reply.outcome {
        *rows += 1;
    }
    let mut renamed = good.clone();
    renamed.reply.request = renamed.digest;
    for part in &mut renamed.parts {
        part.part.request = renamed.digest;
    }
    for bad in [missing, turned, of_another, more, renamed] {
        let became = requests.store_reply(&bad).await?;
        ensure(
            contradicts(&became),
            format_args!("not whole, and yet: {became:?}"),
        )?;
    }
    let listed = requests.listed(&recipient(), &Wanted::default()).await?;
    same(
        "standing",
        &listed.first().map(|one| one.standing),
        &Some(Standing::Filed),
    )?;
    same("then whole", &requests.store_reply(&good).await?, &stored(2))
}

pub(super) async fn at_once(asker: &dyn Asker) -> Outcome {
    let requests = open(asker).await?;
    let mut filings = Vec::new();
    for name in ["a", "b"] {
        filings.push(filed(&requests, name).await?);
    }
    let answers = filings
        .iter()
        .map(|filing| reply(filing, &columns(), &[&[row(1, "x")], &[row(2, "y")]]))
        .collect::<Result<Vec<_>, Failure>>()?;
    let tasks: Vec<_> = (0..8)
        .map(|at| {
            let (requests, answered) = (asker.requests(), answers[at % 2].clone());
            tokio::spawn(async move { requests.store_reply(&answered).await })
        })
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        all.push(task.await.map_err(|error| Failure(error.to_string()))??);
    }
    let count = |what: Became| all.iter().filter(|became| **became == what).count();
    same(
        "stored and already",
        &(count(stored(2)), count(Became::Already)),
        &(2, 6),
    )?;
    same("rows", &table(asker).await?.len(), &4)
}

/// A column more, one less, one of another type: rows of before stay as they were.
pub(super) async fn changed(asker: &dyn Asker) -> Outcome {
    let requests = open(asker).await?;
    let filing = filed(&requests, "a").await?;
    requests
        .store_reply(&reply(&filing, &columns(), &[&[row(1, "x")]])?)
        .await?;
    let text = || ColumnType::Text { max: None };
    let next = schema(&[], &[("id", text()), ("more", text())]);
    let filing = filed(&requests, "b").await?;
    let values = vec![Value::Text("two"), Value::Text("m")];
    let answered = reply(&filing, &next, &[&[values]])?;
    same("stored", &requests.store_reply(&answered).await?, &stored(1))?;
    let filing = filed(&requests, "c").await?;
    let values = vec![Value::Text("three"), Value::Text("m")];
    let answered = reply(&filing, &next, &[&[values]])?;
    same("stored", &requests.store_reply(&answered).await?, &stored(1))?;
    let sql =
        format!("SELECT CAST(id_before_1_2 AS TEXT), id, name, more FROM {TABLE} ORDER BY _slacktide_number");
    same(
        "the table",
        &rows(asker, &sql).await?,
        &texts(&["1|null|x|null", "null|two|null|m", "null|three|null|m"]),
    )
}

pub(super) async fn refused(asker: &dyn Asker) -> Outcome {
    let requests = open(asker).await?;
    let filing = filed(&requests, "a").await?;
    requests
        .store_reply(&reply(&filing, &columns(), &[&[row(1, "x")]])?)
        .await?;
    asker
        .execute(&format!("CREATE UNIQUE INDEX one_name ON {TABLE} (name)"))
        .await
        .map_err(Failure)?;
    let filing = filed(&requests, "b").await?;
    let (first, second) = ([row(2, "y")], [row(3, "x"), row(4, "z")]);
    let answered = reply(&filing, &columns(), &[&first, &second])?;
    let wanted = Became::Stored {
        rows: 2,
        quarantined: 1,
    };
    same("stored", &requests.store_reply(&answered).await?, &wanted)?;
    let sql = format!("SELECT CAST(place AS TEXT) FROM {}", asker.own("answers_refused"));
    same("kept aside", &rows(asker, &sql).await?, &texts(&["2"]))?;
    let names = rows(asker, &format!("SELECT name FROM {TABLE} ORDER BY name")).await?;
    same("the table", &names, &texts(&["x", "y", "z"]))?;
    let due = requests.due(&recipient(), 10).await?;
    let counts: Vec<(u64, u64)> = due.iter().map(|due| (due.rows, due.quarantined)).collect();
    same("due", &counts, &vec![(1, 0), (2, 1)])
}

pub(super) async fn due(asker: &dyn Asker) -> Outcome {
    let requests = open(asker).await?;
    let filing = filed(&requests, "a").await?;
    let answered = reply(&filing, &columns(), &[])?;
    requests.store_reply(&answered).await?;
    let due = requests.due(&recipient(), 10).await?;
    let told: Vec<_> = due
        .iter()
        .map(|due| (due.id.clone(), due.reply, due.rows, due.delivered_at))
        .collect();
    let id = &filing.request.id;
    same("due", &told, &vec![(id.clone(), answered.digest, 0, at(6))])?;
    // Word of another reply is not word of this one.
    requests
        .confirmed(&recipient(), id, &filing.digest, at(8))
        .await?;
    same("still due", &requests.due(&recipient(), 10).await?.len(), &1)?;
    for second in [9, 10] {
        requests
            .confirmed(&recipient(), id, &answered.digest, at(second))
            .await?;
    }
    same("due then", &requests.due(&recipient(), 10).await?, &Vec::new())?;
    let listed = requests.listed(&recipient(), &Wanted::default()).await?;
    let told = listed.first().map(|one| {
        (
            one.standing,
            one.reply.as_ref().and_then(|told| told.confirmed_at),
        )
    });
    same("listed", &told, &Some((Standing::Confirmed, Some(at(9)))))
}

/// The table of a kind obeys the rules of feeds' tables: an existing one is adopted only where it is named, none
/// belongs to two, and none is the bookkeeping's.
pub(super) async fn tables(asker: &dyn Asker) -> Outcome {
    let theirs = format!(
        "CREATE TABLE {TABLE} (_slacktide_request TEXT, _slacktide_place BIGINT, id BIGINT, name TEXT, \
         _slacktide_epoch INTEGER DEFAULT 0, _slacktide_number BIGINT DEFAULT 0, \
         PRIMARY KEY (_slacktide_request, _slacktide_place))"
    );
    asker.execute(&theirs).await.map_err(Failure)?;
    let requests = open(asker).await?;
    let filing = filed(&requests, "a").await?;
    let rows_of = [row(1, "x")];
    let answered = reply(&filing, &columns(), &[&rows_of])?;
    match requests.store_reply(&answered).await {
        Err(error) => ensure(
            error.kind == ErrorKind::Refused && error.remedy.contains(&format!("table = \"{TABLE}\"")),
            &error,
        )?,
        Ok(became) => return Err(Failure(format!("it was stored: {became:?}"))),
    }
    same("their table", &table(asker).await?, &Vec::new())?;
    let named = |table: &str| -> Result<Options, Failure> {
        let feed = TABLE.parse().map_err(|_| Failure("a bad name".into()))?;
        let own = FeedOptions {
            table: Some(table.to_owned()),
            ..FeedOptions::default()
        };
        Ok(Options {
            feeds: std::collections::BTreeMap::from([(feed, own)]),
            ..Options::default()
        })
    };
    for reserved in [
        "slacktide_outbox",
        "Slacktide_Requests",
        "main.slacktide_outbox",
        "pg_x",
    ] {
        match asker.asking(named(reserved)?).store_reply(&answered).await {
            Err(error) => ensure(
                error.kind == ErrorKind::Refused && error.what.contains(reserved),
                &error,
            )?,
            Ok(became) => return Err(Failure(format!("{reserved}: it was stored: {became:?}"))),
        }
    }
    let became = asker.asking(named(TABLE)?).store_reply(&answered).await?;
    same("adopted", &became, &stored(1))?;
    same("the adopted table", &table(asker).await?, &texts(&["1|1|x"]))?;
    // A feed that is called like the table.
    let lane = schemas::name::Lane {
        feed: TABLE.parse().map_err(|_| Failure("a bad name".into()))?,
        recipient: recipient(),
    };
    let mut chain = crate::samples::Chain::new(lane.clone(), schema(&["id"], &[("id", ColumnType::Int8)]), 0);
    let store = asker.asking(named(TABLE)?);
    match store.store(&lane, &[chain.next(&[vec![Value::Int(1)]])]).await {
        Err(error) => ensure(error.what.contains("kind setl.by_person of"), &error),
        Ok(outcomes) => Err(Failure(format!("it was stored: {outcomes:?}"))),
    }
}
