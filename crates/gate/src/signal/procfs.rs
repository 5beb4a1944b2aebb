//! The kernel's text files: kept open, read again from the start, parsed by pure functions.
//!
//! An open file of a process belongs to that process only. After the process has ended, reading fails, even if its id
//! was reused. An open file therefore also proves that the process is alive.
//!
//! The `procfs` crate is not used: it opens a file for each reading and allocates for every line, ten times a second, and a
//! field that the gate does not need fails the whole file if the kernel lacks it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Maximum size of a file.
const MAX_BYTES: usize = 4 << 20;

/// A file that is kept open and read repeatedly.
#[derive(Debug)]
pub struct ProcFile {
    path: String,
    file: File,
    buffer: Vec<u8>,
}

impl ProcFile {
    /// Opens the file.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn open(path: impl Into<String>) -> io::Result<Self> {
        let path = path.into();
        let file = File::open(&path)?;
        Ok(Self {
            path,
            file,
            buffer: vec![0; 1024],
        })
    }

    /// Reads the current text from the start.
    ///
    /// # Errors
    /// If the file cannot be read, for example because its process has ended; contains the path.
    pub fn text(&mut self) -> Result<&str, super::SignalError> {
        let failed = |path: &str, what: String| super::SignalError(format!("{path}: {what}"));
        let mut length = 0;
        loop {
            if length == self.buffer.len() {
                if length >= MAX_BYTES {
                    return Err(failed(&self.path, "file is longer than 4 MiB".to_owned()));
                }
                self.buffer.resize(length * 2, 0);
            }
            let Some(rest) = self.buffer.get_mut(length..) else {
                break;
            };
            let offset = u64::try_from(length).unwrap_or(u64::MAX);
            match self.file.read_at(rest, offset) {
                Ok(0) => break,
                Ok(read) => length += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(&self.path, error.to_string())),
            }
        }
        std::str::from_utf8(self.buffer.get(..length).unwrap_or_default())
            .map_err(|error| failed(&self.path, error.to_string()))
    }
}

/// Fields of a process's `stat`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// The name of its program, at most 15 bytes.
    pub name: String,
    /// The id of the parent process.
    pub parent: u32,
    /// The start time, in clock ticks since boot.
    pub started: u64,
}

/// PURE: parses `/proc/PID/stat`. The name may contain blanks and parentheses.
#[must_use]
pub fn stat(text: &str) -> Option<Stat> {
    let (head, rest) = text.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let mut fields = rest.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let started = fields.nth(17)?.parse().ok()?;
    Some(Stat {
        name: name.to_owned(),
        parent,
        started,
    })
}

/// Fields of a task's `schedstat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SchedStat {
    /// Time on a processor, in nanoseconds.
    pub run: u64,
    /// Time runnable and waiting, in nanoseconds.
    pub wait: u64,
    /// Number of time slices.
    pub slices: u64,
}

/// PURE: parses `/proc/PID/schedstat`.
#[must_use]
pub fn schedstat(text: &str) -> Option<SchedStat> {
    let mut fields = text.split_ascii_whitespace().map(str::parse);
    let mut next = || fields.next()?.ok();
    let (run, wait, slices) = (next()?, next()?, next()?);
    Some(SchedStat { run, wait, slices })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_parsed_with_any_process_name() {
        let text = "71 (po) st (x) S 42 71 71 0 -1 4194560 300 0 0 0 12 34 0 0 20 0 1 0 8812 1 2 3";
        let wanted = Stat {
            name: "po) st (x".to_owned(),
            parent: 42,
            started: 8812,
        };
        assert_eq!(stat(text), Some(wanted));
        assert_eq!(stat("71 (postgres) S 42 71"), None);
        assert_eq!(stat(""), None);
    }

    /// Trap: a probe error read as "not loaded".
    #[test]
    fn schedstat_partial_text_is_refused() {
        let wanted = SchedStat {
            run: 609_582,
            wait: 2_041_032,
            slices: 9,
        };
        assert_eq!(schedstat("609582 2041032 9\n"), Some(wanted));
        for text in ["", "1 2", "1 x 3", "-1 2 3"] {
            assert_eq!(schedstat(text), None, "{text}");
        }
    }

    #[test]
    fn file_of_an_ended_process_cannot_be_read() -> io::Result<()> {
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .spawn()?;
        let mut file = ProcFile::open(format!("/proc/{}/schedstat", child.id()))?;
        let alive = file.text().is_ok();
        child.kill()?;
        child.wait()?;
        assert!(alive && file.text().is_err());
        Ok(())
    }
}
