//! The outbox, and requests until they are at the exchange.

use super::super::{Failure, Outcome, ensure, same};
use super::fixtures::{at, filing, recipient, reply};
use super::{RequestsReceiver, fixtures, open, rows};
use store::requests::{
    Filing, FilingOutcome, RequestFilter, RequestState, RequestSummary, Requests, Unpublished,
};

async fn write(receiver: &dyn RequestsReceiver, name: &str, arguments: &str) -> Outcome {
    let sql = format!(
        "INSERT INTO {} (idempotency, kind, arguments, purpose, basis) VALUES ('{name}', '{}', '{arguments}', '01', '02') \
         ON CONFLICT (idempotency) DO NOTHING",
        receiver.own("outbox"),
        fixtures::KIND
    );
    receiver.execute(&sql).await.map_err(Failure)
}

async fn marked(receiver: &dyn RequestsReceiver) -> Result<Vec<String>, Failure> {
    let sql = format!(
        "SELECT idempotency, state, request, CASE WHEN reason IS NULL THEN 'fine' ELSE 'has reason' END FROM {} ORDER BY number",
        receiver.own("outbox")
    );
    rows(receiver, &sql).await
}

/// A row is read until it is marked, and a repeated filing is the first one, under its id.
pub(super) async fn outbox(receiver: &dyn RequestsReceiver) -> Outcome {
    let requests = open(receiver).await?;
    write(receiver, "a", "{\"psn_no\": \"1\"}").await?;
    write(receiver, "b", "{}").await?;
    let found = requests.outbox(1).await?;
    same("rows read", &found.len(), &1)?;
    let draft = found
        .first()
        .ok_or_else(|| Failure("no row".to_owned()))?
        .parse()
        .map_err(|error| Failure(error.to_string()))?;
    same(
        "key and kind",
        &(draft.idempotency.as_str(), draft.kind.as_str()),
        &("a", fixtures::KIND),
    )?;
    let first = Filing {
        outbox: found.first().map(|row| row.number),
        ..filing("a", "1")
    };
    same("filed", &requests.file(&first).await?, &FilingOutcome::Kept)?;
    // A crash after the commit; another process files the same again a day later.
    let mut later = filing("a", "1");
    later.request.id = first.request.id.with_day(jiff::civil::date(2026, 2, 1));
    later.outbox = first.outbox;
    same(
        "filed again",
        &receiver.requests().file(&later).await?,
        &FilingOutcome::Known(first.request.id.clone()),
    )?;
    let rest: Vec<Option<String>> = requests
        .outbox(10)
        .await?
        .into_iter()
        .map(|row| row.idempotency)
        .collect();
    same("rows left", &rest, &vec![Some("b".to_owned())])?;
    let wanted = vec![
        format!("a|taken|{}|fine", first.request.id),
        "b|null|null|fine".to_owned(),
    ];
    same("marks", &marked(receiver).await?, &wanted)
}

/// An unreadable row must not be read again and again, nor block others.
pub(super) async fn bad_row(receiver: &dyn RequestsReceiver) -> Outcome {
    let requests = open(receiver).await?;
    write(receiver, "bad", "no json").await?;
    write(receiver, "good", "{}").await?;
    for row in requests.outbox(10).await? {
        if let Err(reason) = row.parse() {
            requests.refuse_row(row.number, &reason.to_string()).await?;
        }
    }
    let rest: Vec<Option<String>> = requests
        .outbox(10)
        .await?
        .into_iter()
        .map(|row| row.idempotency)
        .collect();
    same("rows left", &rest, &vec![Some("good".to_owned())])?;
    let wanted = ["bad|refused|null|has reason", "good|null|null|fine"].map(str::to_owned);
    // A program that does not know whether it wrote the row writes it again.
    write(receiver, "good", "{}").await?;
    same("marks", &marked(receiver).await?, &wanted.to_vec())
}

/// Another request under a used key is refused, and its row shows the reason.
pub(super) async fn one_key(receiver: &dyn RequestsReceiver) -> Outcome {
    let requests = open(receiver).await?;
    let first = filing("a", "1");
    same("filed", &requests.file(&first).await?, &FilingOutcome::Kept)?;
    write(receiver, "a", "{\"psn_no\": \"2\"}").await?;
    let number = requests.outbox(1).await?.first().map(|row| row.number);
    let other = Filing {
        outbox: number,
        ..filing("a", "2")
    };
    same(
        "another under the key",
        &requests.file(&other).await?,
        &FilingOutcome::Contradicts(first.request.id.clone()),
    )?;
    same(
        "marks",
        &marked(receiver).await?,
        &vec!["a|refused|null|has reason".to_owned()],
    )?;
    same(
        "kept",
        &requests.unpublished(&recipient(), 10).await?,
        &vec![Unpublished {
            id: first.request.id,
            bytes: first.bytes,
        }],
    )
}

async fn states(requests: &dyn Requests) -> Result<Vec<RequestState>, Failure> {
    let listed = requests.list(&recipient(), &RequestFilter::default()).await?;
    Ok(listed.iter().map(|one| one.state).collect())
}

pub(super) async fn mark_published(receiver: &dyn RequestsReceiver) -> Outcome {
    let requests = open(receiver).await?;
    let (a, b) = (filing("a", "1"), filing("b", "1"));
    requests.file(&a).await?;
    requests.file(&b).await?;
    requests
        .mark_published(&recipient(), &a.request.id, at(2))
        .await?;
    requests
        .mark_not_filed(&recipient(), &b.request.id, "another is there")
        .await?;
    same(
        "kept",
        &requests.unpublished(&recipient(), 10).await?,
        &Vec::new(),
    )?;
    // A late report of the same does not undo it.
    requests
        .mark_not_filed(&recipient(), &a.request.id, "late")
        .await?;
    let listed = requests.list(&recipient(), &RequestFilter::default()).await?;
    let found: Vec<(RequestState, Option<&str>)> = listed
        .iter()
        .map(|one| (one.state, one.reason.as_deref()))
        .collect();
    ensure(
        found.contains(&(RequestState::Filed, None))
            && found.contains(&(RequestState::NotFiled, Some("another is there"))),
        format_args!("listed: {found:?}"),
    )
}

/// A database that lost a request, or another host that filed it: the exchange's request is recorded.
pub(super) async fn from_the_exchange(receiver: &dyn RequestsReceiver) -> Outcome {
    let requests = open(receiver).await?;
    let mine = filing("a", "1");
    requests.file(&mine).await?;
    let theirs = Filing {
        digest: schemas::digest::Digest::of(&[b"signed elsewhere"]),
        bytes: b"signed elsewhere".to_vec(),
        exchanged_at: Some(at(2)),
        ..filing("a", "1")
    };
    let id = mine.request.id.clone();
    same("filed", &requests.file(&theirs).await?, &FilingOutcome::Known(id))?;
    same(
        "standing",
        &states(requests.as_ref()).await?,
        &vec![RequestState::Filed],
    )?;
    let received = reply(&theirs, &fixtures::columns(), &[])?;
    let outcome = requests.store_reply(&received).await?;
    ensure(
        matches!(outcome, store::requests::ReplyOutcome::Stored { rows: 0, .. }),
        format_args!("the reply to it: {outcome:?}"),
    )
}

pub(super) async fn list(receiver: &dyn RequestsReceiver) -> Outcome {
    let requests = open(receiver).await?;
    let (a, b, mut c) = (filing("a", "1"), filing("b", "1"), filing("c", "1"));
    c.request.kind = "fund.by_day".to_owned();
    c.request.filed_at = at(100);
    c.request.deadline = Some(at(1_000));
    for one in [&a, &b, &c] {
        requests.file(one).await?;
    }
    requests
        .mark_published(&recipient(), &b.request.id, at(2))
        .await?;
    requests
        .store_reply(&reply(&b, &fixtures::columns(), &[])?)
        .await?;
    let find = async |wanted: RequestFilter| -> Result<Vec<String>, Failure> {
        let listed = requests.list(&recipient(), &wanted).await?;
        Ok(listed
            .into_iter()
            .map(|one| one.idempotency.unwrap_or_default())
            .collect())
    };
    let one = |name: &str| vec![name.to_owned()];
    let all = RequestFilter::default;
    same("all", &find(all()).await?.len(), &3)?;
    let latest = RequestFilter {
        limit: Some(1),
        ..all()
    };
    same("the latest", &find(latest).await?, &one("c"))?;
    let kind = RequestFilter {
        kind: Some("fund.by_day".to_owned()),
        ..all()
    };
    same("of a kind", &find(kind).await?, &one("c"))?;
    let state = RequestFilter {
        state: Some(RequestState::Stored),
        ..all()
    };
    same("of a standing", &find(state).await?, &one("b"))?;
    let outcome = RequestFilter {
        outcome: Some("empty".to_owned()),
        ..all()
    };
    same("of an outcome", &find(outcome).await?, &one("b"))?;
    let prefix = RequestFilter {
        prefix: a.request.id.to_string(),
        ..all()
    };
    same("by id", &find(prefix).await?, &one("a"))?;
    let since = RequestFilter {
        since: Some(at(50)),
        ..all()
    };
    same("since", &find(since.clone()).await?, &one("c"))?;
    let found: Vec<RequestSummary> = requests.list(&recipient(), &since).await?;
    let times = found.first().map(|one| (one.filed_at, one.deadline));
    same("times", &times, &Some((at(100), Some(at(1_000)))))?;
    let other = schemas::name::RecipientName::new("insurer-b").map_err(|error| Failure(error.to_string()))?;
    same("of another", &requests.list(&other, &all()).await?, &Vec::new())
}
