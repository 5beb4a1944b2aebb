//! The messages on the helper's socket: one JSON line each way, one request per connection.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use crate::cgroup::Level;

/// Maximum length of a line.
pub const MAX_LINE_BYTES: usize = 4096;

/// A request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Returns the group; moves nothing.
    Describe,
    /// Moves the requesting process.
    Own,
    /// Moves the backend that serves it.
    Backend {
        /// The backend's `pg_backend_pid()`.
        pid: u32,
    },
}

/// The group, so that the client can verify it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupLocation {
    /// The controller in the lines of `/proc/PID/cgroup`; empty for version 2.
    pub controller: String,
    /// The group's path in the hierarchy.
    pub path: String,
    /// The file that contains 1 while the group is idle.
    pub idle_file: PathBuf,
    /// The CPU priority of its members.
    #[serde(flatten)]
    pub level: Level,
}

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Reply {
    /// The process was moved, or for [`Request::Describe`]: this is the group.
    Done(GroupLocation),
    /// Nothing was moved.
    Refused {
        /// The cause and the remedy.
        why: String,
    },
}

/// Reads one line of JSON.
///
/// # Errors
/// If it is longer than [`MAX_LINE_BYTES`], truncated, or invalid.
pub async fn read<T, S>(stream: S) -> io::Result<T>
where
    T: for<'a> Deserialize<'a>,
    S: tokio::io::AsyncRead + Unpin,
{
    let mut line = Vec::new();
    let bound = u64::try_from(MAX_LINE_BYTES).unwrap_or(u64::MAX);
    BufReader::new(stream.take(bound))
        .read_until(b'\n', &mut line)
        .await?;
    if line.last() != Some(&b'\n') {
        return Err(io::Error::other("the line is truncated or too long"));
    }
    serde_json::from_slice(&line).map_err(io::Error::other)
}

/// Renders one line of JSON.
///
/// # Errors
/// Never for the messages of this module.
pub fn to_line<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value).map_err(io::Error::other)?;
    line.push(b'\n');
    Ok(line)
}

/// Writes one line of JSON.
///
/// # Errors
/// When the other side went away.
pub async fn write<T, S>(mut stream: S, value: &T) -> io::Result<()>
where
    T: Serialize,
    S: tokio::io::AsyncWrite + Unpin,
{
    let line = to_line(value)?;
    stream.write_all(&line).await?;
    stream.flush().await
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[tokio::test]
    async fn line_is_parsed_and_garbage_is_an_error() {
        let good = br#"{"ask":"backend","pid":7}
"#;
        assert_eq!(
            read::<Request, _>(&good[..]).await.ok(),
            Some(Request::Backend { pid: 7 })
        );
        let long = vec![b'x'; MAX_LINE_BYTES * 3];
        let nested = format!("{}\n", "[".repeat(MAX_LINE_BYTES - 1));
        for bad in [
            &b""[..],
            b"\n",
            b"{\"ask\":\"own\"}",
            b"{\"ask\":\"everything\"}\n",
            b"{\"ask\":\"backend\",\"pid\":-1}\n",
            b"{\"ask\":\"backend\",\"pid\":99999999999}\n",
            b"{\"ask\":\"backend\",\"pid\":1,\"force\":true}\n",
            b"\xff\xfe\n",
            &long,
            nested.as_bytes(),
        ] {
            assert!(
                read::<Request, _>(bad).await.is_err(),
                "{}",
                String::from_utf8_lossy(bad)
            );
        }
    }

    #[tokio::test]
    async fn reply_round_trips_through_json() {
        let reply = Reply::Done(GroupLocation {
            controller: "cpu".to_owned(),
            path: "/slacktide-idle".to_owned(),
            idle_file: "/g/cpu.idle".into(),
            level: Level::Lowest {
                why: "old".to_owned(),
            },
        });
        let mut bytes = Vec::new();
        write(&mut bytes, &reply).await.expect("written");
        assert_eq!(read::<Reply, _>(&bytes[..]).await.ok(), Some(reply));
    }

    /// Counts what is taken of a stream that never ends.
    struct Endless<'a> {
        bytes: &'a [u8],
        taken: usize,
    }

    impl tokio::io::AsyncRead for Endless<'_> {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            buffer: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            let at = self.taken % self.bytes.len();
            let count = buffer.remaining().min(self.bytes.len() - at);
            buffer.put_slice(&self.bytes[at..at + count]);
            self.taken += count;
            std::task::Poll::Ready(Ok(()))
        }
    }

    fn block_on<T>(work: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.expect("a runtime").block_on(work)
    }

    proptest! {
        #[test]
        fn bytes_of_any_content_are_read_without_a_panic(bytes in vec(any::<u8>(), 0..300), cut in 0_usize..60) {
            let mut line = bytes;
            line.push(b'\n');
            let good = b"{\"ask\":\"backend\",\"pid\":1234}\n";
            let mixed = [&good[..cut.min(good.len())], &line, good].concat();
            for text in [&line[..], &mixed, &good[..cut.min(good.len())]] {
                let _ = block_on(read::<Request, _>(text));
                let _ = block_on(read::<Reply, _>(text));
            }
        }

        #[test]
        fn stream_without_end_is_read_up_to_the_bound(bytes in vec(any::<u8>().prop_filter("a line's end", |byte| *byte != b'\n'), 1..50)) {
            let mut stream = Endless { bytes: &bytes, taken: 0 };
            prop_assert!(block_on(read::<Request, _>(&mut stream)).is_err());
            prop_assert!(stream.taken <= MAX_LINE_BYTES, "{}", stream.taken);
        }

        #[test]
        fn request_of_any_number_comes_back_as_it_was(pid in any::<u32>()) {
            for request in [Request::Describe, Request::Own, Request::Backend { pid }] {
                let line = to_line(&request).expect("rendered");
                prop_assert_eq!(block_on(read::<Request, _>(&line[..])).ok(), Some(request));
            }
        }
    }
}
