//! A way between a client and a server that a test cuts, swallows, slows, or turns elsewhere.
//!
//! A cut is what a router does that says so: connections end, new ones too. A swallowed connection is half-open: what
//! either side sends is taken and never arrives, and neither side hears an end; it stays so for ever, as behind a
//! firewall that forgot it, while later connections may pass.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, sink};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// A proxy on loopback. Dropped, it ends with all its connections. It needs a runtime of several threads, or one that
/// is not blocked.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    wish: watch::Sender<Wish>,
    accepted: Arc<AtomicUsize>,
    openings: Openings,
    accepting: JoinHandle<()>,
}

/// What the client of each connection sent first.
type Openings = Arc<Mutex<Vec<Vec<u8>>>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    Cut,
    Swallow,
}

#[derive(Debug, Clone, Copy)]
struct Wish {
    target: u16,
    way: Way,
    /// Counted up: connections that are older are ended.
    cuts: u32,
    /// Counted up: connections that are older are swallowed.
    swallows: u32,
    delay: Duration,
}

impl Proxy {
    /// Before the server on this loopback port.
    ///
    /// # Panics
    /// When no port can be had.
    pub async fn before(target: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, crate::free_port()))
            .await
            .expect("a free port is free");
        let port = listener
            .local_addr()
            .expect("a bound socket has an address")
            .port();
        let wish = watch::Sender::new(Wish {
            target,
            way: Way::Open,
            cuts: 0,
            swallows: 0,
            delay: Duration::ZERO,
        });
        let accepted = Arc::new(AtomicUsize::new(0));
        let openings = Openings::default();
        let accepting = tokio::spawn(accept(
            listener,
            wish.subscribe(),
            Arc::clone(&accepted),
            Arc::clone(&openings),
        ));
        Self {
            port,
            wish,
            accepted,
            openings,
            accepting,
        }
    }

    /// The first bytes that the client of each connection sent, in the order in which they came.
    #[must_use]
    pub fn openings(&self) -> Vec<Vec<u8>> {
        self.openings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The port that clients connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections it has taken so far, the refused ones included.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Ends all connections, and every new one at once.
    pub fn cut(&self) {
        self.wish.send_modify(|wish| {
            wish.way = Way::Cut;
            wish.cuts += 1;
        });
    }

    /// Swallows all connections for ever, and every new one until [`heal`](Self::heal).
    pub fn swallow(&self) {
        self.wish.send_modify(|wish| {
            wish.way = Way::Swallow;
            wish.swallows += 1;
        });
    }

    /// Delays every piece of every connection by so much, in both directions.
    pub fn slow(&self, delay: Duration) {
        self.wish.send_modify(|wish| wish.delay = delay);
    }

    /// Another server takes the address: connections end, new ones go there.
    pub fn turn_to(&self, target: u16) {
        self.wish.send_modify(|wish| {
            wish.target = target;
            wish.cuts += 1;
        });
    }

    /// New connections pass, at full speed. What was swallowed stays so.
    pub fn heal(&self) {
        self.wish.send_modify(|wish| {
            wish.way = Way::Open;
            wish.delay = Duration::ZERO;
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
    wish: watch::Receiver<Wish>,
    accepted: Arc<AtomicUsize>,
    openings: Openings,
) {
    let mut carried = JoinSet::new();
    loop {
        tokio::select! {
            Ok((client, _)) = listener.accept() => {
                accepted.fetch_add(1, Ordering::Relaxed);
                carried.spawn(carry(client, wish.clone(), Arc::clone(&openings)));
            }
            Some(_) = carried.join_next() => {}
        }
    }
}

async fn carry(mut client: TcpStream, mut wish: watch::Receiver<Wish>, openings: Openings) {
    let born = *wish.borrow_and_update();
    match born.way {
        Way::Cut => return,
        Way::Swallow => {
            let _ = copy(&mut client, &mut sink()).await;
            return;
        }
        Way::Open => {}
    }
    let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, born.target)).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let swallowed = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let speed = wish.clone();
        tokio::select! {
            swallowed = turned(&mut wish, born) => swallowed,
            () = pump(from_client, to_server, speed.clone(), Some(openings)) => false,
            () = pump(from_server, to_client, speed, None) => false,
        }
    };
    if swallowed {
        // Both ends stay open until the client gives up; the server never hears of that.
        let (mut nowhere, mut either) = (sink(), sink());
        let _ = tokio::join!(copy(&mut client, &mut nowhere), copy(&mut server, &mut either));
        std::future::pending::<()>().await;
    }
}

/// Waits until the connection is to be swallowed (true) or ended.
async fn turned(wish: &mut watch::Receiver<Wish>, born: Wish) -> bool {
    loop {
        let now = *wish.borrow_and_update();
        if now.swallows != born.swallows {
            return true;
        }
        if now.cuts != born.cuts || wish.changed().await.is_err() {
            return false;
        }
    }
}

async fn pump(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    wish: watch::Receiver<Wish>,
    mut openings: Option<Openings>,
) {
    let mut piece = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        if let Some(openings) = openings.take() {
            let first = piece.get(..read.min(16)).unwrap_or_default().to_vec();
            openings
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(first);
        }
        let delay = wish.borrow().delay;
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

    /// A server that sends back what it gets, behind a name of its own.
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

    /// What comes next: a byte, or an end.
    async fn next(stream: &mut TcpStream) -> Option<u8> {
        let mut byte = [0];
        let read = timeout(SOON, stream.read(&mut byte))
            .await
            .expect("a byte or an end comes");
        read.is_ok_and(|n| n == 1).then(|| byte[0])
    }

    /// Whether nothing comes for a moment.
    async fn is_silent(stream: &mut TcpStream) -> bool {
        let mut byte = [0];
        timeout(Duration::from_millis(300), stream.read(&mut byte))
            .await
            .is_err()
    }

    async fn through(proxy: &Proxy) -> TcpStream {
        TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port()))
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn passes_cuts_and_turns_elsewhere() {
        let ((one, _), (other, _)) = (echo(b'1').await, echo(b'2').await);
        let proxy = Proxy::before(one).await;
        let mut client = through(&proxy).await;
        assert_eq!(next(&mut client).await, Some(b'1'));
        client.write_all(b"x").await.unwrap();
        assert_eq!(next(&mut client).await, Some(b'x'));
        proxy.cut();
        assert_eq!(next(&mut client).await, None);
        assert_eq!(next(&mut through(&proxy).await).await, None);
        proxy.heal();
        proxy.turn_to(other);
        assert_eq!(next(&mut through(&proxy).await).await, Some(b'2'));
        assert_eq!(proxy.accepted(), 3);
    }

    #[tokio::test]
    async fn what_is_swallowed_stays_open_and_silent_while_new_connections_pass() {
        let (port, _serving) = echo(b'1').await;
        let proxy = Proxy::before(port).await;
        let mut client = through(&proxy).await;
        assert_eq!(next(&mut client).await, Some(b'1'));
        proxy.swallow();
        client.write_all(b"x").await.unwrap();
        assert!(is_silent(&mut client).await);
        let mut second = through(&proxy).await;
        assert!(is_silent(&mut second).await);
        proxy.heal();
        assert!(is_silent(&mut client).await);
        assert_eq!(next(&mut through(&proxy).await).await, Some(b'1'));
    }

    #[tokio::test]
    async fn a_slow_way_delays_both_directions() {
        let (port, _serving) = echo(b'1').await;
        let proxy = Proxy::before(port).await;
        let mut client = through(&proxy).await;
        assert_eq!(next(&mut client).await, Some(b'1'));
        proxy.slow(Duration::from_millis(100));
        let begun = tokio::time::Instant::now();
        client.write_all(b"x").await.unwrap();
        assert_eq!(next(&mut client).await, Some(b'x'));
        assert!(begun.elapsed() >= Duration::from_millis(200));
    }
}
