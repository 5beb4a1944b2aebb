//! Identifies the process at the other end of a connection.
//!
//! The kernel records the user and id of the process that connected. The user is certain. The id may have been reused,
//! while a child of the connecting process still holds the connection. The process is therefore taken as a handle from
//! the connection itself (`SO_PEERPIDFD`, Linux 6.5). Older kernels have no such handle. There, the process with that
//! id counts only if it started before the connection can have been made: a connection returned by `accept` was made
//! after `accept` last found none. A process that is older than that moment and has the id now, had it when the
//! connection was made.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt};
use priority::process::{Proc, ProcessIdentity};

use crate::handle::ProcessHandle;
use crate::start_time::{started_before, ticks_per_second};

/// Why the process at the other end may not send requests.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PeerError {
    /// It is in another PID namespace.
    #[error("the asking process is in a namespace that the helper does not see; run both on the host")]
    Namespace,
    /// It has ended.
    #[error("process {0}, which connected, has ended; the connecting process must send the request")]
    Ended(u32),
    /// It cannot be read, or its users differ.
    #[error("process {pid}, which connected, cannot be read: {error}; ask as one user from start to end")]
    Unreadable {
        /// The process.
        pid: u32,
        /// The cause.
        error: io::Error,
    },
    /// Its user is not the one that connected.
    #[error(
        "process {pid} is of user {owner}, and the connection was made by user {uid}; ask as one user from start to end"
    )]
    User {
        /// The process.
        pid: u32,
        /// Its user.
        owner: u32,
        /// The user that connected.
        uid: u32,
    },
    /// It may have been given its id after the connection was made.
    #[error(
        "process {0} started too short a time before it connected, and another process may have had its number; ask again"
    )]
    TooYoung(u32),
}

/// How the process with the id is proven to be the one that connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// The handle belongs to the connection.
    Connection,
    /// The process must have started before this time since boot.
    StartedBefore(Duration),
}

/// The kernel's information about the other end.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) uid: u32,
    /// `None` if it is in a namespace that is not visible.
    pub(crate) pid: Option<u32>,
    /// `None` if the process has ended, or the kernel has no handles.
    handle: Option<ProcessHandle>,
    proof: Proof,
}

/// An admitted requester, with the handle that proves it.
#[derive(Debug)]
pub(crate) struct Requester {
    pub(crate) identity: ProcessIdentity,
    pub(crate) handle: ProcessHandle,
}

/// How this kernel identifies the connecting process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PeerIdentification {
    /// With a handle of the connection.
    ByHandle,
    /// Only by number.
    ByPid,
}

impl PeerIdentification {
    /// Determines it with a local connection.
    ///
    /// # Errors
    /// If pidfds are not supported.
    pub(crate) fn of_host() -> io::Result<Self> {
        ProcessHandle::open(std::process::id())?;
        let (one, _other) = std::os::unix::net::UnixStream::pair()?;
        match ProcessHandle::of_peer(&one, std::process::id()) {
            Ok(_) => Ok(Self::ByHandle),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(Self::ByPid),
            Err(error) => Err(error),
        }
    }
}

impl Peer {
    /// Identifies the peer of a connection that was just accepted. `queue_was_empty` is when `accept` last found none.
    ///
    /// # Errors
    /// If the kernel does not report it.
    pub(crate) fn from_socket(
        socket: impl AsFd,
        identification: PeerIdentification,
        queue_was_empty: Duration,
    ) -> io::Result<Self> {
        let credentials = getsockopt(&socket.as_fd(), sockopt::PeerCredentials)?;
        let pid = u32::try_from(credentials.pid()).ok().filter(|pid| *pid != 0);
        let (handle, proof) = match identification {
            PeerIdentification::ByHandle => (
                pid.and_then(|pid| ProcessHandle::of_peer(&socket, pid).ok()),
                Proof::Connection,
            ),
            PeerIdentification::ByPid => (
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

    /// Returns the id of the process that connected.
    ///
    /// # Errors
    /// If it is in a namespace that is not visible.
    pub(crate) fn visible_pid(&self) -> Result<u32, PeerError> {
        self.pid.ok_or(PeerError::Namespace)
    }

    /// Returns the process that connected, if it still runs under its user.
    ///
    /// # Errors
    /// Why it may not send requests.
    pub(crate) fn admit(self, proc: &Proc) -> Result<Requester, PeerError> {
        let pid = self.visible_pid()?;
        let handle = self.handle.ok_or(PeerError::Ended(pid))?;
        let identity = proc.identity(pid);
        // Facts read by id concerned this process.
        if !handle.is_running() {
            return Err(PeerError::Ended(pid));
        }
        let identity = identity.map_err(|error| PeerError::Unreadable { pid, error })?;
        belongs(&identity, self.uid, self.proof, ticks_per_second())?;
        Ok(Requester { identity, handle })
    }
}

/// PURE. Whether the process with the id is the one that connected as `uid`.
fn belongs(
    identity: &ProcessIdentity,
    uid: u32,
    proof: Proof,
    ticks_per_second: u64,
) -> Result<(), PeerError> {
    let pid = identity.pid;
    if identity.uid != uid {
        return Err(PeerError::User {
            pid,
            owner: identity.uid,
            uid,
        });
    }
    match proof {
        Proof::Connection => Ok(()),
        Proof::StartedBefore(moment) if started_before(identity.start_ticks, ticks_per_second, moment) => {
            Ok(())
        }
        Proof::StartedBefore(_) => Err(PeerError::TooYoung(pid)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUESTER: ProcessIdentity = ProcessIdentity {
        pid: 10,
        start_ticks: 500,
        uid: 99,
    };

    #[test]
    fn peer_of_another_user_is_refused() {
        assert!(belongs(&REQUESTER, 99, Proof::Connection, 100).is_ok());
        for proof in [Proof::Connection, Proof::StartedBefore(Duration::from_secs(60))] {
            let refused = belongs(&REQUESTER, 98, proof, 100).expect_err("another user");
            assert!(refused.to_string().contains("is of user 99"), "{refused}");
        }
    }

    #[test]
    fn peer_by_number_has_to_be_older_than_the_connection() {
        let at = |millis| {
            belongs(
                &REQUESTER,
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
        let mut peer = Peer::from_socket(
            &one,
            PeerIdentification::of_host().expect("handles"),
            Duration::MAX,
        )
        .expect("known");
        assert_eq!(peer.pid, Some(me));
        peer.handle = Some(ended);
        let refused = peer.admit(&Proc::default()).expect_err("it ended");
        assert!(refused.to_string().contains("has ended"), "{refused}");
        let peer = Peer::from_socket(&one, PeerIdentification::ByPid, Duration::MAX).expect("known");
        assert_eq!(
            peer.admit(&Proc::default()).expect("this process").identity.pid,
            me
        );
    }
}
