//! The exit codes, which are those of `slacktide`.

use std::process::ExitCode;

/// How the helper ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It was stopped by a signal.
    Done,
    /// The command line or the configuration is wrong, or the kernel does not support the helper. Nothing was touched.
    Usage,
    /// A permission is missing.
    Denied,
    /// A second signal ended it before it had stopped in order.
    Unfinished,
    /// Another helper listens at the socket.
    InUse,
    /// Internal error.
    Internal,
}

impl Exit {
    /// Returns the code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Usage => 2,
            Self::Denied => 3,
            Self::Unfinished => 9,
            Self::InUse => 12,
            Self::Internal => 70,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
