//! One connection to a gateway, over HTTP/2 or HTTP/1.1.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_util::task::TaskTracker;

use super::address::Address;
use super::failure::Failed;
use super::options::Tls;
use super::tls;

/// The body of every request.
pub(crate) type Body = Full<Bytes>;

/// Flow control of HTTP/2: answers of up to 16 MiB must not wait for window updates after each 64 KiB.
const STREAM_WINDOW: u32 = 4 * 1024 * 1024;
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;
const MAX_FRAME: u32 = 256 * 1024;

/// A dead gateway is noticed after about 20 s, also by a request with a longer timeout.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// A connection. Over HTTP/2 it is shared by all requests, over HTTP/1.1 it carries one at a time.
#[derive(Debug)]
pub(crate) struct Link {
    /// Where it goes.
    pub(crate) address: Arc<Address>,
    sender: Sender,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

impl Link {
    /// Connects.
    pub(crate) async fn connect(
        address: &Arc<Address>,
        tls: Option<&Tls>,
        limit: Duration,
        tasks: &TaskTracker,
    ) -> Result<Self, Failed> {
        let shown = &address.authority;
        let work = async {
            let stream = TcpStream::connect((address.host.as_str(), address.port))
                .await
                .map_err(|error| Failed::connect(shown, &error))?;
            // Requests are written whole.
            stream
                .set_nodelay(true)
                .map_err(|error| Failed::connect(shown, &error))?;
            if !address.is_tls {
                return Self::http1(address, stream, tasks).await;
            }
            // The files are small and local.
            let config = tls::config(tls).map_err(|text| Failed::files(&text))?;
            let name =
                ServerName::try_from(address.host.clone()).map_err(|error| Failed::connect(shown, &error))?;
            let mut stream = TlsConnector::from(Arc::new(config))
                .connect(name, stream)
                .await
                .map_err(|error| Failed::connect(shown, &error))?;
            if stream.get_ref().1.alpn_protocol() == Some(tls::H2) {
                wait_until_accepted(&mut stream)
                    .await
                    .map_err(|error| Failed::connect(shown, &error))?;
                Self::http2(address, stream, tasks).await
            } else {
                Self::http1(address, stream, tasks).await
            }
        };
        timeout(limit, work)
            .await
            .unwrap_or_else(|_| Err(Failed::connect_timeout(shown, limit)))
    }

    async fn http1<S>(address: &Arc<Address>, stream: S, tasks: &TaskTracker) -> Result<Self, Failed>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Failed::connect(&address.authority, &error))?;
        // Its error is returned by the request that waits on it.
        tasks.spawn(async move { drop(connection.await) });
        Ok(Self {
            address: Arc::clone(address),
            sender: Sender::Http1(sender),
        })
    }

    async fn http2<S>(address: &Arc<Address>, stream: S, tasks: &TaskTracker) -> Result<Self, Failed>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(MAX_FRAME)
            .keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Failed::connect(&address.authority, &error))?;
        tasks.spawn(async move { drop(connection.await) });
        Ok(Self {
            address: Arc::clone(address),
            sender: Sender::Http2(sender),
        })
    }

    /// Sends a request. The error holds the request if it was not sent.
    pub(crate) async fn send(
        &mut self,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Body>>> {
        match &mut self.sender {
            Sender::Http1(sender) => sender.try_send_request(request).await,
            Sender::Http2(sender) => sender.try_send_request(request).await,
        }
    }

    /// Waits until the connection takes the next request; false when it has ended.
    pub(crate) async fn is_usable(&mut self) -> bool {
        match &mut self.sender {
            Sender::Http1(sender) => sender.ready().await.is_ok(),
            Sender::Http2(sender) => sender.ready().await.is_ok(),
        }
    }

    /// Returns whether the connection has ended.
    pub(crate) fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender) => sender.is_closed(),
            Sender::Http2(sender) => sender.is_closed(),
        }
    }

    /// Returns whether several requests share the connection (HTTP/2).
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.sender, Sender::Http2(_))
    }

    /// Returns another handle of the same connection, if requests can share it.
    pub(crate) fn share(&self) -> Option<Self> {
        match &self.sender {
            Sender::Http1(_) => None,
            Sender::Http2(sender) => Some(Self {
                address: Arc::clone(&self.address),
                sender: Sender::Http2(sender.clone()),
            }),
        }
    }
}

/// How long to wait for the settings of a server that speaks HTTP/2. Some servers send them only after the client's.
const SETTINGS_WITHIN: Duration = Duration::from_millis(200);

/// Waits for the first bytes of the server, its settings. With TLS 1.3 a server checks the client's certificate after the client
/// considers the handshake complete; its alert would be lost if requests were on their way to a closed connection.
async fn wait_until_accepted(stream: &mut TlsStream<TcpStream>) -> std::io::Result<()> {
    match timeout(SETTINGS_WITHIN, stream.fill_buf()).await {
        Ok(Ok([])) => Err(std::io::ErrorKind::UnexpectedEof.into()),
        Ok(Err(error)) => Err(error),
        Ok(Ok(_)) | Err(_) => Ok(()),
    }
}
