//! The protection of a connection to the store.

use std::time::Duration;

use servers::{Security, Servers};

use super::failure;
use crate::error::Result;

/// Opens a connection like the agent and returns its protection. Sends no statement.
///
/// # Errors
/// If the store or its URL refuses.
pub async fn security(url: &str) -> Result<Security> {
    let servers = Servers::of(url, "slacktide doctor", Duration::from_secs(30));
    let servers = servers.map_err(|error| failure::of_url(&error))?;
    let reached = servers.connect().await.map_err(failure::unreached)?;
    Ok(reached.security)
}
