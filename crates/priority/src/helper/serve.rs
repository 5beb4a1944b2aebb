//! The socket, its access control and its limits.
//!
//! A user who is not allowed is refused at once and uses no slot. Each allowed user has its own connection slots and
//! request rate, so that no user can block another. Requests are handled one at a time, so that two moves never
//! interleave.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::allowance::{Allowance, Rate};
use super::peer::{Peer, PeerIdentification};
use super::request_handler::{RequestHandler, not_allowed};
use super::trust::check_trusted;
use crate::identity::since_boot;
use crate::protocol::{Reply, Request, read, to_line, write};

/// The limits of one user.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Concurrent connections.
    pub(super) connections: usize,
    /// Timeout of each step of a request.
    pub(super) within: Duration,
    /// The request rate.
    pub(super) rate: Rate,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16,
            within: Duration::from_secs(2),
            rate: Rate::default(),
        }
    }
}

/// A listening socket, and when its queue was last empty.
#[derive(Debug)]
pub(super) struct Listener {
    socket: tokio::net::UnixListener,
    /// The same socket, for accepting without waiting.
    queue: UnixListener,
    queue_was_empty: Duration,
    may_have_more: bool,
}

impl Listener {
    fn new(socket: UnixListener, queue_was_empty: Duration) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self {
            queue: socket.try_clone()?,
            socket: tokio::net::UnixListener::from_std(socket)?,
            queue_was_empty,
            may_have_more: false,
        })
    }

    /// Waits for the next connection.
    async fn accept(&mut self) -> io::Result<UnixStream> {
        if self.may_have_more {
            // Yields to other tasks even under a continuous stream of connections.
            tokio::task::yield_now().await;
            let now = since_boot();
            match self.queue.accept() {
                Ok((stream, _)) => return Ok(stream),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.queue_was_empty = now;
                    self.may_have_more = false;
                }
                Err(error) => return Err(error),
            }
        }
        let (stream, _) = self.socket.accept().await?;
        self.may_have_more = true;
        stream.into_std()
    }
}

/// Listens with mode 0660. Before the mode is set no other user can connect, as this requires write permission, which a
/// new socket grants to its owner only.
pub(super) fn listen(path: &Path, gid: Option<u32>) -> Result<Listener, String> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    // The socket is changed by path below: in a folder of other users it could be replaced meanwhile.
    check_trusted(folder)?;
    if UnixStream::connect(path).is_ok() {
        return Err("another helper is listening; stop it first".to_owned());
    }
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {
            fs::remove_file(path).map_err(|error| format!("an old socket cannot be removed: {error}"))?;
        }
        Ok(_) => return Err("exists and is not a socket; use another path".to_owned()),
        Err(_) => {}
    }
    let queue_was_empty = since_boot();
    let listener = UnixListener::bind(path)
        .map_err(|error| format!("{error}; does its folder exist, and may this user write there?"))?;
    if let Some(gid) = gid {
        std::os::unix::fs::lchown(path, None, Some(gid)).map_err(|error| format!("its group: {error}"))?;
    }
    fs::set_permissions(path, Permissions::from_mode(0o660)).map_err(|error| format!("its mode: {error}"))?;
    Listener::new(listener, queue_was_empty).map_err(|error| error.to_string())
}

/// The resources in use by one user.
struct Share {
    uid: u32,
    slots: Arc<Semaphore>,
    /// Locked by this user's request that waits to be handled, so that other users wait for at most one.
    turn: Arc<Mutex<()>>,
    allowance: Allowance,
}

pub(super) async fn serve(
    handler: RequestHandler,
    peer_identification: PeerIdentification,
    limits: Limits,
    mut listener: Listener,
    stop: &CancellationToken,
) {
    let share = |uid: &u32| Share {
        uid: *uid,
        slots: Arc::new(Semaphore::new(limits.connections)),
        turn: Arc::new(Mutex::new(())),
        allowance: Allowance::new(limits.rate, Instant::now()),
    };
    let mut shares: Vec<Share> = handler.allowed().iter().map(share).collect();
    let mut refusal_log_rate = Allowance::new(limits.rate, Instant::now());
    let connections = Arc::new(Connections {
        handler: Arc::new(handler),
        turn: Arc::new(Mutex::new(())),
        within: limits.within,
    });
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let connected = accepted.and_then(|stream| {
            stream.set_nonblocking(true)?;
            let peer = Peer::from_socket(&stream, peer_identification, listener.queue_was_empty)?;
            Ok((stream, peer))
        });
        let (stream, peer) = match connected {
            Ok(connected) => connected,
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                // For example no free descriptor: retrying at once would only use CPU.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(share) = shares.iter_mut().find(|share| share.uid == peer.uid) else {
            if refusal_log_rate.take(Instant::now()) {
                tracing::warn!(
                    requester_pid = peer.pid,
                    requester_uid = peer.uid,
                    "refused: user is not allowed"
                );
            }
            refuse(&stream, not_allowed(peer.uid));
            continue;
        };
        let Ok(slot) = Arc::clone(&share.slots).try_acquire_owned() else {
            refuse(
                &stream,
                format!(
                    "user {} has {} connections already; close one",
                    peer.uid, limits.connections
                ),
            );
            continue;
        };
        if !share.allowance.take(Instant::now()) {
            refuse(
                &stream,
                format!("user {} exceeds the request rate; retry in a second", peer.uid),
            );
            continue;
        }
        tokio::spawn(Arc::clone(&connections).serve_connection(
            peer,
            stream,
            (slot, Arc::clone(&share.turn)),
        ));
    }
}

/// Refuses without reading, and never waits: a reply fits into the buffer of a new connection.
fn refuse(mut stream: &UnixStream, why: String) {
    let line = to_line(&Reply::Refused { why });
    if let Err(error) = line.and_then(|line| stream.write_all(&line)) {
        tracing::debug!(%error, "client disconnected");
    }
}

/// A connection's slot and turn.
type ConnectionSlot = (OwnedSemaphorePermit, Arc<Mutex<()>>);

/// Handles the requests.
struct Connections {
    handler: Arc<RequestHandler>,
    /// Locked by the request being handled.
    turn: Arc<Mutex<()>>,
    within: Duration,
}

impl Connections {
    async fn serve_connection(self: Arc<Self>, peer: Peer, stream: UnixStream, share: ConnectionSlot) {
        let answered = self.answer(peer, stream, share).await;
        if let Err(error) = answered {
            tracing::debug!(%error, "client too slow or disconnected");
        }
    }

    async fn answer(
        &self,
        peer: Peer,
        stream: UnixStream,
        (slot, user_turn): ConnectionSlot,
    ) -> io::Result<()> {
        let mut stream = tokio::net::UnixStream::from_std(stream)?;
        let (requester_pid, requester_uid) = (peer.pid, peer.uid);
        let (reply, slot) = match timeout(self.within, read::<Request, _>(&mut stream)).await? {
            Ok(request) => {
                let turns = timeout(self.within, async {
                    let user_turn = user_turn.lock_owned().await;
                    (user_turn, Arc::clone(&self.turn).lock_owned().await)
                });
                let turns = turns.await?;
                let handler = Arc::clone(&self.handler);
                // The tables of a host with many connections take time to read. The locks and the slot are held until
                // it is done, even if the client no longer waits for the reply.
                let work = move || {
                    let reply = handler.answer(peer, request);
                    drop(turns);
                    (reply, slot)
                };
                tokio::task::spawn_blocking(work)
                    .await
                    .map_err(io::Error::other)?
            }
            Err(error) => {
                tracing::warn!(requester_pid, requester_uid, %error, "invalid request");
                let why = "not a valid request; send one line of JSON".to_owned();
                (Reply::Refused { why }, slot)
            }
        };
        let written = timeout(self.within, write(&mut stream, &reply)).await?;
        drop(slot);
        written
    }
}
