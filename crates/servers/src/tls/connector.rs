//! The driver's way to a TLS stream.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::Socket;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect};
use tokio_rustls::TlsConnector;
use tokio_rustls::client;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use super::binding::end_point;
use super::error::TlsError;
use crate::security::Negotiated;

/// Makes TLS streams of one configuration; without one it makes none, and the driver asks for none.
#[derive(Clone)]
pub(crate) struct Connector {
    config: Option<Arc<ClientConfig>>,
    negotiated: Arc<Mutex<Option<Negotiated>>>,
}

impl Connector {
    pub(crate) fn new(config: Option<Arc<ClientConfig>>) -> Self {
        Self {
            config,
            negotiated: Arc::default(),
        }
    }

    /// What the last handshake agreed on; `None`: there was none, so the connection is in clear.
    pub(crate) fn negotiated(&self) -> Option<Negotiated> {
        self.slot().clone()
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Negotiated>> {
        self.negotiated.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One handshake to come.
pub(crate) struct Handshake {
    connector: Connector,
    host: String,
}

impl MakeTlsConnect<Socket> for Connector {
    type Stream = TlsStream;
    type TlsConnect = Handshake;
    type Error = TlsError;

    fn make_tls_connect(&mut self, host: &str) -> Result<Handshake, TlsError> {
        // Of an address that was tried before.
        *self.slot() = None;
        Ok(Handshake {
            connector: self.clone(),
            host: host.to_owned(),
        })
    }
}

impl TlsConnect<Socket> for Handshake {
    type Stream = TlsStream;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<TlsStream, Self::Error>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        Box::pin(async move {
            let config = self.connector.config.clone().ok_or_else(|| {
                TlsError::new(
                    "the database server was to be spoken to in clear",
                    "report this; it cannot happen",
                )
            })?;
            let name = ServerName::try_from(self.host.clone()).map_err(|_| {
                TlsError::new(
                    "the URL's host is not a name that a certificate could have",
                    "give the host by its DNS name or its address",
                )
            })?;
            let stream = TlsConnector::from(config).connect(name, socket).await?;
            *self.connector.slot() = Some(Negotiated::of(stream.get_ref().1));
            Ok(TlsStream(stream))
        })
    }
}

/// A connection inside TLS.
pub(crate) struct TlsStream(client::TlsStream<Socket>);

impl tokio_postgres::tls::TlsStream for TlsStream {
    fn channel_binding(&self) -> ChannelBinding {
        let certificate = self.0.get_ref().1.peer_certificates().and_then(<[_]>::first);
        match certificate.and_then(|certificate| end_point(certificate)) {
            Some(digest) => ChannelBinding::tls_server_end_point(digest),
            None => ChannelBinding::none(),
        }
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, into)
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
