//! The messages on the helper's socket: one JSON line each way, one request per connection.

use std::io::{self, Read};
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::cgroup::Level;

/// Maximum length of a line, with its line feed.
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

/// Why no message was read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The stream failed.
    #[error("the connection failed: {0}")]
    Stream(io::Error),
    /// The stream ended before the line did, or the line is too long.
    #[error("the line is truncated or longer than {MAX_LINE_BYTES} bytes")]
    Line,
    /// The line is not a message.
    #[error("the line is not a message: {0}")]
    Json(serde_json::Error),
}

/// Collects the bytes of one line from a stream.
#[derive(Debug, Default)]
pub struct LineReader {
    bytes: Vec<u8>,
}

impl LineReader {
    /// Reads until the line is complete, and returns its message. Returns `None` if a stream that does not block has no
    /// more bytes for now; call it again later.
    ///
    /// # Errors
    /// If the line is longer than [`MAX_LINE_BYTES`], truncated, or invalid, or the stream fails.
    pub fn read<T: DeserializeOwned>(&mut self, mut stream: impl Read) -> Result<Option<T>, ReadError> {
        let mut chunk = [0; 512];
        loop {
            if self.bytes.contains(&b'\n') {
                return from_line(&self.bytes).map(Some);
            }
            let space = chunk.len().min(MAX_LINE_BYTES - self.bytes.len());
            if space == 0 {
                return Err(ReadError::Line);
            }
            match stream.read(&mut chunk[..space]) {
                Ok(0) => return Err(ReadError::Line),
                Ok(count) => self.bytes.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(ReadError::Stream(error)),
            }
        }
    }
}

/// PURE. Parses the message of the first line; what follows it is ignored.
///
/// # Errors
/// If the line has no end, or is not a message.
pub fn from_line<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ReadError> {
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let line = end.and_then(|end| bytes.get(..end)).ok_or(ReadError::Line)?;
    serde_json::from_slice(line).map_err(ReadError::Json)
}

/// PURE. Renders one line of JSON.
///
/// # Errors
/// Never for the messages of this module.
pub fn to_line<T: Serialize>(value: &T) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn read<T: DeserializeOwned>(stream: impl Read) -> Option<T> {
        LineReader::default().read(stream).ok().flatten()
    }

    #[test]
    fn line_is_parsed_and_garbage_is_an_error() {
        let good = br#"{"ask":"backend","pid":7}
"#;
        assert_eq!(read::<Request>(&good[..]), Some(Request::Backend { pid: 7 }));
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
            let refused = LineReader::default().read::<Request>(bad);
            assert!(refused.is_err(), "{}", String::from_utf8_lossy(bad));
            assert!(from_line::<Request>(bad).is_err());
        }
    }

    #[test]
    fn reply_round_trips_through_json() {
        let reply = Reply::Done(GroupLocation {
            controller: "cpu".to_owned(),
            path: "/slacktide-idle".to_owned(),
            idle_file: "/g/cpu.idle".into(),
            level: Level::Lowest {
                why: "old".to_owned(),
            },
        });
        let bytes = to_line(&reply).expect("rendered");
        assert_eq!(read::<Reply>(&bytes[..]), Some(reply));
    }

    /// A stream that has its parts one after the other, and would block before each.
    struct Slow<'a> {
        parts: Vec<&'a [u8]>,
        is_ready: bool,
    }

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.is_ready = !self.is_ready;
            if self.is_ready {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let part = if self.parts.is_empty() {
                &[]
            } else {
                self.parts.remove(0)
            };
            buffer[..part.len()].copy_from_slice(part);
            Ok(part.len())
        }
    }

    #[test]
    fn line_in_parts_is_read_when_it_is_complete() {
        let mut stream = Slow {
            parts: vec![b"{\"ask\":", b"\"own\"", b"}\nrest"],
            is_ready: false,
        };
        let mut reader = LineReader::default();
        for _ in 0..3 {
            assert_eq!(reader.read::<Request>(&mut stream).expect("not yet"), None);
        }
        assert_eq!(
            reader.read::<Request>(&mut stream).expect("complete"),
            Some(Request::Own)
        );
    }

    /// Counts what is taken of a stream that never ends.
    struct Endless<'a> {
        bytes: &'a [u8],
        taken: usize,
    }

    impl Read for Endless<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let at = self.taken % self.bytes.len();
            let count = buffer.len().min(self.bytes.len() - at);
            buffer[..count].copy_from_slice(&self.bytes[at..at + count]);
            self.taken += count;
            Ok(count)
        }
    }

    proptest! {
        #[test]
        fn bytes_of_any_content_are_read_without_a_panic(bytes in vec(any::<u8>(), 0..300), cut in 0_usize..60) {
            let mut line = bytes;
            line.push(b'\n');
            let good = b"{\"ask\":\"backend\",\"pid\":1234}\n";
            let mixed = [&good[..cut.min(good.len())], &line, good].concat();
            for text in [&line[..], &mixed, &good[..cut.min(good.len())]] {
                let _ = read::<Request>(text);
                let _ = read::<Reply>(text);
            }
        }

        #[test]
        fn stream_without_end_is_read_up_to_the_bound(bytes in vec(any::<u8>().prop_filter("a line's end", |byte| *byte != b'\n'), 1..50)) {
            let mut stream = Endless { bytes: &bytes, taken: 0 };
            prop_assert!(LineReader::default().read::<Request>(&mut stream).is_err());
            prop_assert!(stream.taken <= MAX_LINE_BYTES, "{}", stream.taken);
        }

        #[test]
        fn request_of_any_number_comes_back_as_it_was(pid in any::<u32>()) {
            for request in [Request::Describe, Request::Own, Request::Backend { pid }] {
                let line = to_line(&request).expect("rendered");
                prop_assert_eq!(read::<Request>(&line[..]), Some(request));
            }
        }
    }
}
