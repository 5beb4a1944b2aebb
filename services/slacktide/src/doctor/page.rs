//! Checks whether an agent could serve the status page.

use std::io;
use std::path::Path;

use runtime::exit::Exit;
use runtime::health::{HealthConfig, HealthError};
use tokio::net::TcpListener;

use super::finding::Findings;
use crate::commands::health::answers;
use crate::failure::Failure;

/// Checks that the address is free or that an agent answers at it.
pub(super) async fn examine(config: Option<&HealthConfig>, folder: &Path, findings: &mut Findings) {
    let Some(config) = config else { return };
    let config = HealthConfig {
        listen: config.listen,
        addr_file: config.addr_file.as_ref().map(|path| folder.join(path)),
    };
    let about = "status page";
    match can_serve(&config).await {
        Ok(()) => findings.ok(about, format!("{} is free", config.listen)),
        Err(error) if error.is_transient() && answers(config.listen).await => {
            findings.ok(about, format!("an agent answers at {}", config.listen));
        }
        Err(error) => {
            let exit = if error.is_transient() {
                Exit::InUse
            } else {
                Exit::Usage
            };
            findings.fail(about, &Failure::new(exit, error.to_string()));
        }
    }
}

/// Checks that the page could be served. Writes nothing.
async fn can_serve(config: &HealthConfig) -> Result<(), HealthError> {
    if !config.listen.ip().is_loopback() {
        return Err(HealthError::NotLoopback(config.listen));
    }
    let bind = |error| HealthError::Bind(config.listen, error);
    TcpListener::bind(config.listen).await.map_err(bind)?;
    match &config.addr_file {
        Some(path) if !path.parent().is_some_and(Path::is_dir) => {
            let missing = io::Error::new(io::ErrorKind::NotFound, "its folder does not exist");
            Err(HealthError::AddrFile(path.clone(), missing))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn page_that_cannot_be_served_is_reported() {
        let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listen = taken.local_addr().unwrap();
        // Another program has the port, and closes each connection.
        let other = tokio::spawn(async move { while taken.accept().await.is_ok() {} });
        let folder = tempfile::tempdir().unwrap();
        let free = "127.0.0.1:0".parse().unwrap();
        let examined = async |listen, addr_file: Option<&str>| {
            let config = HealthConfig {
                listen,
                addr_file: addr_file.map(Into::into),
            };
            let mut findings = Findings::default();
            examine(Some(&config), folder.path(), &mut findings).await;
            findings.plain_text()
        };
        assert!(examined(free, Some("page.addr")).await.starts_with("ok"));
        for (listen, file, word) in [
            (listen, None, "is another agent running"),
            ("0.0.0.0:0".parse().unwrap(), None, "loopback"),
            (free, Some("none/page.addr"), "its folder does not exist"),
        ] {
            let line = examined(listen, file).await;
            assert!(line.starts_with("FAIL") && line.contains(word), "{line}");
        }
        assert!(!folder.path().join("page.addr").exists(), "nothing is written");
        other.abort();
    }
}
