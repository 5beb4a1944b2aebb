//! The client of the helper, which verifies its replies.

use std::path::Path;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::cgroup::Level;
use crate::cgroup::hierarchy::membership;
use crate::process::Proc;
use crate::protocol::{GroupLocation, Reply, Request, read, write};

const TIMEOUT: Duration = Duration::from_secs(2);

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The helper is unreachable.
    #[error(
        "the helper at {socket} does not answer: {why}; is its service running, and may this user write to its socket?"
    )]
    Unreachable {
        /// The socket's path.
        socket: String,
        /// The kernel's error.
        why: String,
    },
    /// The helper refused the request.
    #[error("the helper refused: {0}")]
    Refused(String),
}

/// Sends one request.
///
/// # Errors
/// If there is no reply within two seconds, or the helper refuses.
pub async fn ask(socket: &Path, request: Request) -> Result<GroupLocation, RequestError> {
    let unreachable = |why: String| RequestError::Unreachable {
        socket: socket.display().to_string(),
        why,
    };
    let exchange = async {
        let mut stream = UnixStream::connect(socket).await?;
        // A program of another user at this path could send false replies.
        let peer = stream.peer_cred()?.uid();
        if peer != 0 && peer != rustix::process::geteuid().as_raw() {
            return Err(std::io::Error::other(format!(
                "a process of user {peer} listens there; the helper must run as root"
            )));
        }
        // It may have refused already, and closed.
        let written = write(&mut stream, &request).await;
        let reply = read::<Reply, _>(&mut stream).await;
        if reply.is_err() {
            written?;
        }
        reply
    };
    match timeout(TIMEOUT, exchange).await {
        Ok(Ok(Reply::Done(location))) => Ok(location),
        Ok(Ok(Reply::Refused { why })) => Err(RequestError::Refused(why)),
        Ok(Err(error)) => Err(unreachable(error.to_string())),
        Err(_) => Err(unreachable(format!("no reply within {} s", TIMEOUT.as_secs()))),
    }
}

/// Whether a process is in the group now, as read by this process.
#[must_use]
pub fn is_in(proc: &Proc, location: &GroupLocation, pid: u32) -> bool {
    proc.cgroup(pid)
        .is_ok_and(|text| membership(&location.controller, &text) == Some(location.path.as_str()))
}

/// Returns why the group is not idle now, if so, as read by this process.
#[must_use]
pub fn not_idle(location: &GroupLocation) -> Option<String> {
    if let Level::Lowest { why } = &location.level {
        return Some(why.clone());
    }
    match std::fs::read_to_string(&location.idle_file) {
        Ok(text) if text.trim() == "1" => None,
        Ok(_) => Some(format!("{} no longer reads 1", location.idle_file.display())),
        Err(error) => Some(format!("{}: {error}", location.idle_file.display())),
    }
}
