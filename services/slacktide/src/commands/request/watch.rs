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
use store::requests::{RequestFilter, RequestState, Requests};

use super::{At, client, failed, render};
use crate::compose;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::{CommercialFile, load};

/// The polling interval.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The maximum number of concurrent reads.
const MAX_CONCURRENT: usize = 16;

pub(super) async fn run(texts: &[String], at: &At) -> Outcome {
    let loaded: Loaded<CommercialFile> = load(&at.config.config)?;
    let client = client(&loaded).await?;
    let watched = if texts.is_empty() {
        wait_for_all(&client, &loaded, at.json).await
    } else {
        wait_for(&client, texts, at.json).await.map_err(failed)
    };
    client.close().await;
    watched?;
    Ok(Exit::Done)
}

/// Waits until each of these requests has its outcome.
async fn wait_for(client: &Client, texts: &[String], json: bool) -> Result<(), Error> {
    let mut open = BTreeSet::new();
    for text in texts {
        open.insert(client.find(text).await?);
    }
    loop {
        for (id, status) in statuses(client, open.iter().cloned().collect()).await? {
            let status = status.ok_or_else(|| Error::Unknown(id.clone()))?;
            if status.outcome().is_some() {
                print(&id, &status, json);
                open.remove(&id);
            }
        }
        if open.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Waits until no request is pending, at the exchange or in the store.
async fn wait_for_all(client: &Client, loaded: &Loaded<CommercialFile>, json: bool) -> Result<(), Failure> {
    // Outcomes that existed at the start are not printed.
    let (mut is_first, mut waited) = (true, false);
    let mut finished: BTreeSet<RequestId> = BTreeSet::new();
    let store = compose::requests(loaded)?;
    let recipient = &loaded.value.commercial.recipient;
    let mut is_store_read = true;
    loop {
        let mut open = client.unconfirmed().await.map_err(failed)?;
        open.retain(|id| !finished.contains(id));
        let mut waiting = 0;
        for (id, status) in statuses(client, open).await.map_err(failed)? {
            match status {
                Some(status) if status.outcome().is_some() => {
                    if !is_first {
                        print(&id, &status, json);
                    }
                    finished.insert(id);
                }
                _ => waiting += 1,
            }
        }
        let unfiled = match count_unfiled(store.as_ref(), recipient).await {
            Ok(count) => count,
            Err(error) => {
                if std::mem::take(&mut is_store_read) {
                    output::note(&format!(
                        "{error}; not waiting for requests that are not at the exchange yet"
                    ));
                }
                0
            }
        };
        if waiting + unfiled == 0 {
            if !waited {
                output::note("no request is pending, at the exchange or in this insurer's store");
            }
            store.close().await;
            return Ok(());
        }
        if is_first {
            output::note(&format!(
                "{waiting} requests wait at the exchange, and {unfiled} are not filed yet"
            ));
        }
        (is_first, waited) = (false, true);
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Counts the requests that programs have handed in and the agent has not filed yet.
async fn count_unfiled(store: &dyn Requests, recipient: &RecipientName) -> store::Result<usize> {
    let filter = RequestFilter {
        state: Some(RequestState::Kept),
        ..RequestFilter::default()
    };
    let kept = store.list(recipient, &filter).await?;
    Ok(kept.len() + store.outbox(MAX_OUTBOX).await?.len())
}

/// The maximum number of outbox rows that are counted: only whether there is one matters.
const MAX_OUTBOX: u32 = 1_000;

async fn statuses(client: &Client, ids: Vec<RequestId>) -> Result<Vec<(RequestId, Option<Status>)>, Error> {
    let mut reads = stream::iter(ids)
        .map(|id| async move {
            match client.status(&id).await {
                Ok(status) => Ok((id, Some(status))),
                Err(Error::Unknown(_)) => Ok((id, None)),
                Err(error) => Err(error),
            }
        })
        .buffered(MAX_CONCURRENT);
    let mut all = Vec::new();
    while let Some(one) = reads.next().await {
        all.push(one?);
    }
    Ok(all)
}

fn print(id: &RequestId, status: &Status, json: bool) {
    if json {
        let _ = output::json_line(&serde_json::json!({ "id": id, "outcome": status.outcome() }));
    } else {
        output::line(&format!(
            "{id}: {}",
            status.outcome().map(render::state).unwrap_or_default()
        ));
    }
}
