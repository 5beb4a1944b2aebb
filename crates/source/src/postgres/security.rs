//! What protects a connection to the database.

use servers::{CONNECT_WITHIN, Security, Servers};

use super::failure;
use crate::error::Result;

/// Opens a connection as the agent does, and returns what protects it.
///
/// For an operator's command, not for the agent: it needs no permit, and sends no statement.
///
/// # Errors
/// Those of the connection or its URL.
pub async fn security(url: &str) -> Result<Security> {
    let servers = Servers::of(url, "slacktide doctor", CONNECT_WITHIN * 2);
    let servers = servers.map_err(|error| failure::invalid_url(&error))?;
    let reached = servers.connect().await.map_err(failure::connect_error)?;
    Ok(reached.security)
}
