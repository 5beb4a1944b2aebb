//! A TCP proxy between a client and a server that a test can disconnect, black-hole, delay or redirect.
//!
//! Disconnected: connections are closed, new ones too. Black-holed: a half-open connection, as behind a firewall that dropped
//! its state. What either side sends is accepted and never forwarded, and neither side sees an end. Such a connection stays
//! so permanently, while later connections may be forwarded.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, sink};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// A proxy on loopback. Dropping it closes all its connections. It needs a multi-threaded runtime, or one that is not blocked.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    settings: watch::Sender<Settings>,
    accepted: Arc<AtomicUsize>,
    first_bytes: FirstBytes,
    accepting: JoinHandle<()>,
}

/// The first bytes that the client of each connection sent.
type FirstBytes = Arc<Mutex<Vec<Vec<u8>>>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Forward,
    Refuse,
    BlackHole,
}

#[derive(Debug, Clone, Copy)]
struct Settings {
    target: u16,
    mode: Mode,
    /// Incremented to close all older connections.
    disconnects: u32,
    /// Incremented to black-hole all older connections.
    black_holes: u32,
    delay: Duration,
}

impl Proxy {
    /// Starts a proxy to the server on this loopback port.
    pub async fn start(target: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, crate::free_port()))
            .await
            .expect("a free port is free");
        let port = listener
            .local_addr()
            .expect("a bound socket has an address")
            .port();
        let settings = watch::Sender::new(Settings {
            target,
            mode: Mode::Forward,
            disconnects: 0,
            black_holes: 0,
            delay: Duration::ZERO,
        });
        let accepted = Arc::new(AtomicUsize::new(0));
        let first_bytes = FirstBytes::default();
        let accepting = tokio::spawn(accept(
            listener,
            settings.subscribe(),
            Arc::clone(&accepted),
            Arc::clone(&first_bytes),
        ));
        Self {
            port,
            settings,
            accepted,
            first_bytes,
            accepting,
        }
    }

    /// Returns the first bytes that the client of each connection sent, in the order of arrival.
    #[must_use]
    pub fn first_bytes(&self) -> Vec<Vec<u8>> {
        self.first_bytes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns the port that clients connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the number of connections accepted so far, refused ones included.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Closes all connections, and every new one at once.
    pub fn disconnect(&self) {
        self.settings.send_modify(|settings| {
            settings.mode = Mode::Refuse;
            settings.disconnects += 1;
        });
    }

    /// Black-holes all connections permanently, and every new one until [`restore`](Self::restore).
    pub fn black_hole(&self) {
        self.settings.send_modify(|settings| {
            settings.mode = Mode::BlackHole;
            settings.black_holes += 1;
        });
    }

    /// Delays every read of every connection by `delay`, in both directions.
    pub fn set_delay(&self, delay: Duration) {
        self.settings.send_modify(|settings| settings.delay = delay);
    }

    /// Redirects new connections to another server and closes the existing ones.
    pub fn redirect_to(&self, target: u16) {
        self.settings.send_modify(|settings| {
            settings.target = target;
            settings.disconnects += 1;
        });
    }

    /// Forwards new connections without delay. Black-holed connections stay so.
    pub fn restore(&self) {
        self.settings.send_modify(|settings| {
            settings.mode = Mode::Forward;
            settings.delay = Duration::ZERO;
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(
    listener: TcpListener,
    settings: watch::Receiver<Settings>,
    accepted: Arc<AtomicUsize>,
    first_bytes: FirstBytes,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((client, _)) = listener.accept() => {
                accepted.fetch_add(1, Ordering::Relaxed);
                connections.spawn(forward(client, settings.clone(), Arc::clone(&first_bytes)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn forward(mut client: TcpStream, mut settings: watch::Receiver<Settings>, first_bytes: FirstBytes) {
    let at_accept = *settings.borrow_and_update();
    match at_accept.mode {
        Mode::Refuse => return,
        Mode::BlackHole => {
            let _ = copy(&mut client, &mut sink()).await;
            return;
        }
        Mode::Forward => {}
    }
    let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, at_accept.target)).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let black_holed = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let speed = settings.clone();
        tokio::select! {
            black_holed = interrupted(&mut settings, at_accept) => black_holed,
            () = copy_delayed(from_client, to_server, speed.clone(), Some(first_bytes)) => false,
            () = copy_delayed(from_server, to_client, speed, None) => false,
        }
    };
    if black_holed {
        // Both ends stay open until the client closes; the server never sees that.
        let (mut nowhere, mut either) = (sink(), sink());
        let _ = tokio::join!(copy(&mut client, &mut nowhere), copy(&mut server, &mut either));
        std::future::pending::<()>().await;
    }
}

/// Waits until the connection has to be black-holed (true) or closed (false).
async fn interrupted(settings: &mut watch::Receiver<Settings>, at_accept: Settings) -> bool {
    loop {
        let now = *settings.borrow_and_update();
        if now.black_holes != at_accept.black_holes {
            return true;
        }
        if now.disconnects != at_accept.disconnects || settings.changed().await.is_err() {
            return false;
        }
    }
}

async fn copy_delayed(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    settings: watch::Receiver<Settings>,
    mut first_bytes: Option<FirstBytes>,
) {
    let mut piece = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        if let Some(first_bytes) = first_bytes.take() {
            let first = piece.get(..read.min(16)).unwrap_or_default().to_vec();
            first_bytes
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(first);
        }
        let delay = settings.borrow().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let Some(bytes) = piece.get(..read) else { return };
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    const SOON: Duration = Duration::from_secs(60);

    /// Starts a server that sends its name and then echoes what it receives.
    async fn echo(name: u8) -> (u16, JoinHandle<()>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    let _ = to.write_all(&[name]).await;
                    let _ = copy(&mut from, &mut to).await;
                });
            }
        });
        (port, serving)
    }

    /// Returns the next byte, or `None` at the end.
    async fn next(stream: &mut TcpStream) -> Option<u8> {
        let mut byte = [0];
        let read = timeout(SOON, stream.read(&mut byte))
            .await
            .expect("a byte or an end comes");
        read.is_ok_and(|n| n == 1).then(|| byte[0])
    }

    /// Returns whether nothing arrives for a moment.
    async fn is_silent(stream: &mut TcpStream) -> bool {
        let mut byte = [0];
        timeout(Duration::from_millis(300), stream.read(&mut byte))
            .await
            .is_err()
    }

    async fn connect(proxy: &Proxy) -> TcpStream {
        TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port()))
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn proxy_forwards_cuts_and_redirects() {
        let ((one, _), (other, _)) = (echo(b'1').await, echo(b'2').await);
        let proxy = Proxy::start(one).await;
        let mut client = connect(&proxy).await;
        assert_eq!(next(&mut client).await, Some(b'1'));
        client.write_all(b"x").await.unwrap();
        assert_eq!(next(&mut client).await, Some(b'x'));
        proxy.disconnect();
        assert_eq!(next(&mut client).await, None);
        assert_eq!(next(&mut connect(&proxy).await).await, None);
        proxy.restore();
        proxy.redirect_to(other);
        assert_eq!(next(&mut connect(&proxy).await).await, Some(b'2'));
        assert_eq!(proxy.accepted(), 3);
    }

    #[tokio::test]
    async fn proxy_black_holed_connections_stay_open_and_silent() {
        let (port, _serving) = echo(b'1').await;
        let proxy = Proxy::start(port).await;
        let mut client = connect(&proxy).await;
        assert_eq!(next(&mut client).await, Some(b'1'));
        proxy.black_hole();
        client.write_all(b"x").await.unwrap();
        assert!(is_silent(&mut client).await);
        let mut second = connect(&proxy).await;
        assert!(is_silent(&mut second).await);
        proxy.restore();
        assert!(is_silent(&mut client).await);
        assert_eq!(next(&mut connect(&proxy).await).await, Some(b'1'));
    }

    #[tokio::test]
    async fn proxy_delay_applies_to_both_directions() {
        let (port, _serving) = echo(b'1').await;
        let proxy = Proxy::start(port).await;
        let mut client = connect(&proxy).await;
        assert_eq!(next(&mut client).await, Some(b'1'));
        proxy.set_delay(Duration::from_millis(100));
        let begun = tokio::time::Instant::now();
        client.write_all(b"x").await.unwrap();
        assert_eq!(next(&mut client).await, Some(b'x'));
        assert!(begun.elapsed() >= Duration::from_millis(200));
    }
}
