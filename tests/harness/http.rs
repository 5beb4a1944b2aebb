//! HTTP GET for status pages. Uses HTTP/1.0, so that the body ends when the connection closes.

use std::io::{self, ErrorKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An HTTP response.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code, such as 200.
    pub status: u16,
    /// The body.
    pub body: String,
}

impl Response {
    /// Parses the body as JSON.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.body))
    }
}

/// Sends GET to a plain `http://host:port/path` URL.
///
/// # Errors
/// If nothing listens there, or the answer is not HTTP.
pub async fn http_get(url: &str) -> io::Result<Response> {
    let wrong = |what: &str| io::Error::new(ErrorKind::InvalidInput, format!("{what}: {url}"));
    let rest = url
        .strip_prefix("http://")
        .ok_or_else(|| wrong("only http:// is understood"))?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(host).await?;
    stream
        .write_all(format!("GET /{path} HTTP/1.0\r\nHost: {host}\r\n\r\n").as_bytes())
        .await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or_else(|| wrong("the answer has no end of headers"))?;
    let status = head.split_whitespace().nth(1).and_then(|code| code.parse().ok());
    Ok(Response {
        status: status.ok_or_else(|| wrong("the answer has no status"))?,
        body: body.to_owned(),
    })
}
