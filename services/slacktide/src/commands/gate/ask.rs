//! Reads the gate's state from the running agent's status page.

use std::path::Path;

use runtime::exit::Exit;
use serde_json::Value;

use crate::failure::Failure;
use crate::settings::{SocialFile, load};
use crate::status_page;

/// The address of the agent of a configuration.
pub(super) struct Agent {
    listen: std::net::SocketAddr,
    addr_file: Option<std::path::PathBuf>,
}

impl Agent {
    /// Reads the address from `[health]`.
    pub(super) fn of(path: &Path) -> Result<Self, Failure> {
        let loaded = load::<SocialFile>(path)?;
        let Some(health) = &loaded.value.health else {
            return Err(Failure::usage(format!(
                "{}: no [health] table, so the agent has no status page; add [health] listen = \"127.0.0.1:9101\"",
                path.display()
            )));
        };
        Ok(Self {
            listen: health.listen,
            addr_file: health.addr_file.as_deref().map(|path| loaded.resolve(path)),
        })
    }

    /// Returns the gate's status.
    ///
    /// # Errors
    /// Exit code 9: no agent answers.
    pub(super) async fn gate(&self) -> Result<Value, Failure> {
        // With port 0 the address changes at each start.
        let addr = match &self.addr_file {
            Some(path) => std::fs::read_to_string(path).unwrap_or_else(|_| self.listen.to_string()),
            None => self.listen.to_string(),
        };
        let status = status_page::status(&addr).await;
        status
            .and_then(|mut status| status.get_mut("gate").map(Value::take))
            .ok_or_else(|| {
                Failure::new(
                    Exit::Unfinished,
                    format!("no agent answers at {}; is it running?", addr.trim()),
                )
            })
    }
}
