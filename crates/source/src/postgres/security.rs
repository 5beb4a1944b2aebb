//! What protects a connection to the database.

use servers::{CONNECT_WITHIN, Security, Servers};

use super::failure;
use crate::error::Result;

/// Opens a connection as the agent does, and tells what protects it.
///
/// For an operator's command, not for the agent: it needs no permit, and sends no statement.
///
/// # Errors
/// As the database or its URL refuses.
pub async fn security(url: &str) -> Result<Security> {
    let servers = Servers::of(url, "slacktide doctor", CONNECT_WITHIN * 2);
    let servers = servers.map_err(|error| failure::of_url(&error))?;
    let reached = servers.connect().await.map_err(failure::unreached)?;
    Ok(reached.security)
}
