//! The listening socket.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, lchown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use crate::start_time::since_boot;
use crate::trust::{TrustError, check_trusted};

/// Why the socket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Other users can change its folder.
    #[error(transparent)]
    Untrusted(#[from] TrustError),
    /// Another helper listens there.
    #[error("another helper is listening; stop it first")]
    InUse,
    /// The path is something else than a socket.
    #[error("exists and is not a socket; use another path")]
    NotSocket,
    /// The socket of a helper that ended cannot be removed.
    #[error("an old socket cannot be removed: {0}; remove it")]
    NotRemoved(io::Error),
    /// The socket cannot be created.
    #[error("{0}; does its folder exist, and may this user write there?")]
    Bind(io::Error),
    /// Its group cannot be set.
    #[error("its group: {0}; does this user have CAP_CHOWN?")]
    Group(io::Error),
    /// Its mode cannot be set.
    #[error("its mode: {0}; does this user own the socket?")]
    Mode(io::Error),
}

/// A listening socket, and when its queue was last empty.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: UnixListener,
    /// Time since boot: a connection returned by [`Listener::accept`] was made after it.
    pub(crate) queue_was_empty: Duration,
}

impl Listener {
    /// Returns the next connection without waiting, or `None` if there is none.
    ///
    /// # Errors
    /// The kernel's, such as a lack of descriptors.
    pub(crate) fn accept(&mut self) -> io::Result<Option<UnixStream>> {
        let now = since_boot();
        match self.socket.accept() {
            Ok((stream, _)) => Ok(Some(stream)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.queue_was_empty = now;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Listens with mode 0660. Before the mode is set no other user can connect, as this requires write permission, which a
/// new socket grants to its owner only.
///
/// # Errors
/// The cause and the remedy. Nothing listens then.
pub(crate) fn listen(path: &Path, gid: Option<u32>) -> Result<Listener, ListenError> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    // The socket is changed by path below: in a folder of other users it could be replaced meanwhile.
    check_trusted(folder)?;
    if UnixStream::connect(path).is_ok() {
        return Err(ListenError::InUse);
    }
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {
            fs::remove_file(path).map_err(ListenError::NotRemoved)?;
        }
        Ok(_) => return Err(ListenError::NotSocket),
        Err(_) => {}
    }
    let queue_was_empty = since_boot();
    let socket = UnixListener::bind(path).map_err(ListenError::Bind)?;
    if let Some(gid) = gid {
        lchown(path, None, Some(gid)).map_err(ListenError::Group)?;
    }
    fs::set_permissions(path, Permissions::from_mode(0o660)).map_err(ListenError::Mode)?;
    socket.set_nonblocking(true).map_err(ListenError::Bind)?;
    Ok(Listener {
        socket,
        queue_was_empty,
    })
}
