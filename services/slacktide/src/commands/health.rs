//! `slacktide health`: checks the agent of a configuration, for service managers and containers without a shell and an HTTP
//! client.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use runtime::exit::Exit;
use runtime::health::HealthConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::{ConfigFile, load_any, load_gateway};

/// The timeout of the request.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Requests `/healthz` and prints the answer.
///
/// # Errors
/// Exit code 9 if no agent answers, or if it reports that an operator must act, with the agent's reason.
pub(crate) async fn run(path: PathBuf) -> Outcome {
    let address = address(&path)?;
    let response = timeout(TIMEOUT, request_health(address))
        .await
        .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
    let response = response.map_err(|error| {
        let what = format!("no agent answers at {address}: {error}; is it running?");
        Failure::new(Exit::Unfinished, what)
    })?;
    let (head, body) = response.split_once("\r\n\r\n").unwrap_or((&response, ""));
    if head.split(' ').nth(1) == Some("200") {
        output::line(body.trim());
        return Ok(Exit::Done);
    }
    Err(Failure::new(Exit::Unfinished, body.trim()))
}

fn address(path: &Path) -> Result<SocketAddr, Failure> {
    let (health, folder) = if let Some(loaded) = load_gateway(path)? {
        (loaded.value.health.clone(), loaded.folder().to_owned())
    } else {
        match load_any(path)? {
            ConfigFile::Social(loaded) => (loaded.value.health.clone(), loaded.folder().to_owned()),
            ConfigFile::Commercial(loaded) => (loaded.value.health.clone(), loaded.folder().to_owned()),
            ConfigFile::Party(_) => (None, PathBuf::new()),
        }
    };
    let Some(HealthConfig { listen, addr_file }) = health else {
        return Err(Failure::usage(format!(
            "{}: no [health] table, so the agent has no status page; add [health] listen = \"127.0.0.1:9101\"",
            path.display()
        )));
    };
    // With port 0 the address changes at each start.
    let bound = addr_file.and_then(|file| std::fs::read_to_string(folder.join(file)).ok());
    Ok(bound.and_then(|text| text.trim().parse().ok()).unwrap_or(listen))
}

/// Whether an agent answers at the address.
pub(crate) async fn answers(address: SocketAddr) -> bool {
    let answer = timeout(TIMEOUT, request_health(address)).await;
    answer.is_ok_and(|answer| answer.is_ok_and(|answer| answer.starts_with("HTTP/1.1 ")))
}

async fn request_health(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await?;
    Ok(response)
}
