//! Shows the state of a request, from the exchange.

use runtime::config::Loaded;
use runtime::exit::Exit;

use super::{At, client, failed, render};
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::{CommercialFile, load};

pub(super) async fn run(text: &str, personal: bool, at: &At) -> Outcome {
    let loaded: Loaded<CommercialFile> = load(&at.config.config)?;
    let client = client(&loaded).await?;
    let found = async {
        let id = client.find(text).await?;
        let request = client.filed(&id).await?;
        let status = client.status(&id).await?;
        Ok((id, request, status))
    };
    let found = found.await;
    client.close().await;
    let (id, request, status) = found.map_err(failed)?;
    if at.json {
        let mut entry = serde_json::to_value(&status).map_err(|error| Failure::internal(&error))?;
        if let Some(entry) = entry.as_object_mut() {
            entry.insert("id".to_owned(), serde_json::json!(id));
            entry.insert("kind".to_owned(), serde_json::json!(request.kind));
            if personal {
                entry.insert("arguments".to_owned(), serde_json::json!(request.arguments));
            }
        }
        output::json(&entry)?;
    } else {
        output::lines(render::status(&id, &request, &status, personal));
    }
    Ok(Exit::Done)
}
