//! Notifies the service manager: systemd's `sd_notify`, one datagram for each state.
//!
//! `READY=1` reports that the process has its settings and works, or waits, as is its work; whether it can do its
//! work now is asked at `/readyz`. `WATCHDOG=1` is sent by a task of the runtime, so that a process
//! whose tasks do not run any more is restarted.
//!
//! The socket's queue is short (ten datagrams by default on Linux) and a full queue takes nothing. No send waits for
//! room: a task that waits in the kernel takes a worker of the runtime with it. Instead the state is sent again, as
//! long as it matters: a manager without `READY=1` ends a unit of `Type=notify` at its start timeout, so
//! `READY=1` is sent until it is taken or the agent stops, and no `WATCHDOG=1` takes its room meanwhile. `STOPPING=1`
//! is sent for `STOPPING_WITHIN` and then given up: the manager sees the process end. A lost `WATCHDOG=1` is followed
//! by the next one.
//!
//! The `sd-notify` crate sends on a socket that waits for room, so the few lines that send are here.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How often a state is sent again that the queue had no room for.
const RETRY_EVERY: Duration = Duration::from_millis(50);

/// How long `STOPPING=1` is sent again, from the order to stop on.
const STOPPING_WITHIN: Duration = Duration::from_secs(1);

/// Sends a state to a manager's socket: a path, or a name that begins with `@`. Never waits.
///
/// # Errors
/// As of the socket; `WouldBlock` if its queue is full.
pub fn send(socket: &OsStr, state: &str) -> io::Result<()> {
    let from = UnixDatagram::unbound()?;
    from.set_nonblocking(true)?;
    from.send_to_addr(state.as_bytes(), &address(socket)?).map(drop)
}

fn address(socket: &OsStr) -> io::Result<SocketAddr> {
    match socket.as_bytes().split_first() {
        Some((b'@', name)) => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(socket),
    }
}

/// Returns the interval of watchdog notifications: half of the manager's timeout.
#[must_use]
pub fn watchdog_interval(watchdog_usec: Option<&str>) -> Option<Duration> {
    let micros: u64 = watchdog_usec?.parse().ok().filter(|micros| *micros > 0)?;
    Some(Duration::from_micros(micros / 2).max(Duration::from_millis(1)))
}

/// The task that notifies the service manager.
#[derive(Debug)]
pub struct Notifier {
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl Notifier {
    /// Sends `READY=1` now, notifies the watchdog if there is one, and sends `STOPPING=1` once `stop` is cancelled. Does
    /// nothing without `NOTIFY_SOCKET` in the environment.
    #[must_use]
    pub fn from_env(stop: CancellationToken) -> Self {
        let socket = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        let every = watchdog_interval(std::env::var("WATCHDOG_USEC").ok().as_deref());
        Self::start(socket, every, stop)
    }

    fn start(socket: Option<OsString>, watchdog_interval: Option<Duration>, stop: CancellationToken) -> Self {
        let task = socket.map(|socket| tokio::spawn(notify(socket, watchdog_interval, stop.clone())));
        Self { stop, task }
    }

    /// Waits until `STOPPING=1` was taken or given up. Returns at once if the agent ends without an order to stop.
    pub async fn finish(self) {
        let Some(task) = self.task else { return };
        if self.stop.is_cancelled() {
            let _ = task.await;
        } else {
            task.abort();
        }
    }
}

async fn notify(socket: OsString, watchdog_interval: Option<Duration>, stop: CancellationToken) {
    tokio::select! {
        biased;
        _ = report_ready(&socket, watchdog_interval) => {}
        () = stop.cancelled() => {}
    }
    if timeout(STOPPING_WITHIN, deliver(&socket, "STOPPING=1"))
        .await
        .is_err()
    {
        tracing::debug!("the service manager does not read its socket, STOPPING=1 was given up");
    }
}

/// Sends `READY=1`, then notifies the watchdog until it is cancelled.
async fn report_ready(socket: &OsStr, watchdog_interval: Option<Duration>) -> Infallible {
    deliver(socket, "READY=1").await;
    let Some(every) = watchdog_interval else {
        return std::future::pending().await;
    };
    let mut tick = interval(every);
    loop {
        tick.tick().await;
        if let Err(error) = send(socket, "WATCHDOG=1") {
            tracing::debug!(%error, "WATCHDOG=1 was not sent to the service manager");
        }
    }
}

/// Sends a state until the queue has room for it. Any other failure is final: the socket is not there, or refuses.
async fn deliver(socket: &OsStr, state: &str) {
    while let Err(error) = send(socket, state) {
        if error.kind() != io::ErrorKind::WouldBlock {
            tracing::debug!(%error, state, "the service manager was not notified");
            return;
        }
        sleep(RETRY_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    /// A manager's socket whose queue is full.
    struct FullQueue {
        socket: UnixDatagram,
        path: OsString,
        _folder: tempfile::TempDir,
    }

    impl FullQueue {
        fn new() -> io::Result<Self> {
            let folder = tempfile::tempdir()?;
            let path = folder.path().join("notify").into_os_string();
            let socket = UnixDatagram::bind(&path)?;
            socket.set_nonblocking(true)?;
            let full = (0..100_000).find_map(|_| send(&path, "FILL").err());
            assert_eq!(full.map(|error| error.kind()), Some(io::ErrorKind::WouldBlock));
            Ok(Self {
                socket,
                path,
                _folder: folder,
            })
        }

        /// Empties the queue, and returns what was in it but the filling.
        fn read(&self) -> Vec<String> {
            let mut text = [0; 64];
            let mut read = Vec::new();
            while let Ok(length) = self.socket.recv(&mut text) {
                read.push(String::from_utf8_lossy(text.get(..length).unwrap_or_default()).into_owned());
            }
            read.retain(|state| state != "FILL");
            read
        }
    }

    #[test]
    fn watchdog_interval_is_half_of_the_timeout_if_configured() {
        assert_eq!(watchdog_interval(Some("30000000")), Some(Duration::from_secs(15)));
        for none in [None, Some("0"), Some("soon")] {
            assert_eq!(watchdog_interval(none), None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn notifier_full_queue_ready_is_sent_once_there_is_room() -> io::Result<()> {
        let manager = FullQueue::new()?;
        let stop = CancellationToken::new();
        let notifier = Notifier::start(
            Some(manager.path.clone()),
            Some(Duration::from_secs(3_600)),
            stop.clone(),
        );
        sleep(Duration::from_secs(60)).await;
        assert_eq!(manager.read(), [""; 0]);
        sleep(RETRY_EVERY * 2).await;
        assert_eq!(manager.read(), ["READY=1", "WATCHDOG=1"]);
        stop.cancel();
        notifier.finish().await;
        assert_eq!(manager.read(), ["STOPPING=1"]);
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn notifier_full_queue_stopping_is_sent_once_there_is_room() -> io::Result<()> {
        let manager = FullQueue::new()?;
        let stop = CancellationToken::new();
        let notifier = Notifier::start(Some(manager.path.clone()), None, stop.clone());
        stop.cancel();
        sleep(STOPPING_WITHIN / 2).await;
        assert_eq!(manager.read(), [""; 0]);
        notifier.finish().await;
        assert_eq!(manager.read(), ["STOPPING=1"]);
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn notifier_deaf_manager_delays_the_end_by_a_bounded_time() -> io::Result<()> {
        let manager = FullQueue::new()?;
        let stop = CancellationToken::new();
        let notifier = Notifier::start(Some(manager.path.clone()), None, stop.clone());
        stop.cancel();
        let begun = Instant::now();
        notifier.finish().await;
        assert_eq!(begun.elapsed(), STOPPING_WITHIN);
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn notifier_agent_ends_without_order_returns_at_once() -> io::Result<()> {
        let manager = FullQueue::new()?;
        let notifier = Notifier::start(Some(manager.path.clone()), None, CancellationToken::new());
        let begun = Instant::now();
        notifier.finish().await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
        Ok(())
    }

    #[test]
    fn notify_state_reaches_path_and_abstract_sockets() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("notify");
        let name = format!("slacktide-notify-{}", std::process::id());
        let at_path = UnixDatagram::bind(&path)?;
        let at_name = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
        let mut text = [0; 64];
        for (socket, bound) in [
            (path.into_os_string(), at_path),
            (format!("@{name}").into(), at_name),
        ] {
            send(&socket, "READY=1")?;
            let length = bound.recv(&mut text)?;
            assert_eq!(text.get(..length), Some(b"READY=1".as_slice()));
        }
        Ok(())
    }
}
