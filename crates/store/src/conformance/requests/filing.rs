//! The outbox, and requests on their way to the exchange.

use super::super::{Failure, Outcome, ensure, same};
use super::made::{at, filing, recipient, reply};
use super::{Asker, made, open, rows};
use crate::requests::{Filed, Filing, Listed, Requests, Standing, Unpublished, Wanted};

async fn write(asker: &dyn Asker, name: &str, arguments: &str) -> Outcome {
    let sql = format!(
        "INSERT INTO {} (idempotency, kind, arguments, purpose, basis) VALUES ('{name}', '{}', '{arguments}', '01', '02') \
         ON CONFLICT (idempotency) DO NOTHING",
        asker.own("outbox"),
        made::KIND
    );
    asker.execute(&sql).await.map_err(Failure)
}

async fn marked(asker: &dyn Asker) -> Result<Vec<String>, Failure> {
    let sql = format!(
        "SELECT idempotency, state, request, CASE WHEN reason IS NULL THEN 'fine' ELSE 'told' END FROM {} ORDER BY number",
        asker.own("outbox")
    );
    rows(asker, &sql).await
}

/// A row is read until it is marked, and a filing that is repeated is the first one, under its id.
pub(super) async fn outbox(asker: &dyn Asker) -> Outcome {
    let requests = open(asker).await?;
    write(asker, "a", "{\"psn_no\": \"1\"}").await?;
    write(asker, "b", "{}").await?;
    let found = requests.outbox(1).await?;
    same("rows read", &found.len(), &1)?;
    let wish = found
        .first()
        .ok_or_else(|| Failure("no row".to_owned()))?
        .wish()
        .map_err(Failure)?;
    same(
        "key and kind",
        &(wish.idempotency.as_str(), wish.kind.as_str()),
        &("a", made::KIND),
    )?;
    let asked = Filing {
        outbox: found.first().map(|row| row.number),
        ..filing("a", "1")
    };
    same("filed", &requests.file(&asked).await?, &Filed::Kept)?;
    // A crash behind the commit, and another process that files the same again, a day later.
    let mut later = filing("a", "1");
    later.request.id = asked.request.id.on(jiff::civil::date(2026, 2, 1));
    later.outbox = asked.outbox;
    same(
        "filed again",
        &asker.requests().file(&later).await?,
        &Filed::Known(asked.request.id.clone()),
    )?;
    let rest: Vec<Option<String>> = requests
        .outbox(10)
        .await?
        .into_iter()
        .map(|row| row.idempotency)
        .collect();
    same("rows left", &rest, &vec![Some("b".to_owned())])?;
    let wanted = vec![
        format!("a|taken|{}|fine", asked.request.id),
        "b|null|null|fine".to_owned(),
    ];
    same("marks", &marked(asker).await?, &wanted)
}

/// Trap: a row that cannot be read must not be read again for ever, nor keep others waiting.
pub(super) async fn bad_row(asker: &dyn Asker) -> Outcome {
    let requests = open(asker).await?;
    write(asker, "bad", "no json").await?;
    write(asker, "good", "{}").await?;
    for row in requests.outbox(10).await? {
        if let Err(reason) = row.wish() {
            requests.unfit(row.number, &reason).await?;
        }
    }
    let rest: Vec<Option<String>> = requests
        .outbox(10)
        .await?
        .into_iter()
        .map(|row| row.idempotency)
        .collect();
    same("rows left", &rest, &vec![Some("good".to_owned())])?;
    let wanted = ["bad|refused|null|told", "good|null|null|fine"].map(str::to_owned);
    // A program that does not know whether it has written writes again.
    write(asker, "good", "{}").await?;
    same("marks", &marked(asker).await?, &wanted.to_vec())
}

/// Something else under a key that was used is refused, and the row that asked for it is told.
pub(super) async fn one_key(asker: &dyn Asker) -> Outcome {
    let requests = open(asker).await?;
    let first = filing("a", "1");
    same("filed", &requests.file(&first).await?, &Filed::Kept)?;
    write(asker, "a", "{\"psn_no\": \"2\"}").await?;
    let number = requests.outbox(1).await?.first().map(|row| row.number);
    let other = Filing {
        outbox: number,
        ..filing("a", "2")
    };
    same(
        "another under the key",
        &requests.file(&other).await?,
        &Filed::Contradicts(first.request.id.clone()),
    )?;
    same(
        "marks",
        &marked(asker).await?,
        &vec!["a|refused|null|told".to_owned()],
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

async fn standings(requests: &dyn Requests) -> Result<Vec<Standing>, Failure> {
    let listed = requests.listed(&recipient(), &Wanted::default()).await?;
    Ok(listed.iter().map(|one| one.standing).collect())
}

pub(super) async fn published(asker: &dyn Asker) -> Outcome {
    let requests = open(asker).await?;
    let (a, b) = (filing("a", "1"), filing("b", "1"));
    requests.file(&a).await?;
    requests.file(&b).await?;
    requests.published(&recipient(), &a.request.id, at(2)).await?;
    requests
        .not_filed(&recipient(), &b.request.id, "another is there")
        .await?;
    same(
        "kept",
        &requests.unpublished(&recipient(), 10).await?,
        &Vec::new(),
    )?;
    // Late word of the same does not undo it.
    requests.not_filed(&recipient(), &a.request.id, "late").await?;
    let listed = requests.listed(&recipient(), &Wanted::default()).await?;
    let told: Vec<(Standing, Option<&str>)> = listed
        .iter()
        .map(|one| (one.standing, one.reason.as_deref()))
        .collect();
    ensure(
        told.contains(&(Standing::Filed, None))
            && told.contains(&(Standing::NotFiled, Some("another is there"))),
        format_args!("listed: {told:?}"),
    )
}

/// A database that lost a request, or another machine that filed it: what is there is followed.
pub(super) async fn from_the_exchange(asker: &dyn Asker) -> Outcome {
    let requests = open(asker).await?;
    let mine = filing("a", "1");
    requests.file(&mine).await?;
    let theirs = Filing {
        digest: schemas::digest::Digest::of(&[b"signed elsewhere"]),
        bytes: b"signed elsewhere".to_vec(),
        exchanged_at: Some(at(2)),
        ..filing("a", "1")
    };
    let id = mine.request.id.clone();
    same("filed", &requests.file(&theirs).await?, &Filed::Known(id))?;
    same(
        "standing",
        &standings(requests.as_ref()).await?,
        &vec![Standing::Filed],
    )?;
    let answered = reply(&theirs, &made::columns(), &[])?;
    let became = requests.store_reply(&answered).await?;
    ensure(
        matches!(became, crate::requests::Became::Stored { rows: 0, .. }),
        format_args!("the reply to it: {became:?}"),
    )
}

pub(super) async fn listed(asker: &dyn Asker) -> Outcome {
    let requests = open(asker).await?;
    let (a, b, mut c) = (filing("a", "1"), filing("b", "1"), filing("c", "1"));
    c.request.kind = "fund.by_day".to_owned();
    c.request.filed_at = at(100);
    c.request.deadline = Some(at(1_000));
    for one in [&a, &b, &c] {
        requests.file(one).await?;
    }
    requests.published(&recipient(), &b.request.id, at(2)).await?;
    requests.store_reply(&reply(&b, &made::columns(), &[])?).await?;
    let find = async |wanted: Wanted| -> Result<Vec<String>, Failure> {
        let listed = requests.listed(&recipient(), &wanted).await?;
        Ok(listed
            .into_iter()
            .map(|one| one.idempotency.unwrap_or_default())
            .collect())
    };
    let one = |name: &str| vec![name.to_owned()];
    let all = Wanted::default;
    same("all", &find(all()).await?.len(), &3)?;
    let latest = Wanted {
        most: Some(1),
        ..all()
    };
    same("the latest", &find(latest).await?, &one("c"))?;
    let kind = Wanted {
        kind: Some("fund.by_day".to_owned()),
        ..all()
    };
    same("of a kind", &find(kind).await?, &one("c"))?;
    let standing = Wanted {
        standing: Some(Standing::Stored),
        ..all()
    };
    same("of a standing", &find(standing).await?, &one("b"))?;
    let outcome = Wanted {
        outcome: Some("empty".to_owned()),
        ..all()
    };
    same("of an outcome", &find(outcome).await?, &one("b"))?;
    let prefix = Wanted {
        prefix: a.request.id.to_string(),
        ..all()
    };
    same("by id", &find(prefix).await?, &one("a"))?;
    let since = Wanted {
        since: Some(at(50)),
        ..all()
    };
    same("since", &find(since.clone()).await?, &one("c"))?;
    let found: Vec<Listed> = requests.listed(&recipient(), &since).await?;
    let times = found.first().map(|one| (one.filed_at, one.deadline));
    same("times", &times, &Some((at(100), Some(at(1_000)))))?;
    let other = schemas::name::RecipientName::new("insurer-b").map_err(|error| Failure(error.to_string()))?;
    same("of another", &requests.listed(&other, &all()).await?, &Vec::new())
}
