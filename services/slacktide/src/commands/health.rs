//! `slacktide health`: whether the agent of a configuration does its work, for service managers and containers, where
//! there is no shell and no HTTP client.

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
use crate::settings::{Kind, load_any};

/// An agent that does not answer within this is not well.
const WITHIN: Duration = Duration::from_secs(3);

/// Asks, and prints the answer.
///
/// # Errors
/// Exit code 9 when no agent answers, or it says that somebody has to act; the reason is the agent's own.
pub(crate) async fn run(path: PathBuf) -> Outcome {
    let address = address(&path)?;
    let told = timeout(WITHIN, ask(address))
        .await
        .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
    let told = told.map_err(|error| {
        let what = format!("no agent answers at {address}: {error}; is it running?");
        Failure::new(Exit::Unfinished, what)
    })?;
    let (head, body) = told.split_once("\r\n\r\n").unwrap_or((&told, ""));
    if head.split(' ').nth(1) == Some("200") {
        output::line(body.trim());
        return Ok(Exit::Done);
    }
    Err(Failure::new(Exit::Unfinished, body.trim()))
}

fn address(path: &Path) -> Result<SocketAddr, Failure> {
    let (health, folder) = match load_any(path)? {
        Kind::Social(loaded) => (loaded.value.health.clone(), loaded.folder().to_owned()),
        Kind::Commercial(loaded) => (loaded.value.health.clone(), loaded.folder().to_owned()),
        Kind::Party(_) => (None, PathBuf::new()),
    };
    let Some(HealthConfig { listen, addr_file }) = health else {
        return Err(Failure::usage(format!(
            "{}: no [health] table, so the agent cannot be asked; add [health] listen = \"127.0.0.1:9101\"",
            path.display()
        )));
    };
    // With port 0 the address is another one after each start.
    let taken = addr_file.and_then(|file| std::fs::read_to_string(folder.join(file)).ok());
    Ok(taken.and_then(|text| text.trim().parse().ok()).unwrap_or(listen))
}

/// Whether an agent answers at an address.
pub(crate) async fn answers(address: SocketAddr) -> bool {
    let answer = timeout(WITHIN, ask(address)).await;
    answer.is_ok_and(|answer| answer.is_ok_and(|answer| answer.starts_with("HTTP/1.1 ")))
}

async fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await?;
    let mut told = String::new();
    stream.read_to_string(&mut told).await?;
    Ok(told)
}
