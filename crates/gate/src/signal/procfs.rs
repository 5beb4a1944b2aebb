//! The kernel's text files: held open, read again from the start, parsed by pure functions.
//!
//! A file of a process that is held open belongs to that process alone: once it has ended the
//! reading fails, even when its id was given to another. So a held file is also the proof of life.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// No file that is read here is longer.
const MOST: usize = 4 << 20;

/// A file that is held open and read again and again.
#[derive(Debug)]
pub struct Held {
    path: String,
    file: File,
    buffer: Vec<u8>,
}

impl Held {
    /// Opens it.
    ///
    /// # Errors
    /// As opening files fails.
    pub fn open(path: impl Into<String>) -> io::Result<Self> {
        let path = path.into();
        let file = File::open(&path)?;
        Ok(Self {
            path,
            file,
            buffer: vec![0; 1024],
        })
    }

    /// Its text now, from the start.
    ///
    /// # Errors
    /// When it cannot be read, for example because its process has ended; names the path.
    pub fn text(&mut self) -> Result<&str, super::SignalError> {
        let failed = |path: &str, what: String| super::SignalError(format!("{path}: {what}"));
        let mut length = 0;
        loop {
            if length == self.buffer.len() {
                if length >= MOST {
                    return Err(failed(&self.path, "longer than any such file is".to_owned()));
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

/// What a process's `stat` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// The name of its program, at most 15 bytes.
    pub name: String,
    /// The process that started it.
    pub parent: u32,
    /// When it started, in ticks since the system did.
    pub started: u64,
}

/// PURE: parses `/proc/PID/stat`. The name may hold blanks and parentheses.
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

/// What a task's `schedstat` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SchedStat {
    /// Time on a processor, in nanoseconds.
    pub run: u64,
    /// Time that it could have run and waited, in nanoseconds.
    pub wait: u64,
    /// Times that it was put on a processor.
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
    fn a_recorded_stat_is_read_whatever_the_name_holds() {
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
    fn a_partial_schedstat_is_no_reading() {
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
    fn the_held_file_of_a_process_that_ended_cannot_be_read() -> io::Result<()> {
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .spawn()?;
        let mut held = Held::open(format!("/proc/{}/schedstat", child.id()))?;
        let alive = held.text().is_ok();
        child.kill()?;
        child.wait()?;
        assert!(alive && held.text().is_err());
        Ok(())
    }
}
