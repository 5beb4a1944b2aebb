//! Waits until requests have their outcomes.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemas::name::RecipientName;
use slacktide_client::status::Status;
use slacktide_client::{Client, Error, RequestId};
use store::requests::{Requests, Standing, Wanted};

use super::{At, client, failed, told};
use crate::compose;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::{CommercialFile, load};

/// Between looks.
const LOOK: Duration = Duration::from_secs(1);

/// Requests that are looked up at the same time.
const AT_ONCE: usize = 16;

pub(super) async fn run(texts: &[String], at: &At) -> Outcome {
    let loaded: Loaded<CommercialFile> = load(&at.config.config)?;
    let client = client(&loaded).await?;
    let watched = if texts.is_empty() {
        all(&client, &loaded, at.json).await
    } else {
        named(&client, texts, at.json).await.map_err(failed)
    };
    client.close().await;
    watched?;
    Ok(Exit::Done)
}

/// Until each of these has its outcome.
async fn named(client: &Client, texts: &[String], json: bool) -> Result<(), Error> {
    let mut open = BTreeSet::new();
    for text in texts {
        open.insert(client.find(text).await?);
    }
    loop {
        for (id, status) in statuses(client, open.iter().cloned().collect()).await? {
            let status = status.ok_or_else(|| Error::Unknown(id.clone()))?;
            if status.outcome().is_some() {
                say(&id, &status, json);
                open.remove(&id);
            }
        }
        if open.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Until nothing waits: neither at the exchange, nor in the store on its way there.
async fn all(client: &Client, loaded: &Loaded<CommercialFile>, json: bool) -> Result<(), Failure> {
    // What had its outcome before is no news, and what was seen waiting is.
    let (mut is_first, mut waited) = (true, false);
    let mut over: BTreeSet<RequestId> = BTreeSet::new();
    let store = compose::requests(loaded)?;
    let recipient = &loaded.value.commercial.recipient;
    let mut is_store_read = true;
    loop {
        let mut open = client.unconfirmed().await.map_err(failed)?;
        open.retain(|id| !over.contains(id));
        let mut waiting = 0;
        for (id, status) in statuses(client, open).await.map_err(failed)? {
            match status {
                Some(status) if status.outcome().is_some() => {
                    if !is_first {
                        say(&id, &status, json);
                    }
                    over.insert(id);
                }
                _ => waiting += 1,
            }
        }
        let on_their_way = match on_their_way(store.as_ref(), recipient).await {
            Ok(count) => count,
            Err(error) => {
                if std::mem::take(&mut is_store_read) {
                    output::note(&format!(
                        "{error}; requests that are not at the exchange yet are not waited for"
                    ));
                }
                0
            }
        };
        if waiting + on_their_way == 0 {
            if !waited {
                output::note("no request waits: neither at the exchange, nor in this insurer's store");
            }
            store.close().await;
            return Ok(());
        }
        if is_first {
            output::note(&format!(
                "{waiting} requests wait at the exchange, and {on_their_way} are on their way there"
            ));
        }
        (is_first, waited) = (false, true);
        tokio::time::sleep(LOOK).await;
    }
}

/// Requests that programs have handed in and the agent has not filed yet.
async fn on_their_way(store: &dyn Requests, recipient: &RecipientName) -> store::Result<usize> {
    let wanted = Wanted {
        standing: Some(Standing::Kept),
        ..Wanted::default()
    };
    let kept = store.listed(recipient, &wanted).await?;
    Ok(kept.len() + store.outbox(MOST_OUTBOX).await?.len())
}

/// Rows of the outbox that are counted; whether there is one is what matters.
const MOST_OUTBOX: u32 = 1_000;

async fn statuses(client: &Client, ids: Vec<RequestId>) -> Result<Vec<(RequestId, Option<Status>)>, Error> {
    let mut looked = stream::iter(ids)
        .map(|id| async move {
            match client.status(&id).await {
                Ok(status) => Ok((id, Some(status))),
                Err(Error::Unknown(_)) => Ok((id, None)),
                Err(error) => Err(error),
            }
        })
        .buffered(AT_ONCE);
    let mut all = Vec::new();
    while let Some(one) = looked.next().await {
        all.push(one?);
    }
    Ok(all)
}

fn say(id: &RequestId, status: &Status, json: bool) {
    if json {
        let _ = output::json_line(&serde_json::json!({ "id": id, "outcome": status.outcome() }));
    } else {
        output::line(&format!(
            "{id}: {}",
            status.outcome().map(told::state).unwrap_or_default()
        ));
    }
}
