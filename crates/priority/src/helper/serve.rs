//! The socket: who may connect, and how much they may take.

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::judge::{Asker, Judge};
use crate::protocol::{Reply, Request, read, write};

const MOST_CLIENTS: usize = 16;
const WITHIN: Duration = Duration::from_secs(2);

/// Listens with mode 0660. Until the mode is set nobody else can connect, for that takes the right
/// to write, which a new socket gives its owner alone.
pub(super) fn listen(path: &Path, gid: Option<u32>) -> Result<UnixListener, String> {
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err("another helper listens there; stop it first".to_owned());
    }
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {
            fs::remove_file(path).map_err(|error| format!("an old socket cannot be removed: {error}"))?;
        }
        Ok(_) => return Err("is there and no socket; name another path".to_owned()),
        Err(_) => {}
    }
    let listener = UnixListener::bind(path)
        .map_err(|error| format!("{error}; does its folder exist, and may this user write there?"))?;
    if let Some(gid) = gid {
        std::os::unix::fs::chown(path, None, Some(gid)).map_err(|error| format!("its group: {error}"))?;
    }
    fs::set_permissions(path, Permissions::from_mode(0o660)).map_err(|error| format!("its mode: {error}"))?;
    Ok(listener)
}

pub(super) async fn serve(judge: Judge, listener: UnixListener, stop: &CancellationToken) {
    let judge = Arc::new(judge);
    let places = Arc::new(Semaphore::new(MOST_CLIENTS));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                // Such as no free descriptor: going round at once would only burn the CPU.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // Whoever finds the places taken sees the connection close, and comes again.
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            continue;
        };
        let judge = Arc::clone(&judge);
        tokio::spawn(async move {
            if timeout(WITHIN, one(&judge, stream)).await.is_err() {
                tracing::debug!("a client was too slow");
            }
            drop(place);
        });
    }
}

async fn one(judge: &Judge, mut stream: UnixStream) {
    let Ok(peer) = stream.peer_cred() else { return };
    let asker = Asker {
        uid: peer.uid(),
        pid: peer
            .pid()
            .and_then(|pid| u32::try_from(pid).ok())
            .filter(|pid| *pid != 0),
    };
    let reply = match read::<Request, _>(&mut stream).await {
        // A few small files of /proc: nothing that is worth a thread.
        Ok(request) => judge.answer(asker, request),
        Err(error) => {
            tracing::warn!(asker_pid = asker.pid, asker_uid = asker.uid, %error, "not a request");
            Reply::Refused {
                why: "that was no request; ask with a line of JSON".to_owned(),
            }
        }
    };
    if let Err(error) = write(&mut stream, &reply).await {
        tracing::debug!(%error, "the asker went away");
    }
}
