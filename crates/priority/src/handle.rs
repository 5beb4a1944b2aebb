//! A handle to one process, which stays valid when its number is reused.
//!
//! The kernel gives a number to another process only after the one that has it was reaped. So while the process behind
//! a handle runs, its number is its own, and everything that was read or written by that number since the handle was
//! opened was read from, or written to, exactly this process. That is why a check is: open, read, [`is_running`].
//!
//! Start times alone would not do: they are rounded to a clock tick, and a host whose numbers are nearly all in use
//! gives one to another process within that tick.
//!
//! [`is_running`]: ProcessHandle::is_running

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::sys::socket::{getsockopt, sockopt};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// A process that is held by a pidfd. Needs Linux 5.3.
#[derive(Debug)]
pub struct ProcessHandle {
    pid: u32,
    pidfd: OwnedFd,
}

impl ProcessHandle {
    /// Opens the process that has this number now.
    ///
    /// # Errors
    /// When no process has it, or it is the number of a thread.
    pub fn open(pid: u32) -> io::Result<Self> {
        let number = i32::try_from(pid)
            .ok()
            .and_then(Pid::from_raw)
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let pidfd = pidfd_open(number, PidfdFlags::empty())?;
        Ok(Self { pid, pidfd })
    }

    /// Opens the process that connected the other end of a Unix socket, even if its number was given to another one.
    /// `pid` is the number that the kernel reports for that end. Needs Linux 6.5.
    ///
    /// # Errors
    /// When that process was reaped, or [`io::ErrorKind::Unsupported`] on an older kernel.
    pub fn of_peer(socket: impl AsFd, pid: u32) -> io::Result<Self> {
        match getsockopt(&socket.as_fd(), sockopt::PeerPidfd) {
            Ok(pidfd) => Ok(Self { pid, pidfd }),
            Err(nix::errno::Errno::ENOPROTOOPT) => Err(io::Error::from(io::ErrorKind::Unsupported)),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the number of the process, which is its own only while it runs.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns whether the process runs: it did not end, and is no zombie. An error of the kernel counts as ended.
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
    fn handle_is_opened_for_no_thread_and_no_odd_number() {
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
