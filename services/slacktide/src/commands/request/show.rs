//! How requests stand, by what the exchange holds.

use std::time::Duration;

use runtime::config::Loaded;
use runtime::exit::Exit;
use slacktide_client::RequestId;
use slacktide_client::status::Status;
use store::requests::{Standing, Wanted};

use super::{At, client, failed, told};
use crate::compose;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::{CommercialFile, load};

/// Between looks of `watch`.
const LOOK: Duration = Duration::from_secs(1);

pub(super) async fn run(id: &RequestId, personal: bool, at: &At) -> Outcome {
    let loaded: Loaded<CommercialFile> = load(&at.config.config)?;
    let client = client(&loaded).await?;
    let looked = async {
        let request = client.filed(id).await?;
        Ok((request, client.status(id).await?))
    };
    let looked = looked.await;
    client.close().await;
    let (request, status) = looked.map_err(failed)?;
    if at.json {
        let mut told = serde_json::to_value(&status).map_err(|error| Failure::internal(&error))?;
        if let Some(told) = told.as_object_mut() {
            told.insert("id".to_owned(), serde_json::json!(id));
            told.insert("kind".to_owned(), serde_json::json!(request.kind));
            if personal {
                told.insert("arguments".to_owned(), serde_json::json!(request.arguments));
            }
        }
        output::json(&told)?;
    } else {
        output::lines(told::status(id, &request, &status, personal));
    }
    Ok(Exit::Done)
}

pub(super) async fn watch(mut ids: Vec<RequestId>, at: &At) -> Outcome {
    let loaded: Loaded<CommercialFile> = load(&at.config.config)?;
    if ids.is_empty() {
        ids = waiting(&loaded).await?;
    }
    if ids.is_empty() {
        output::note("this insurer's store knows of no request without an outcome");
        return Ok(Exit::Done);
    }
    let client = client(&loaded).await?;
    let watched = async {
        loop {
            let mut waiting = Vec::new();
            for id in ids {
                let status = client.status(&id).await?;
                match status.outcome() {
                    Some(_) => said(&id, &status, at.json),
                    None => waiting.push(id),
                }
            }
            ids = waiting;
            if ids.is_empty() {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let watched = watched.await;
    client.close().await;
    watched.map_err(failed)?;
    Ok(Exit::Done)
}

/// What this insurer's store knows to be at the exchange without an outcome.
async fn waiting(loaded: &Loaded<CommercialFile>) -> Result<Vec<RequestId>, Failure> {
    let store = compose::requests(loaded)?;
    let wanted = Wanted {
        standing: Some(Standing::Filed),
        ..Wanted::default()
    };
    let listed = store.listed(&loaded.value.commercial.recipient, &wanted).await;
    store.close().await;
    Ok(listed?.into_iter().map(|one| one.id).collect())
}

fn said(id: &RequestId, status: &Status, json: bool) {
    if json {
        let _ = output::json_line(&serde_json::json!({ "id": id, "outcome": status.outcome() }));
    } else {
        output::line(&format!(
            "{id}: {}",
            status.outcome().map(told::state).unwrap_or_default()
        ));
    }
}
