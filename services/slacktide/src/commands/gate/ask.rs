//! The running agent's word, over its status page.

use std::path::Path;

use runtime::exit::Exit;
use serde_json::Value;

use crate::demo::page;
use crate::failure::Failure;
use crate::settings::{SocialFile, load};

/// Where the agent of a configuration answers.
pub(super) struct Agent {
    listen: std::net::SocketAddr,
    addr_file: Option<std::path::PathBuf>,
}

impl Agent {
    /// Told by `[health]`.
    pub(super) fn of(path: &Path) -> Result<Self, Failure> {
        let loaded = load::<SocialFile>(path)?;
        let Some(health) = &loaded.value.health else {
            return Err(Failure::usage(format!(
                "{}: no [health] table, so the agent cannot be asked; add [health] listen = \"127.0.0.1:9101\"",
                path.display()
            )));
        };
        Ok(Self {
            listen: health.listen,
            addr_file: health.addr_file.as_deref().map(|path| loaded.resolve(path)),
        })
    }

    /// The gate's status.
    ///
    /// # Errors
    /// Exit code 9: no agent answers.
    pub(super) async fn gate(&self) -> Result<Value, Failure> {
        // With port 0 the address is another one after each start.
        let addr = match &self.addr_file {
            Some(path) => std::fs::read_to_string(path).unwrap_or_else(|_| self.listen.to_string()),
            None => self.listen.to_string(),
        };
        let status = page::status(&addr).await;
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
