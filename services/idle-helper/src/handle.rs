//! A handle to one process that stays valid when its id is reused.
//!
//! The kernel reuses an id only after its process was reaped. While the process behind a handle runs, its id is its
//! own. Everything read or written by that id since the handle was opened therefore concerned exactly this process. A
//! check is: open, read, [`is_running`].
//!
//! Start times alone are not sufficient: they are rounded to a clock tick, and a host with few free ids may reuse one
//! within that tick.
//!
//! [`is_running`]: ProcessHandle::is_running

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::sys::socket::{getsockopt, sockopt};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// A process held by a pidfd. Requires Linux 5.3.
#[derive(Debug)]
pub struct ProcessHandle {
    pid: u32,
    pidfd: OwnedFd,
}

impl ProcessHandle {
    /// Opens the process that has this id now.
    ///
    /// # Errors
    /// If no process has it, or it is the id of a thread.
    pub fn open(pid: u32) -> io::Result<Self> {
        let number = i32::try_from(pid)
            .ok()
            .and_then(Pid::from_raw)
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let pidfd = pidfd_open(number, PidfdFlags::empty())?;
        Ok(Self { pid, pidfd })
    }

    /// Opens the process that connected the other end of a Unix socket, even if its id was reused. `pid` is the id that
    /// the kernel reports for that end. Requires Linux 6.5.
    ///
    /// # Errors
    /// If that process was reaped, or [`io::ErrorKind::Unsupported`] on an older kernel.
    pub fn of_peer(socket: impl AsFd, pid: u32) -> io::Result<Self> {
        match getsockopt(&socket.as_fd(), sockopt::PeerPidfd) {
            Ok(pidfd) => Ok(Self { pid, pidfd }),
            Err(nix::errno::Errno::ENOPROTOOPT) => Err(io::Error::from(io::ErrorKind::Unsupported)),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the process id, which is its own only while it runs.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns whether the process runs: it has not ended and is not a zombie. A kernel error counts as ended.
    #[must_use]
    pub fn is_running(&self) -> bool {
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        loop {
            let mut ended = [PollFd::new(&self.pidfd, PollFlags::IN)];
            match poll(&mut ended, Some(&now)) {
                Ok(count) => return count == 0,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::process::{Command, Stdio};

    use super::*;

    /// A program that runs until its input ends.
    fn child() -> std::process::Child {
        Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("cat runs")
    }

    #[test]
    fn handle_of_a_zombie_is_not_running() {
        let mut child = child();
        let handle = ProcessHandle::open(child.id()).expect("it runs");
        assert!(handle.is_running());
        child.kill().expect("killed");
        let info = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("small")).expect("not 0");
        rustix::process::waitid(rustix::process::WaitId::Pid(pid), info).expect("it ended");
        // Not reaped yet: a zombie.
        assert!(!handle.is_running());
        child.wait().expect("reaped");
        assert!(!handle.is_running());
        assert!(ProcessHandle::open(handle.pid()).is_err());
    }

    #[test]
    fn handle_of_a_thread_or_invalid_id_is_refused() {
        let (send, receive) = std::sync::mpsc::channel::<()>();
        let (sender, thread) = std::sync::mpsc::channel();
        let waiter = std::thread::spawn(move || {
            sender.send(nix::unistd::gettid()).expect("sent");
            let _ = receive.recv();
        });
        let thread = thread.recv().expect("its number").as_raw();
        assert!(ProcessHandle::open(u32::try_from(thread).expect("positive")).is_err());
        drop(send);
        waiter.join().expect("it ends");
        for pid in [0, u32::MAX, 1 << 31] {
            assert!(ProcessHandle::open(pid).is_err(), "{pid}");
        }
    }

    #[test]
    fn handle_of_a_peer_is_the_process_that_connected() {
        let (one, _other) = UnixStream::pair().expect("a pair");
        match ProcessHandle::of_peer(&one, std::process::id()) {
            Ok(handle) => assert!(handle.is_running()),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::Unsupported),
        }
    }
}
