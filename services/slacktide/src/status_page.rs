//! Reads the agents' status pages, as any local user can.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Returns an agent's status; `None` while it does not answer.
pub(crate) async fn status(addr: &str) -> Option<Value> {
    tokio::time::timeout(std::time::Duration::from_secs(1), ask(addr))
        .await
        .ok()?
}

async fn ask(addr: &str) -> Option<Value> {
    let mut stream = TcpStream::connect(addr.trim()).await.ok()?;
    let request = format!(
        "GET /status HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        addr.trim()
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    serde_json::from_str(body).ok()
}

/// Returns a number by its path; 0 if missing.
pub(crate) fn number(value: &Value, path: &str) -> u64 {
    value.pointer(path).and_then(Value::as_u64).unwrap_or(0)
}

/// Returns a text by its path.
pub(crate) fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or("")
}
