//! The client of the root helper, which verifies its replies.

use std::path::Path;
use std::time::Duration;

use priority::protocol::{GroupLocation, MAX_LINE_BYTES, Reply, Request, from_line, to_line};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

const TIMEOUT: Duration = Duration::from_secs(2);

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RequestError {
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
pub(crate) async fn ask(socket: &Path, request: Request) -> Result<GroupLocation, RequestError> {
    let unreachable = |why: String| RequestError::Unreachable {
        socket: socket.display().to_string(),
        why,
    };
    match timeout(TIMEOUT, exchange(socket, request)).await {
        Ok(Ok(Reply::Done(location))) => Ok(location),
        Ok(Ok(Reply::Refused { why })) => Err(RequestError::Refused(why)),
        Ok(Err(error)) => Err(unreachable(error.to_string())),
        Err(_) => Err(unreachable(format!("no reply within {} s", TIMEOUT.as_secs()))),
    }
}

async fn exchange(socket: &Path, request: Request) -> std::io::Result<Reply> {
    let mut stream = UnixStream::connect(socket).await?;
    // A program of another user at this path could send false replies.
    let peer = stream.peer_cred()?.uid();
    if peer != 0 && peer != nix::unistd::geteuid().as_raw() {
        return Err(std::io::Error::other(format!(
            "a process of user {peer} listens there; the helper must run as root"
        )));
    }
    // It may have refused already, and closed.
    let written = stream.write_all(&to_line(&request)?).await;
    let bound = u64::try_from(MAX_LINE_BYTES).unwrap_or(u64::MAX);
    let mut line = Vec::new();
    let read = BufReader::new(stream.take(bound))
        .read_until(b'\n', &mut line)
        .await;
    let reply = read.and_then(|_| from_line(&line).map_err(std::io::Error::other));
    if reply.is_err() {
        written?;
    }
    reply
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn helper_not_running_is_reported() {
        let refused = ask(Path::new("/nowhere/idle.sock"), Request::Describe)
            .await
            .expect_err("no helper runs");
        assert!(matches!(refused, RequestError::Unreachable { .. }));
        assert!(
            refused.to_string().contains("is its service running"),
            "{refused}"
        );
    }

    /// A helper that refuses before it has read the request, as one does that limits the rate.
    #[tokio::test]
    async fn helper_refusal_reaches_the_client_with_its_reason() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let socket = folder.path().join("s");
        let listener = UnixListener::bind(&socket)?;
        let refusing = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await?;
            let why = "user 1 exceeds the request rate".to_owned();
            stream.write_all(&to_line(&Reply::Refused { why })?).await
        });
        let refused = ask(&socket, Request::Own).await;
        assert!(
            matches!(&refused, Err(RequestError::Refused(why)) if why.contains("exceeds the request rate")),
            "{refused:?}"
        );
        refusing.await?
    }

    #[tokio::test]
    async fn helper_reply_without_an_end_is_refused() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let socket = folder.path().join("s");
        let listener = UnixListener::bind(&socket)?;
        let sending = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await?;
            // The client stops reading, and closes.
            let _ = stream.write_all(&[b'x'; MAX_LINE_BYTES * 2]).await;
            std::io::Result::Ok(())
        });
        let refused = ask(&socket, Request::Describe).await;
        assert!(
            matches!(&refused, Err(RequestError::Unreachable { why, .. }) if why.contains("truncated or longer")),
            "{refused:?}"
        );
        sending.await?
    }
}
