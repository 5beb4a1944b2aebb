//! A connection over TLS that stays open, with as little work as possible, because it runs next to what it measures.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::Outcome;

/// Opens connections to a gateway.
#[derive(Clone)]
pub(crate) struct Connector {
    tls: TlsConnector,
    port: u16,
}

/// An open connection.
pub(crate) struct Connection {
    stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
}

/// What is needed of a response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) etag: Option<String>,
    /// The gateway closes the connection after it, such as one that is too old.
    pub(crate) is_last: bool,
}

impl Connector {
    /// Creates a connector that trusts this authority.
    ///
    /// # Errors
    /// If the certificate cannot be read.
    pub(crate) fn new(authority: &str, port: u16) -> Outcome<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.as_bytes())?)?;
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            tls: TlsConnector::from(Arc::new(config)),
            port,
        })
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// If the gateway does not accept it.
    pub(crate) async fn connect(&self) -> Outcome<Connection> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("localhost")?;
        Ok(Connection {
            stream: self.tls.connect(name, stream).await?,
            buffer: Vec::with_capacity(16 * 1024),
        })
    }
}

impl Connection {
    /// Sends a request and reads its response.
    ///
    /// # Errors
    /// If the connection ends, or the response has no length.
    pub(crate) async fn send(&mut self, request: &[u8]) -> Outcome<Answer> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        self.buffer.clear();
        let end = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end + 4;
            }
            self.fill().await?;
        };
        let head = std::str::from_utf8(&self.buffer[..end])?;
        let header = |name: &str| {
            let mut lines = head.lines();
            lines.find_map(|line| {
                let (given, value) = line.split_once(": ")?;
                given.eq_ignore_ascii_case(name).then_some(value)
            })
        };
        let answer = Answer {
            status: head.split(' ').nth(1).ok_or("no status")?.parse()?,
            etag: header("etag").map(str::to_owned),
            is_last: header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")),
        };
        let length = header("content-length").map(str::parse::<usize>).transpose()?;
        let is_chunked = header("transfer-encoding").is_some();
        match length {
            Some(length) => self.fill_to(end + length).await?,
            None if is_chunked => self.skip_chunks(end).await?,
            None if answer.status == 204 => {}
            None => return Err("a response without a length".into()),
        }
        Ok(answer)
    }

    /// Reads a body in chunks, which begins at this place.
    async fn skip_chunks(&mut self, mut at: usize) -> Outcome<()> {
        loop {
            let line = loop {
                if let Some(end) = find(&self.buffer[at..], b"\r\n") {
                    break at + end;
                }
                self.fill().await?;
            };
            let size = std::str::from_utf8(&self.buffer[at..line])?;
            let size = usize::from_str_radix(size, 16)?;
            // The size's line, the chunk, and the end of its line.
            at = line + 2 + size + 2;
            self.fill_to(at).await?;
            if size == 0 {
                return Ok(());
            }
        }
    }

    async fn fill_to(&mut self, length: usize) -> Outcome<()> {
        while self.buffer.len() < length {
            self.fill().await?;
        }
        Ok(())
    }

    async fn fill(&mut self) -> Outcome<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err("the gateway closed the connection".into()),
            _ => Ok(()),
        }
    }
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}
