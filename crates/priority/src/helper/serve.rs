//! The socket: who may connect, and how much they may take.
//!
//! A user who may not ask is answered at once and takes no place. Each user who may has its own places and its own
//! allowance, so that none of them can keep another from asking. Requests are decided one after the other: two moves
//! never see each other half done.

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
use super::judge::{Judge, not_allowed};
use super::peer::{Kernel, Peer};
use super::trust::check_trusted;
use crate::identity::since_boot;
use crate::protocol::{Reply, Request, read, to_line, write};

/// What one user may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Connections at a time.
    pub(super) connections: usize,
    /// The time for each step of a request.
    pub(super) within: Duration,
    /// Requests.
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

/// A socket that listens, and when it was seen without a connection that waits.
#[derive(Debug)]
pub(super) struct Listener {
    socket: tokio::net::UnixListener,
    /// The same socket, to take what waits without waiting.
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
            // Others get their turn even while connections come without end.
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

/// Listens with mode 0660. Until the mode is set nobody else can connect, for that takes the right
/// to write, which a new socket gives its owner alone.
pub(super) fn listen(path: &Path, gid: Option<u32>) -> Result<Listener, String> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    // Below, the socket is changed by its path: in a folder of others it could be another file by then.
    check_trusted(folder)?;
    if UnixStream::connect(path).is_ok() {
        return Err("another helper listens there; stop it first".to_owned());
    }
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {
            fs::remove_file(path).map_err(|error| format!("an old socket cannot be removed: {error}"))?;
        }
        Ok(_) => return Err("is there and no socket; name another path".to_owned()),
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

/// What one user has taken.
struct Share {
    uid: u32,
    places: Arc<Semaphore>,
    /// Held by the one request of this user that waits to be decided, so that others wait for one at most.
    turn: Arc<Mutex<()>>,
    allowance: Allowance,
}

pub(super) async fn serve(
    judge: Judge,
    kernel: Kernel,
    limits: Limits,
    mut listener: Listener,
    stop: &CancellationToken,
) {
    let share = |uid: &u32| Share {
        uid: *uid,
        places: Arc::new(Semaphore::new(limits.connections)),
        turn: Arc::new(Mutex::new(())),
        allowance: Allowance::new(limits.rate, Instant::now()),
    };
    let mut shares: Vec<Share> = judge.allowed().iter().map(share).collect();
    let mut log_of_strangers = Allowance::new(limits.rate, Instant::now());
    let decider = Arc::new(Decider {
        judge: Arc::new(judge),
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
            let peer = Peer::of(&stream, kernel, listener.queue_was_empty)?;
            Ok((stream, peer))
        });
        let (stream, peer) = match connected {
            Ok(connected) => connected,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                // Such as no free descriptor: going round at once would only burn the CPU.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(share) = shares.iter_mut().find(|share| share.uid == peer.uid) else {
            if log_of_strangers.take(Instant::now()) {
                tracing::warn!(
                    asker_pid = peer.pid,
                    asker_uid = peer.uid,
                    "refused: user is not allowed"
                );
            }
            refuse(&stream, not_allowed(peer.uid));
            continue;
        };
        let Ok(place) = Arc::clone(&share.places).try_acquire_owned() else {
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
                format!("user {} asks too often; ask again in a second", peer.uid),
            );
            continue;
        }
        tokio::spawn(Arc::clone(&decider).one(peer, stream, (place, Arc::clone(&share.turn))));
    }
}

/// Answers without reading, and never waits: an answer fits into the buffer of a new connection.
fn refuse(mut stream: &UnixStream, why: String) {
    let line = to_line(&Reply::Refused { why });
    if let Err(error) = line.and_then(|line| stream.write_all(&line)) {
        tracing::debug!(%error, "the asker went away");
    }
}

/// What a connection has of its user's share.
type Taken = (OwnedSemaphorePermit, Arc<Mutex<()>>);

/// Decides for all of them.
struct Decider {
    judge: Arc<Judge>,
    /// Held by the one request that is decided.
    turn: Arc<Mutex<()>>,
    within: Duration,
}

impl Decider {
    async fn one(self: Arc<Self>, peer: Peer, stream: UnixStream, share: Taken) {
        let answered = self.answer(peer, stream, share).await;
        if let Err(error) = answered {
            tracing::debug!(%error, "the asker was too slow, or went away");
        }
    }

    async fn answer(&self, peer: Peer, stream: UnixStream, (place, own_turn): Taken) -> io::Result<()> {
        let mut stream = tokio::net::UnixStream::from_std(stream)?;
        let (asker_pid, asker_uid) = (peer.pid, peer.uid);
        let (reply, place) = match timeout(self.within, read::<Request, _>(&mut stream)).await? {
            Ok(request) => {
                let turns = timeout(self.within, async {
                    let own_turn = own_turn.lock_owned().await;
                    (own_turn, Arc::clone(&self.turn).lock_owned().await)
                });
                let turns = turns.await?;
                let judge = Arc::clone(&self.judge);
                // The tables of a host with many connections take time to read. Turns and place are held until it is
                // done, even if the asker no longer waits for the answer.
                let work = move || {
                    let reply = judge.answer(peer, request);
                    drop(turns);
                    (reply, place)
                };
                tokio::task::spawn_blocking(work)
                    .await
                    .map_err(io::Error::other)?
            }
            Err(error) => {
                tracing::warn!(asker_pid, asker_uid, %error, "not a request");
                let why = "that was no request; ask with a line of JSON".to_owned();
                (Reply::Refused { why }, place)
            }
        };
        let written = timeout(self.within, write(&mut stream, &reply)).await?;
        drop(place);
        written
    }
}
