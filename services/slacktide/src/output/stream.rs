//! The two streams of the process, and what happens when one of them cannot be written.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use runtime::exit::Exit;

use crate::failure::Failure;

/// One of the two streams of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Out,
    Error,
}

/// What became of the output so far.
#[derive(Debug, Default)]
struct Written {
    /// Whether the reader of the output closed it.
    is_closed: bool,
    /// The first error of a write, except for a closed pipe.
    error: Option<String>,
}

impl Written {
    /// Writes all bytes, unless the reader is gone or an earlier write failed.
    fn write(&mut self, out: &mut dyn Write, bytes: &[u8]) {
        if self.is_closed || self.error.is_some() {
            return;
        }
        match out.write_all(bytes).and_then(|()| out.flush()) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::BrokenPipe => self.is_closed = true,
            Err(error) => self.error = Some(error.to_string()),
        }
    }

    fn has_ended(&self) -> bool {
        self.is_closed || self.error.is_some()
    }
}

/// What became of standard output. A command writes from several places, and reports an error once, at its end.
static WRITTEN: Mutex<Written> = Mutex::new(Written {
    is_closed: false,
    error: None,
});

#[expect(clippy::disallowed_methods, reason = "the one place that writes to them")]
impl Stream {
    /// Writes bytes. A closed pipe drops them; another error of standard output is kept for [`finish`].
    pub(super) fn write(self, bytes: &[u8]) {
        match self {
            Self::Out => {
                let mut written = WRITTEN.lock().unwrap_or_else(PoisonError::into_inner);
                written.write(&mut io::stdout().lock(), bytes);
            }
            // A failure to report a failure cannot be reported.
            Self::Error => drop(io::stderr().lock().write_all(bytes)),
        }
    }

    pub(super) fn is_terminal(self) -> bool {
        match self {
            Self::Out => io::stdout().is_terminal(),
            Self::Error => io::stderr().is_terminal(),
        }
    }
}

impl Stream {
    /// Returns whether colours are shown: on a terminal, unless the environment sets `NO_COLOR`.
    pub(super) fn is_coloured(self) -> bool {
        self.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
    }

    /// Returns whether the cursor can be moved.
    pub(super) fn is_redrawable(self) -> bool {
        self.is_terminal() && std::env::var_os("TERM").is_some_and(|term| term != "dumb")
    }
}

/// Returns whether standard output takes no more: its reader closed it, or a write failed. A command that runs until it is
/// stopped ends then.
pub(crate) fn is_closed() -> bool {
    WRITTEN.lock().unwrap_or_else(PoisonError::into_inner).has_ended()
}

/// Returns the error of standard output, at the end of a command.
///
/// # Errors
/// A write failed, for example because a disk is full. A closed pipe is not an error.
pub(crate) fn finish() -> Result<(), Failure> {
    let written = WRITTEN.lock().unwrap_or_else(PoisonError::into_inner);
    written.error.as_ref().map_or(Ok(()), |error| {
        let what = format!("cannot write the result to standard output: {error}; it is not complete");
        Err(Failure::new(Exit::Unfinished, what))
    })
}

/// Returns whether standard output is a terminal.
pub(crate) fn is_terminal() -> bool {
    Stream::Out.is_terminal()
}

/// The width of a terminal that does not report one.
const DEFAULT_WIDTH: usize = 80;

/// Returns the columns of the output: those that `COLUMNS` gives, else those of the terminal, else `None`.
pub(super) fn width() -> Option<usize> {
    let from_environment = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    from_environment.filter(|columns| *columns > 0).or_else(|| {
        is_terminal().then(|| {
            terminal_size::terminal_size().map_or(DEFAULT_WIDTH, |(width, _)| usize::from(width.0).max(1))
        })
    })
}

/// Returns the rows of the terminal.
pub(super) fn height() -> usize {
    terminal_size::terminal_size().map_or(24, |(_, height)| usize::from(height.0).max(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A writer that fails after some bytes.
    struct Failing(usize, ErrorKind);

    impl Write for Failing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(self.1.into());
            }
            let taken = bytes.len().min(self.0);
            self.0 -= taken;
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn stream_closed_pipe_drops_the_rest_silently() {
        let (mut written, mut out) = (Written::default(), Failing(5, ErrorKind::BrokenPipe));
        written.write(&mut out, b"one\n");
        assert!(!written.has_ended());
        written.write(&mut out, b"two\n");
        assert!(written.has_ended() && written.error.is_none());
        // Nothing is written again, even if the writer would take it.
        out.0 = 10;
        written.write(&mut out, b"three\n");
        assert_eq!(out.0, 10);
    }

    #[test]
    fn stream_full_disk_is_kept_as_an_error() {
        let (mut written, mut out) = (Written::default(), Failing(0, ErrorKind::StorageFull));
        written.write(&mut out, b"one\n");
        assert!(written.has_ended() && !written.is_closed);
        assert!(written.error.is_some());
    }
}
