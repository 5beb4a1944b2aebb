//! The small server that has the right to lower a backend, and lowers no other process.
//!
//! It runs as root on the core's host, off unless installed. It believes nothing of a request but
//! the number in it: who asks is what the kernel says of the socket's other end, and whether the
//! number is that process's own backend is [`crate::backend`]'s to find out, before the move and
//! again after it. A number counts only with a handle that proves whose it is ([`crate::handle`]). It runs no program but the system's `ionice`, opens no network socket, reads no
//! file that an asker names, and every answer is a log line.
//!
//! - [`config`] for whom, and what a backend looks like
//! - `trust` whether others may change a file or folder that it goes by
//! - `serve` the socket: bounded lines, connections, requests and time; `allowance` how often a user may ask
//! - `peer` which process is at the other end
//! - `judge` one request; `denial` its refusal
//! - `relocate` check, move, check again, move back; `host` what that takes of the kernel

mod allowance;
pub mod config;
mod denial;
mod host;
mod judge;
#[cfg(test)]
mod limits;
mod peer;
mod relocate;
#[cfg(test)]
mod reuse;
mod serve;
mod trust;

use std::io;
use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

pub use self::config::{Account, HelperConfig, HelperTable};
use self::judge::Judge;
use self::peer::Kernel;
use self::serve::{Limits, Listener};
pub use self::trust::check_trusted;
use crate::cgroup::CgroupError;

/// Why the helper cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// A name in the file that this host does not know.
    #[error("idle_helper: there is no {what} {name:?} on this host; create it, or give its number")]
    Unknown {
        /// A user or a group.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// Nobody may ask.
    #[error("idle_helper.allow is empty, so nobody could ask; name the user that the agent runs as")]
    Nobody,
    /// The socket.
    #[error("idle_helper.socket {path}: {why}", path = path.display())]
    Socket {
        /// Where.
        path: PathBuf,
        /// What is wrong, and what to do.
        why: String,
    },
    /// `/proc` cannot be read, or the kernel cannot hold a process.
    #[error("processes cannot be identified: {0}; it needs /proc and Linux 5.3")]
    Processes(io::Error),
    /// `/proc` is of another process namespace.
    #[error(
        "/proc shows the processes of another namespace than the helper's, so their numbers mean others here; \
         run the helper on the host, without a container"
    )]
    Namespace,
    /// The control group.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
}

/// A helper that listens.
#[derive(Debug)]
pub struct Helper {
    judge: Judge,
    kernel: Kernel,
    limits: Limits,
    listener: Listener,
    socket: PathBuf,
}

impl Helper {
    /// Makes the control group, then the socket.
    ///
    /// # Errors
    /// What is wrong with the file or with this process's rights. Nothing listens then.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn open(config: &HelperConfig) -> Result<Self, HelperError> {
        let table = &config.idle_helper;
        let kernel = Kernel::of_host().map_err(HelperError::Processes)?;
        let judge = Judge::new(table)?;
        let gid = table.group.as_ref().map(Account::group).transpose()?;
        let listener = serve::listen(&table.socket, gid).map_err(|why| HelperError::Socket {
            path: table.socket.clone(),
            why,
        })?;
        Ok(Self {
            judge,
            kernel,
            limits: Limits::default(),
            listener,
            socket: table.socket.clone(),
        })
    }

    /// Answers until the token is cancelled, then removes the socket. The group stays: its members
    /// are at work.
    pub async fn serve(self, stop: CancellationToken) {
        serve::serve(self.judge, self.kernel, self.limits, self.listener, &stop).await;
        if let Err(error) = std::fs::remove_file(&self.socket) {
            tracing::debug!(%error, "the socket was not removed");
        }
    }
}
