//! Accepts connections, with TLS or on a loopback address.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use runtime::log_dedup::LogDedup;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::authentication::Certificate;
use crate::client::{Client, Peer};
use crate::connection::{Protocol, serve_connection};
use crate::gateway::Gateway;
use crate::mounted::Routers;
use crate::tls::{Reload, TlsSource};

/// The pause after an error of `accept`, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until the gateway stops.
#[derive(Clone)]
pub(crate) struct Acceptor {
    pub(crate) gateway: Gateway,
    pub(crate) routers: Routers,
    pub(crate) tls: Option<Arc<TlsSource>>,
    pub(crate) errors: Arc<Mutex<LogDedup>>,
}

impl Acceptor {
    /// Accepts until `stop`, then waits until the open connections have ended, within the limit of the shutdown.
    pub(crate) async fn run(self, listener: TcpListener, stop: CancellationToken) {
        let limits = self.gateway.limits().clone();
        let slots = Arc::new(Semaphore::new(limits.connections));
        let tasks = TaskTracker::new();
        loop {
            // At the limit further connections wait in the system's queue.
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = accept(&listener, &slots) => accepted,
            };
            match accepted {
                Ok((stream, slot)) => {
                    let (acceptor, stop) = (self.clone(), stop.clone());
                    tasks.spawn(async move {
                        let _slot = slot;
                        acceptor.serve(stream, stop).await;
                    });
                }
                Err(error) => {
                    if self.is_new_error(&error.to_string()) {
                        tracing::warn!(%error, "cannot accept a connection");
                    }
                    tokio::select! {
                        () = stop.cancelled() => break,
                        () = tokio::time::sleep(ACCEPT_PAUSE) => {}
                    }
                }
            }
        }
        drop(listener);
        tasks.close();
        // Each task has the same limit; the margin is for a handshake that began before the stop.
        if timeout(limits.shutdown + limits.handshake, tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!(connections = tasks.len(), "connections did not end in time");
        }
    }

    fn is_new_error(&self, what: &str) -> bool {
        self.errors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_new(what)
    }

    async fn serve(self, stream: TcpStream, stop: CancellationToken) {
        let metrics = self.gateway.metrics();
        let _held = metrics.connection();
        let limits = self.gateway.limits();
        // Small responses must not wait for more.
        let _ = stream.set_nodelay(true);
        let peer = stream.peer_addr().ok().map(|address| Peer(address.ip()));
        let Some(tls) = self.tls.clone() else {
            let client = Client {
                peer,
                certificate: None,
            };
            serve_connection(stream, Protocol::Detected, client, self.routers, limits, stop).await;
            return;
        };
        self.reload(&tls).await;
        let handshake = TlsAcceptor::from(tls.config()).accept(stream);
        let stream = tokio::select! {
            stream = timeout(limits.handshake, handshake) => stream,
            () = stop.cancelled() => return,
        };
        let Ok(Ok(stream)) = stream else {
            metrics.handshake_failed();
            tracing::debug!("TLS handshake failed");
            return;
        };
        let (protocol, certificate) = self.agreed(&stream);
        let client = Client { peer, certificate };
        serve_connection(stream, protocol, client, self.routers, limits, stop).await;
    }

    /// Returns the protocol and the client certificate of a connection.
    fn agreed(&self, stream: &TlsStream<TcpStream>) -> (Protocol, Option<Certificate>) {
        let (_, session) = stream.get_ref();
        let protocol = match session.alpn_protocol() {
            Some(b"h2") => Protocol::Http2,
            _ => Protocol::Http1,
        };
        let presented = session.peer_certificates().and_then(|chain| chain.first());
        let certificate = presented.map(|presented| {
            let certificate = self.gateway.identities().certificate(presented);
            // A certificate that cannot be parsed is of no party; it is not as if none were presented.
            certificate.unwrap_or(Certificate {
                party: None,
                not_after: jiff::Timestamp::MAX,
            })
        });
        (protocol, certificate)
    }

    /// Reads the files of TLS again if they changed.
    async fn reload(&self, tls: &Arc<TlsSource>) {
        if !tls.is_check_due() {
            return;
        }
        let source = Arc::clone(tls);
        let metrics = self.gateway.metrics();
        match tokio::task::spawn_blocking(move || source.reload()).await {
            Ok(Reload::Unchanged) | Err(_) => {}
            Ok(Reload::Done) => {
                metrics.tls_files_failing(false);
                self.errors
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .recovered();
                tracing::info!("files of TLS read again");
            }
            Ok(Reload::Failed(error)) => {
                metrics.tls_files_failing(true);
                let text = error.to_string();
                if self.is_new_error(&text) {
                    tracing::error!(
                        error = text,
                        "changed files of TLS cannot be used, the previous ones stay in force"
                    );
                }
            }
        }
    }
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await;
    let slot = slot.map_err(std::io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, slot))
}
