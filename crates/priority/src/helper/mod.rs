//! The small server that has the right to lower a backend, and lowers no other process.
//!
//! It runs as root on the core's host, off unless installed. It believes nothing of a request but
//! the number in it: who asks is what the kernel says of the socket's other end, and whether the
//! number is that process's own backend is [`crate::backend`]'s to find out, before the move and
//! again after it. It runs no program but the system's `ionice`, opens no network socket, reads no
//! file that an asker names, and every answer is a log line.
//!
//! - [`config`] for whom, and what a backend looks like
//! - `judge` one request: look, move, look again, move back
//! - `serve` the socket: bounded lines, clients and time

pub mod config;
mod judge;
mod serve;

use std::path::PathBuf;

use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

pub use self::config::{Account, HelperConfig, HelperTable};
use self::judge::Judge;
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
    /// The control group.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
}

/// A helper that listens.
#[derive(Debug)]
pub struct Helper {
    judge: Judge,
    listener: UnixListener,
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
        let judge = Judge::new(table)?;
        let gid = table.group.as_ref().map(Account::group).transpose()?;
        let listener = serve::listen(&table.socket, gid).map_err(|why| HelperError::Socket {
            path: table.socket.clone(),
            why,
        })?;
        Ok(Self {
            judge,
            listener,
            socket: table.socket.clone(),
        })
    }

    /// Answers until the token is cancelled, then removes the socket. The group stays: its members
    /// are at work.
    pub async fn serve(self, stop: CancellationToken) {
        serve::serve(self.judge, self.listener, &stop).await;
        if let Err(error) = std::fs::remove_file(&self.socket) {
            tracing::debug!(%error, "the socket was not removed");
        }
    }
}
