//! The open connections.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::address::Address;
use super::credential::Credential;
use super::failure::Failed;
use super::link::Link;
use super::options::Tls;

/// Idle connections that are kept.
const MOST_IDLE: usize = 16;

/// How long an idle connection is kept. Gateways and proxies close idle ones after a minute or more.
const IDLE_FOR: Duration = Duration::from_secs(30);

/// Timeout of closing.
const CLOSE_WITHIN: Duration = Duration::from_secs(3);

/// Connections that wait for a request, and what is needed for new ones.
#[derive(Debug)]
pub(crate) struct Pool {
    addresses: Vec<Arc<Address>>,
    tls: Option<Tls>,
    connect_timeout: Duration,
    /// The address to connect to first: the last that answered.
    preferred: AtomicUsize,
    links: Mutex<Links>,
    /// Held while connecting, so that many requests at once do not open many connections where one can be shared.
    connecting: tokio::sync::Mutex<()>,
    tasks: TaskTracker,
}

#[derive(Debug, Default)]
struct Links {
    /// HTTP/1.1 connections, the last used last.
    idle: Vec<(Link, Instant)>,
    /// The HTTP/2 connection.
    shared: Option<Link>,
    is_closed: bool,
}

impl Pool {
    /// Creates it without a connection. `addresses` is not empty.
    pub(crate) fn new(addresses: Vec<Address>, tls: Option<Tls>, connect_timeout: Duration) -> Self {
        Self {
            addresses: addresses.into_iter().map(Arc::new).collect(),
            tls,
            connect_timeout,
            preferred: AtomicUsize::new(0),
            links: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
            tasks: TaskTracker::new(),
        }
    }

    /// Returns an open connection, or opens one.
    ///
    /// A task of its own connects. A caller may not be polled for a while, such as an element of a buffered stream whose consumer
    /// does something else: it would hold the lock all that time, and the consumer's own request would wait for it. The task ends
    /// with a caller that gives up.
    pub(crate) async fn take(self: &Arc<Self>, credential: &Arc<Credential>) -> Result<Link, Failed> {
        if let Some(link) = self.take_open().await? {
            return Ok(link);
        }
        let (pool, credential) = (Arc::clone(self), Arc::clone(credential));
        let opening = AbortOnDropHandle::new(tokio::spawn(async move { pool.open(&credential).await }));
        // It fails only while the runtime shuts down.
        opening.await.unwrap_or_else(|_| Err(Failed::closed()))
    }

    async fn open(&self, credential: &Credential) -> Result<Link, Failed> {
        let _connecting = self.connecting.lock().await;
        // Another request may have opened a shared connection meanwhile.
        if let Some(link) = self.take_open().await? {
            return Ok(link);
        }
        credential.reload();
        let link = self.connect().await?;
        let mut links = self.links();
        if links.is_closed {
            return Err(Failed::closed());
        }
        links.shared = link.share();
        Ok(link)
    }

    /// Keeps a connection for the next request.
    pub(crate) fn give_back(&self, link: Link) {
        let mut links = self.links();
        if !links.is_closed && !link.is_shared() && !link.is_closed() && links.idle.len() < MOST_IDLE {
            links.idle.push((link, Instant::now()));
        }
    }

    /// Tries the next address first, and closes idle connections: a request failed.
    pub(crate) fn prefer_next(&self) {
        self.preferred.fetch_add(1, Ordering::Relaxed);
        let mut links = self.links();
        (links.idle, links.shared) = (Vec::new(), None);
    }

    /// Closes all connections, within a bounded time.
    pub(crate) async fn close(&self) {
        {
            let mut links = self.links();
            (links.idle, links.shared, links.is_closed) = (Vec::new(), None, true);
        }
        self.tasks.close();
        if timeout(CLOSE_WITHIN, self.tasks.wait()).await.is_err() {
            tracing::warn!(
                waited_ms = CLOSE_WITHIN.as_millis(),
                "exchange connections did not close in time"
            );
        }
    }

    async fn take_open(&self) -> Result<Option<Link>, Failed> {
        loop {
            let Some(mut link) = self.next_open()? else {
                return Ok(None);
            };
            if link.is_usable().await {
                return Ok(Some(link));
            }
            if link.is_shared() {
                self.links().shared = None;
            }
        }
    }

    fn next_open(&self) -> Result<Option<Link>, Failed> {
        let mut links = self.links();
        if links.is_closed {
            return Err(Failed::closed());
        }
        if links.shared.as_ref().is_some_and(Link::is_closed) {
            links.shared = None;
        }
        if let Some(link) = links.shared.as_ref().and_then(Link::share) {
            return Ok(Some(link));
        }
        let now = Instant::now();
        links
            .idle
            .retain(|(link, since)| !link.is_closed() && now.duration_since(*since) < IDLE_FOR);
        Ok(links.idle.pop().map(|(link, _)| link))
    }

    /// Connects to the addresses in turn, the preferred one first.
    async fn connect(&self) -> Result<Link, Failed> {
        let first = self.preferred.load(Ordering::Relaxed);
        let mut failures = Vec::new();
        for offset in 0..self.addresses.len() {
            let index = first.wrapping_add(offset);
            let address = &self.addresses[index % self.addresses.len()];
            match Link::connect(address, self.tls.as_ref(), self.connect_timeout, &self.tasks).await {
                Ok(link) => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return Ok(link);
                }
                Err(failed) => failures.push(failed),
            }
        }
        Err(Failed::of_all(&failures))
    }

    fn links(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::super::address::parse_all;
    use super::*;

    /// A caller that connects is not polled any more while another one needs a connection.
    #[tokio::test]
    async fn pool_opens_connections_while_a_caller_is_not_polled() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let limit = Duration::from_secs(60);
        let pool = Arc::new(Pool::new(parse_all(&url).unwrap(), None, limit));
        let credential = Arc::new(Credential::new(None, None).unwrap());
        let mut unpolled = Box::pin(pool.take(&credential));
        tokio::select! {
            biased;
            _ = &mut unpolled => panic!("it connects at once"),
            () = std::future::ready(()) => {}
        }
        let taken = timeout(Duration::from_secs(20), pool.take(&credential)).await;
        taken
            .expect("the second caller waits for the first one")
            .expect("a connection");
        unpolled.await.expect("another connection");
        pool.close().await;
    }
}
