//! Waits until requests have their outcomes.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemars::JsonSchema;
use schemas::name::RecipientName;
use serde::Serialize;
use slacktide_client::status::{Status, Step};
use slacktide_client::{Client, Error, RequestId};
use store::requests::{RequestFilter, RequestState, Requests};

use super::step::StepItem;
use super::{client, failed, render};
use crate::cli::request::At;
use crate::compose;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Report, View};
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
        wait_for(&client, texts, at.json).await
    };
    client.close().await;
    watched?;
    Ok(Exit::Done)
}

/// Waits until each of these requests has its outcome.
async fn wait_for(client: &Client, texts: &[String], json: bool) -> Result<(), Failure> {
    let mut open = BTreeSet::new();
    for text in texts {
        open.insert(client.find(text).await.map_err(failed)?);
    }
    while !output::is_closed() {
        let all = statuses(client, open.iter().cloned().collect()).await;
        for (id, status) in all.map_err(failed)? {
            let status = status.ok_or_else(|| failed(Error::Unknown(id.clone())))?;
            if let Some(outcome) = status.outcome() {
                print(&id, outcome, json)?;
                open.remove(&id);
            }
        }
        if open.is_empty() {
            break;
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Ok(())
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
            match status.as_ref().and_then(Status::outcome) {
                Some(outcome) => {
                    if !is_first {
                        print(&id, outcome, json)?;
                    }
                    finished.insert(id);
                }
                None => waiting += 1,
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
        if waiting + unfiled == 0 || output::is_closed() {
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

/// Shows the outcome of a request.
fn print(id: &RequestId, step: &Step, json: bool) -> Result<(), Failure> {
    output::report_line(&OutcomeLine::new(id, step), json)
}

/// The outcome of a request.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "request watch")]
pub(in crate::commands) struct OutcomeLine {
    id: String,
    /// The step with the outcome.
    outcome: StepItem,
    #[serde(skip)]
    text: String,
}

impl OutcomeLine {
    fn new(id: &RequestId, step: &Step) -> Self {
        Self {
            id: id.to_string(),
            outcome: step.into(),
            text: render::state(step),
        }
    }
}

impl Report for OutcomeLine {
    fn view(&self) -> View {
        let mut view = View::new();
        view.line(format!("{}: {}", self.id, self.text));
        view
    }
}
