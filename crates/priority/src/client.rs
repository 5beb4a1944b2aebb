//! How the helper is asked, and how its answer is checked.

use std::path::Path;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::cgroup::Level;
use crate::cgroup::hierarchy::membership;
use crate::process::Proc;
use crate::protocol::{Place, Reply, Request, read, write};

const WITHIN: Duration = Duration::from_secs(2);

/// Why the helper did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// Nobody answers.
    #[error(
        "the helper at {socket} does not answer: {why}; is its service running, and may this user write to its socket?"
    )]
    Unreachable {
        /// Where.
        socket: String,
        /// What the kernel said.
        why: String,
    },
    /// It looked and refused.
    #[error("the helper refuses: {0}")]
    Refused(String),
}

/// Asks once.
///
/// # Errors
/// When nobody answers within two seconds, or the answer is no.
pub async fn ask(socket: &Path, request: Request) -> Result<Place, AskError> {
    let unreachable = |why: String| AskError::Unreachable {
        socket: socket.display().to_string(),
        why,
    };
    let exchange = async {
        let mut stream = UnixStream::connect(socket).await?;
        // Another user's program at this path could claim anything of the group.
        let peer = stream.peer_cred()?.uid();
        if peer != 0 && peer != rustix::process::geteuid().as_raw() {
            return Err(std::io::Error::other(format!(
                "a process of user {peer} listens there, which is not the helper: that is root's"
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
    match timeout(WITHIN, exchange).await {
        Ok(Ok(Reply::Done(place))) => Ok(place),
        Ok(Ok(Reply::Refused { why })) => Err(AskError::Refused(why)),
        Ok(Err(error)) => Err(unreachable(error.to_string())),
        Err(_) => Err(unreachable(format!("nothing within {} s", WITHIN.as_secs()))),
    }
}

/// Whether a process is in the group now, seen by this process itself.
#[must_use]
pub fn is_in(proc: &Proc, place: &Place, pid: u32) -> bool {
    proc.cgroup(pid)
        .is_ok_and(|text| membership(&place.controller, &text) == Some(place.path.as_str()))
}

/// Why the group is not idle now, if it is not, seen by this process itself.
#[must_use]
pub fn not_idle(place: &Place) -> Option<String> {
    if let Level::Lowest { why } = &place.level {
        return Some(why.clone());
    }
    match std::fs::read_to_string(&place.idle_file) {
        Ok(text) if text.trim() == "1" => None,
        Ok(_) => Some(format!("{} no longer reads 1", place.idle_file.display())),
        Err(error) => Some(format!("{}: {error}", place.idle_file.display())),
    }
}
