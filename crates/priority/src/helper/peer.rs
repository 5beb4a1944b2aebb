//! Who is at the other end of a connection.
//!
//! The kernel remembers the user and the number of the process that connected. The user is certain; the number may be
//! another process's by now, while a child of the one that connected still holds the connection. So the process is
//! taken as a handle from the connection itself (`SO_PEERPIDFD`, Linux 6.5). An older kernel gives no such handle.
//! There the process that has the number counts only if it had started before the connection can have been made: what
//! `accept` returns was connected after `accept` last found nothing, so a process that is older than that moment, and
//! has the number now, had it when the connection was made.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt};

use crate::handle::ProcessHandle;
use crate::identity::{ProcessIdentity, started_before, ticks_per_second};
use crate::process::Proc;

/// How it is proven that the process with the number is the one that connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// The handle is the connection's own.
    Connection,
    /// It has to have started before this time since boot.
    StartedBefore(Duration),
}

/// What the kernel reports about the other end.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) uid: u32,
    /// `None` when it is in a namespace that this process does not see.
    pub(super) pid: Option<u32>,
    /// `None` when the process has ended, or the kernel has no handles.
    handle: Option<ProcessHandle>,
    proof: Proof,
}

/// A process that may ask, with the handle that proves it.
#[derive(Debug)]
pub(super) struct Asker {
    pub(super) identity: ProcessIdentity,
    pub(super) handle: ProcessHandle,
}

/// How this kernel reports which process connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kernel {
    /// With a handle of the connection.
    GivesHandles,
    /// Only by number.
    GivesNumbers,
}

impl Kernel {
    /// Determines it with a connection of our own.
    ///
    /// # Errors
    /// When processes cannot be held at all.
    pub(super) fn of_host() -> io::Result<Self> {
        ProcessHandle::open(std::process::id())?;
        let (one, _other) = std::os::unix::net::UnixStream::pair()?;
        match ProcessHandle::of_peer(&one, std::process::id()) {
            Ok(_) => Ok(Self::GivesHandles),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(Self::GivesNumbers),
            Err(error) => Err(error),
        }
    }
}

impl Peer {
    /// Takes it from a connection that was just accepted. `queue_was_empty` is when `accept` last found nothing.
    ///
    /// # Errors
    /// When the kernel does not report it.
    pub(super) fn of(socket: impl AsFd, kernel: Kernel, queue_was_empty: Duration) -> io::Result<Self> {
        let credentials = getsockopt(&socket.as_fd(), sockopt::PeerCredentials)?;
        let pid = u32::try_from(credentials.pid()).ok().filter(|pid| *pid != 0);
        let (handle, proof) = match kernel {
            Kernel::GivesHandles => (
                pid.and_then(|pid| ProcessHandle::of_peer(&socket, pid).ok()),
                Proof::Connection,
            ),
            Kernel::GivesNumbers => (
                pid.and_then(|pid| ProcessHandle::open(pid).ok()),
                Proof::StartedBefore(queue_was_empty),
            ),
        };
        Ok(Self {
            uid: credentials.uid(),
            pid,
            handle,
            proof,
        })
    }

    /// Returns the number of the process that connected.
    ///
    /// # Errors
    /// When it is in a namespace that this process does not see.
    pub(super) fn visible_pid(&self) -> Result<u32, String> {
        self.pid.ok_or_else(|| {
            "the asking process is in a namespace that the helper does not see; run both on the host"
                .to_owned()
        })
    }

    /// Returns the process that connected, if it still runs and is still its user's.
    ///
    /// # Errors
    /// Why it may not ask.
    pub(super) fn admit(self, proc: &Proc) -> Result<Asker, String> {
        let pid = self.visible_pid()?;
        let ended =
            || format!("process {pid}, which connected, has ended; only the process that connects may ask");
        let handle = self.handle.ok_or_else(ended)?;
        let identity = proc.identity(pid);
        // Whatever was read of the number was read of this process.
        if !handle.is_running() {
            return Err(ended());
        }
        let identity = identity.map_err(|error| {
            format!(
                "process {pid}, which connected, cannot be read: {error}; ask as one user from start to end"
            )
        })?;
        belongs(&identity, self.uid, self.proof, ticks_per_second())?;
        Ok(Asker { identity, handle })
    }
}

/// PURE. Whether the process with the number is the one that connected as `uid`.
fn belongs(identity: &ProcessIdentity, uid: u32, proof: Proof, ticks_per_second: u64) -> Result<(), String> {
    let pid = identity.pid;
    if identity.uid != uid {
        return Err(format!(
            "process {pid} is of user {}, and the connection was made by user {uid}; ask as one user from start to end",
            identity.uid
        ));
    }
    match proof {
        Proof::Connection => Ok(()),
        Proof::StartedBefore(moment) if started_before(identity.start_ticks, ticks_per_second, moment) => {
            Ok(())
        }
        Proof::StartedBefore(_) => Err(format!(
            "process {pid} started too short a time before it connected, and another process may have had its \
             number; ask again"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKER: ProcessIdentity = ProcessIdentity {
        pid: 10,
        start_ticks: 500,
        uid: 99,
    };

    #[test]
    fn peer_of_another_user_is_refused() {
        assert_eq!(belongs(&ASKER, 99, Proof::Connection, 100), Ok(()));
        for proof in [Proof::Connection, Proof::StartedBefore(Duration::from_secs(60))] {
            let refused = belongs(&ASKER, 98, proof, 100).expect_err("another user");
            assert!(refused.contains("is of user 99"), "{refused}");
        }
    }

    #[test]
    fn peer_by_number_has_to_be_older_than_the_connection() {
        let at = |millis| {
            belongs(
                &ASKER,
                99,
                Proof::StartedBefore(Duration::from_millis(millis)),
                100,
            )
        };
        // It started in the tick from 5000 ms to 5010 ms.
        for (millis, wanted) in [
            (0, false),
            (4_999, false),
            (5_000, false),
            (5_009, false),
            (5_010, true),
        ] {
            assert_eq!(at(millis).is_ok(), wanted, "{millis}");
        }
    }

    #[test]
    fn peer_that_ended_is_refused_even_if_its_number_is_in_use() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().expect("a pair");
        let mut child = std::process::Command::new("true").spawn().expect("it runs");
        let ended = ProcessHandle::open(child.id()).expect("not reaped yet");
        child.wait().expect("reaped");
        let me = std::process::id();
        let mut peer = Peer::of(&one, Kernel::of_host().expect("handles"), Duration::MAX).expect("known");
        assert_eq!(peer.pid, Some(me));
        peer.handle = Some(ended);
        let refused = peer.admit(&Proc::default()).expect_err("it ended");
        assert!(refused.contains("has ended"), "{refused}");
        let peer = Peer::of(&one, Kernel::GivesNumbers, Duration::MAX).expect("known");
        assert_eq!(
            peer.admit(&Proc::default()).expect("this process").identity.pid,
            me
        );
    }
}
