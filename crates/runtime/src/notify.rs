//! Tells the service manager how far it is: systemd's `sd_notify`, which is one datagram.
//!
//! `READY=1` says that the process has its settings and works, or waits, as is its work; whether it can do its
//! work now is asked at `/health/ready`. `WATCHDOG=1` is sent by a task of the runtime, so that a process
//! whose tasks do not run any more is restarted.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A manager that does not read is waited for no longer: its queue is short, and who waits stands still.
const WAIT: Duration = Duration::from_millis(500);

/// Sends a state to a manager's socket: a path, or a name that begins with `@`. Waits for half a second at
/// most where the socket's queue is full.
///
/// # Errors
/// As of the socket.
pub fn send(socket: &OsStr, state: &str) -> io::Result<()> {
    let from = UnixDatagram::unbound()?;
    from.set_write_timeout(Some(WAIT))?;
    from.send_to_addr(state.as_bytes(), &address(socket)?).map(drop)
}

/// The same without waiting: a sign of life that is not taken is followed by another.
///
/// # Errors
/// As of the socket; `WouldBlock` where its queue is full.
pub fn send_now(socket: &OsStr, state: &str) -> io::Result<()> {
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

/// How often the watchdog is fed: twice within what the manager waits.
#[must_use]
pub fn feed_every(watchdog_usec: Option<&str>) -> Option<Duration> {
    let micros: u64 = watchdog_usec?.parse().ok().filter(|micros| *micros > 0)?;
    Some(Duration::from_micros(micros / 2).max(Duration::from_millis(1)))
}

/// Says `READY=1` now, feeds the watchdog where there is one, and says `STOPPING=1` at the end. Does nothing
/// where nobody listens: without `NOTIFY_SOCKET`.
pub fn keep(stop: CancellationToken) -> Option<JoinHandle<()>> {
    let socket = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty())?;
    let every = feed_every(std::env::var("WATCHDOG_USEC").ok().as_deref());
    let say = move |state: &str, how: fn(&OsStr, &str) -> io::Result<()>| {
        if let Err(error) = how(&socket, state) {
            tracing::debug!(%error, state, "the service manager was not told");
        }
    };
    say("READY=1", send);
    Some(tokio::spawn(async move {
        match every {
            None => stop.cancelled().await,
            Some(every) => {
                let mut tick = tokio::time::interval(every);
                loop {
                    tokio::select! {
                        () = stop.cancelled() => break,
                        _ = tick.tick() => say("WATCHDOG=1", send_now),
                    }
                }
            }
        }
        say("STOPPING=1", send);
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_fed_twice_within_its_time_and_only_if_there_is_one() {
        assert_eq!(feed_every(Some("30000000")), Some(Duration::from_secs(15)));
        for none in [None, Some("0"), Some("soon")] {
            assert_eq!(feed_every(none), None);
        }
    }

    #[test]
    fn a_manager_that_does_not_read_holds_nobody_up() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("notify");
        let _deaf = UnixDatagram::bind(&path)?;
        let full = (0..100_000).find_map(|_| send_now(path.as_os_str(), "WATCHDOG=1").err());
        assert_eq!(full.map(|error| error.kind()), Some(io::ErrorKind::WouldBlock));
        let waited = send(path.as_os_str(), "STOPPING=1");
        assert_eq!(
            waited.map_err(|error| error.kind()),
            Err(io::ErrorKind::WouldBlock)
        );
        Ok(())
    }

    #[test]
    fn a_state_arrives_at_a_path_and_at_a_name() -> io::Result<()> {
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
