//! The privileged helper, which lowers a client's own backend and no other process.
//!
//! It runs as root on the core's host, and is off unless installed. Of a request it trusts only the process id in it.
//! The kernel identifies the requester, and [`backend`] verifies that the id is that process's own backend, before the
//! move and again after it. An id counts only with a handle that proves the process ([`handle`]). The helper runs no
//! program but the system's `ionice`, opens no network socket, reads no file that a requester names, and logs every
//! reply.
//!
//! The program has one thread: it waits for connections and lines with `poll`, and handles one request at a time.
//! The parts that it shares with the agent are in `crates/priority`.
//!
//! - [`arguments`] the command line; [`exit`] the exit codes; [`log`] the log lines; [`stop`] SIGTERM and SIGINT
//! - [`config`] the allowed users and the characteristics of a backend
//! - `trust` whether other users can change a file or folder that it relies on
//! - `listen` the socket; `serve` its bounded lines, connections, requests and time; `allowance` the request rate per user
//! - `peer` the process at the other end; `start_time` when a process started
//! - [`backend`] whether a process is exactly the backend that serves another
//! - `request_handler` handles one request; `denial` its refusal
//! - `relocate` check, move, check again, move back; `host` the kernel interface for it

mod allowance;
pub mod arguments;
pub mod backend;
pub mod config;
mod denial;
pub mod exit;
pub mod handle;
mod host;
#[cfg(test)]
mod limits;
mod listen;
pub mod log;
mod peer;
mod relocate;
mod request_handler;
#[cfg(test)]
mod reuse;
mod serve;
mod start_time;
pub mod stop;
mod trust;

use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;

use priority::cgroup::CgroupError;

pub use self::config::{Account, HelperConfig, HelperTable};
use self::exit::Exit;
pub use self::listen::ListenError;
use self::listen::{Listener, listen};
use self::peer::PeerIdentification;
use self::request_handler::RequestHandler;
use self::serve::{Limits, Server};
pub use self::trust::{TrustError, check_trusted};

/// Why the helper cannot start.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// The configuration names an unknown user or group.
    #[error("idle_helper: {what} {name:?} does not exist on this host; create it, or use its number")]
    Unknown {
        /// A user or a group.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// No user is allowed.
    #[error("idle_helper.allow is empty; name the user that the agent runs as")]
    NoUsers,
    /// The socket cannot be opened.
    #[error("idle_helper.socket {path}: {error}", path = path.display())]
    Socket {
        /// The path.
        path: PathBuf,
        /// The cause and the remedy.
        error: ListenError,
    },
    /// `/proc` cannot be read, or the kernel does not support pidfds.
    #[error("processes cannot be identified: {0}; the helper requires /proc and Linux 5.3")]
    Processes(io::Error),
    /// `/proc` belongs to another PID namespace.
    #[error(
        "/proc shows the processes of another namespace than the helper's, so their numbers mean others here; \
         run the helper on the host, without a container"
    )]
    Namespace,
    /// The control group cannot be prepared.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
}

impl HelperError {
    /// Returns the exit code of a helper that cannot start.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Cgroup(CgroupError::PermissionDenied { .. }) => Exit::Denied,
            Self::Socket {
                error: ListenError::InUse,
                ..
            } => Exit::InUse,
            _ => Exit::Usage,
        }
    }
}

/// A listening helper.
#[derive(Debug)]
pub struct Helper {
    handler: RequestHandler,
    peer_identification: PeerIdentification,
    limits: Limits,
    listener: Listener,
    socket: PathBuf,
}

impl Helper {
    /// Prepares the control group, then the socket.
    ///
    /// # Errors
    /// If the configuration or the permissions are insufficient. Nothing listens then.
    pub fn open(config: &HelperConfig) -> Result<Self, HelperError> {
        let table = &config.idle_helper;
        let peer_identification = PeerIdentification::of_host().map_err(HelperError::Processes)?;
        let handler = RequestHandler::new(table)?;
        let gid = table.group.as_ref().map(Account::group).transpose()?;
        let listener = listen(&table.socket, gid).map_err(|error| HelperError::Socket {
            path: table.socket.clone(),
            error,
        })?;
        Ok(Self {
            handler,
            peer_identification,
            limits: Limits::default(),
            listener,
            socket: table.socket.clone(),
        })
    }

    /// Serves until `stop` can be read or its other end is closed, then removes the socket. The group stays, as its
    /// members are still running.
    pub fn serve(self, stop: impl AsFd) {
        let server = Server::new(self.handler, self.peer_identification, self.limits, self.listener);
        server.run(stop.as_fd());
        if let Err(error) = std::fs::remove_file(&self.socket) {
            log::warn("socket not removed", &[("error", error.to_string().into())]);
        }
    }
}
