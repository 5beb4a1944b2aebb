//! Replies with their rows.

use std::sync::Arc;

use schemas::column::ColumnType;
use schemas::refusal::RefusalCode;
use schemas::reply::Outcome as Answer;
use schemas::value::Value;

use super::super::{Failure, Outcome, ensure, same, texts};
use super::fixtures::{TABLE, at, columns, filing, recipient, reply, row, with_outcome};
use super::{RequestsReceiver, open, rows};
use crate::samples::schema;
use store::error::ErrorKind;
use store::layout::{FeedOptions, Options};
use store::requests::{Filing, ReplyOutcome, RequestFilter, RequestState, Requests};

/// A request that is at the exchange.
async fn filed(requests: &Arc<dyn Requests>, name: &str) -> Result<Filing, Failure> {
    let filing = filing(name, "1");
    requests.file(&filing).await?;
    requests
        .mark_published(&recipient(), &filing.request.id, at(2))
        .await?;
    Ok(filing)
}

/// Returns the table's rows: `row_number:id:name`.
async fn table(receiver: &dyn RequestsReceiver) -> Result<Vec<String>, Failure> {
    let sql = format!(
        "SELECT CAST(_slacktide_row_number AS TEXT), CAST(id AS TEXT), name FROM {TABLE} ORDER BY _slacktide_request, _slacktide_row_number"
    );
    rows(receiver, &sql).await
}

fn stored(rows: u64) -> ReplyOutcome {
    ReplyOutcome::Stored { rows, quarantined: 0 }
}

fn contradicts(outcome: &ReplyOutcome) -> bool {
    matches!(outcome, ReplyOutcome::Contradicts { .. })
}

pub(super) async fn once(receiver: &dyn RequestsReceiver) -> Outcome {
    let requests = open(receiver).await?;
    let filing = filed(&requests, "a").await?;
    // Rows have no key: two equal rows are two rows.
    let (first, second) = ([row(1, "x"), row(1, "x")], [row(2, "y")]);
    let received = reply(&filing, &columns(), &[&first, &second])?;
    same("stored", &requests.store_reply(&received).await?, &stored(3))?;
    same(
        "again",
        &receiver.requests().store_reply(&received).await?,
        &ReplyOutcome::AlreadyStored,
    )?;
    same(
        "the table",
        &table(receiver).await?,
        &texts(&["1|1|x", "2|1|x", "3|2|y"]),
    )?;
    let ids = rows(
        receiver,
        &format!("SELECT DISTINCT _slacktide_request FROM {TABLE}"),
    )
    .await?;
    same("whose rows", &ids, &vec![filing.request.id.to_string()])?;
    let listed = requests.list(&recipient(), &RequestFilter::default()).await?;
    let found = listed.first().and_then(|one| one.reply.as_ref());
    let found = found.map(|found| {
        (
            found.outcome.as_str(),
            found.digest,
            found.rows,
            found.withheld,
            found.delivered_at,
        )
    });
    same(
        "the reply",
        &found,
        &Some(("answered", received.digest, 3, 3, at(6))),
    )?;
    let named = listed
        .first()
        .and_then(|one| one.reply.as_ref()?.table.clone())
        .unwrap_or_default();
    same(
        "the table that is named",
        &rows(receiver, &format!("SELECT CAST(count(*) AS TEXT) FROM {named}")).await?,
        &texts(&["3"]),
    )
}

pub(super) async fn another(receiver: &dyn RequestsReceiver) -> Outcome {
    let requests = open(receiver).await?;
    let filing = filed(&requests, "a").await?;
    let received = reply(&filing, &columns(), &[&[row(1, "x")]])?;
    let ids = [filing.request.id.clone()];
    let unanswered = requests.unanswered(&recipient(), &ids).await?;
    same("before the reply", &unanswered, &ids.to_vec())?;
    requests.store_reply(&received).await?;
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
        let outcome = requests.store_reply(&other).await?;
        ensure(contradicts(&outcome), format_args!("another reply: {outcome:?}"))?;
    }
    same("the table", &table(receiver).await?, &texts(&["1|1|x"]))
}

pub(super) async fn not_whole(receiver: &dyn RequestsReceiver) -> Outcome {
    let requests = open(receiver).await?;
    let filing = filed(&requests, "a").await?;
    let unknown = reply(&super::fixtures::filing("b", "1"), &columns(), &[])?;
    same(
        "without its request",
        &requests.store_reply(&unknown).await?,
        &ReplyOutcome::Unknown,
    )?;
    let good = reply(&filing, &columns(), &[&[row(1, "x")], &[row(2, "y")]])?;
    let (mut missing, mut turned, mut of_another, mut more) =
        (good.clone(), good.clone(), good.clone(), good.clone());
    missing.parts.pop();
    turned.parts.reverse();
    for part in &mut of_another.parts {
        part.manifest.attempt = 1;
    }
    if let Answer::Answered { rows, .. } = &mut more.reply.outcome {
        *rows += 1;
    }
    let mut renamed = good.clone();
    renamed.reply.request = renamed.digest;
    for part in &mut renamed.parts {
        part.manifest.request = renamed.digest;
    }
    for bad in [missing, turned, of_another, more, renamed] {
        let outcome = requests.store_reply(&bad).await?;
        ensure(
            contradicts(&outcome),
            format_args!("not whole, and yet: {outcome:?}"),
        )?;
    }
    let listed = requests.list(&recipient(), &RequestFilter::default()).await?;
    same(
        "standing",
        &listed.first().map(|one| one.state),
        &Some(RequestState::Filed),
    )?;
    same("then whole", &requests.store_reply(&good).await?, &stored(2))
}

pub(super) async fn at_once(receiver: &dyn RequestsReceiver) -> Outcome {
    let requests = open(receiver).await?;
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
            let (requests, received) = (receiver.requests(), answers[at % 2].clone());
            tokio::spawn(async move { requests.store_reply(&received).await })
        })
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        all.push(task.await.map_err(|error| Failure(error.to_string()))??);
    }
    let count = |what: ReplyOutcome| all.iter().filter(|outcome| **outcome == what).count();
    same(
        "stored and already",
        &(count(stored(2)), count(ReplyOutcome::AlreadyStored)),
        &(2, 6),
    )?;
    same("rows", &table(receiver).await?.len(), &4)
}

/// A new, a missing and a retyped column: older rows stay unchanged.
pub(super) async fn changed(receiver: &dyn RequestsReceiver) -> Outcome {
    let requests = open(receiver).await?;
    let filing = filed(&requests, "a").await?;
    requests
        .store_reply(&reply(&filing, &columns(), &[&[row(1, "x")]])?)
        .await?;
    let text = || ColumnType::Text { max: None };
    let next = schema(&[], &[("id", text()), ("more", text())]);
    let filing = filed(&requests, "b").await?;
    let values = vec![Value::Text("two"), Value::Text("m")];
    let received = reply(&filing, &next, &[&[values]])?;
    same("stored", &requests.store_reply(&received).await?, &stored(1))?;
    let filing = filed(&requests, "c").await?;
    let values = vec![Value::Text("three"), Value::Text("m")];
    let received = reply(&filing, &next, &[&[values]])?;
    same("stored", &requests.store_reply(&received).await?, &stored(1))?;
    let sql =
        format!("SELECT CAST(id_before_1_2 AS TEXT), id, name, more FROM {TABLE} ORDER BY _slacktide_number");
    same(
        "the table",
        &rows(receiver, &sql).await?,
        &texts(&["1|null|x|null", "null|two|null|m", "null|three|null|m"]),
    )
}

pub(super) async fn refused(receiver: &dyn RequestsReceiver) -> Outcome {
    let requests = open(receiver).await?;
    let filing = filed(&requests, "a").await?;
    requests
        .store_reply(&reply(&filing, &columns(), &[&[row(1, "x")]])?)
        .await?;
    receiver
        .execute(&format!("CREATE UNIQUE INDEX one_name ON {TABLE} (name)"))
        .await
        .map_err(Failure)?;
    let filing = filed(&requests, "b").await?;
    let (first, second) = ([row(2, "y")], [row(3, "x"), row(4, "z")]);
    let received = reply(&filing, &columns(), &[&first, &second])?;
    let wanted = ReplyOutcome::Stored {
        rows: 2,
        quarantined: 1,
    };
    same("stored", &requests.store_reply(&received).await?, &wanted)?;
    let sql = format!(
        "SELECT CAST(row_number AS TEXT) FROM {}",
        receiver.own("answers_refused")
    );
    same("quarantined", &rows(receiver, &sql).await?, &texts(&["2"]))?;
    let names = rows(receiver, &format!("SELECT name FROM {TABLE} ORDER BY name")).await?;
    same("the table", &names, &texts(&["x", "y", "z"]))?;
    let due = requests.unconfirmed_replies(&recipient(), 10).await?;
    let counts: Vec<(u64, u64)> = due.iter().map(|due| (due.rows, due.quarantined)).collect();
    same("due", &counts, &vec![(1, 0), (2, 1)])
}

pub(super) async fn unconfirmed_replies(receiver: &dyn RequestsReceiver) -> Outcome {
    let requests = open(receiver).await?;
    let filing = filed(&requests, "a").await?;
    let received = reply(&filing, &columns(), &[])?;
    requests.store_reply(&received).await?;
    let due = requests.unconfirmed_replies(&recipient(), 10).await?;
    let found: Vec<_> = due
        .iter()
        .map(|due| (due.id.clone(), due.reply, due.rows, due.delivered_at))
        .collect();
    let id = &filing.request.id;
    same("due", &found, &vec![(id.clone(), received.digest, 0, at(6))])?;
    // The confirmation of another reply does not confirm this one.
    requests
        .mark_confirmed(&recipient(), id, &filing.digest, at(8))
        .await?;
    same(
        "still due",
        &requests.unconfirmed_replies(&recipient(), 10).await?.len(),
        &1,
    )?;
    for second in [9, 10] {
        requests
            .mark_confirmed(&recipient(), id, &received.digest, at(second))
            .await?;
    }
    same(
        "due then",
        &requests.unconfirmed_replies(&recipient(), 10).await?,
        &Vec::new(),
    )?;
    let listed = requests.list(&recipient(), &RequestFilter::default()).await?;
    let found = listed
        .first()
        .map(|one| (one.state, one.reply.as_ref().and_then(|found| found.confirmed_at)));
    same("listed", &found, &Some((RequestState::Confirmed, Some(at(9)))))
}

/// The table of a kind follows the rules of feeds' tables: an existing one is adopted only if named, has one owner,
/// and is never a bookkeeping table.
pub(super) async fn tables(receiver: &dyn RequestsReceiver) -> Outcome {
    let theirs = format!(
        "CREATE TABLE {TABLE} (_slacktide_request TEXT, _slacktide_row_number BIGINT, id BIGINT, name TEXT, \
         _slacktide_epoch INTEGER DEFAULT 0, _slacktide_number BIGINT DEFAULT 0, \
         PRIMARY KEY (_slacktide_request, _slacktide_row_number))"
    );
    receiver.execute(&theirs).await.map_err(Failure)?;
    let requests = open(receiver).await?;
    let filing = filed(&requests, "a").await?;
    let rows_of = [row(1, "x")];
    let received = reply(&filing, &columns(), &[&rows_of])?;
    match requests.store_reply(&received).await {
        Err(error) => ensure(
            error.kind == ErrorKind::Refused && error.remedy.contains(&format!("table = \"{TABLE}\"")),
            &error,
        )?,
        Ok(outcome) => return Err(Failure(format!("it was stored: {outcome:?}"))),
    }
    same("their table", &table(receiver).await?, &Vec::new())?;
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
        match receiver
            .requests_with(named(reserved)?)
            .store_reply(&received)
            .await
        {
            Err(error) => ensure(
                error.kind == ErrorKind::Refused && error.what.contains(reserved),
                &error,
            )?,
            Ok(outcome) => return Err(Failure(format!("{reserved}: it was stored: {outcome:?}"))),
        }
    }
    let outcome = receiver
        .requests_with(named(TABLE)?)
        .store_reply(&received)
        .await?;
    same("adopted", &outcome, &stored(1))?;
    same("the adopted table", &table(receiver).await?, &texts(&["1|1|x"]))?;
    // A feed with the table's name.
    let lane = schemas::name::Lane {
        feed: TABLE.parse().map_err(|_| Failure("a bad name".into()))?,
        recipient: recipient(),
    };
    let mut chain = crate::samples::Chain::new(lane.clone(), schema(&["id"], &[("id", ColumnType::Int8)]), 0);
    let store = receiver.requests_with(named(TABLE)?);
    match store.store(&lane, &[chain.next(&[vec![Value::Int(1)]])]).await {
        Err(error) => ensure(error.what.contains("kind setl.by_person of"), &error),
        Ok(outcomes) => Err(Failure(format!("it was stored: {outcomes:?}"))),
    }
}
