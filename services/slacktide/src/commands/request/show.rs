//! How requests stand, by what the exchange holds.

use runtime::config::Loaded;
use runtime::exit::Exit;

use super::{At, client, failed, told};
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::{CommercialFile, load};

pub(super) async fn run(text: &str, personal: bool, at: &At) -> Outcome {
    let loaded: Loaded<CommercialFile> = load(&at.config.config)?;
    let client = client(&loaded).await?;
    let looked = async {
        let id = client.find(text).await?;
        let request = client.filed(&id).await?;
        let status = client.status(&id).await?;
        Ok((id, request, status))
    };
    let looked = looked.await;
    client.close().await;
    let (id, request, status) = looked.map_err(failed)?;
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
        output::lines(told::status(&id, &request, &status, personal));
    }
    Ok(Exit::Done)
}
