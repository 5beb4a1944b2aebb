//! How a process ends, for scripts and supervisors: a code per class of ending.

use std::fmt;
use std::process::ExitCode;

/// How a process ended. A supervisor restarts on 4, 5, 6, 12 and 70, and asks a person about the
/// others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exit {
    /// The work is done, or a stop was asked for and obeyed.
    Done,
    /// The command line or the configuration is wrong. Nothing was touched.
    Usage,
    /// A credential is wrong, or permission was denied.
    Denied,
    /// The system of record could not be used.
    Source,
    /// The exchange could not be used.
    Exchange,
    /// The store could not be used.
    Store,
    /// The evidence does not hold: a signature, a link, a total, a fork, or core and store differ.
    Evidence,
    /// The host was too busy to ever be idle, so nothing was moved.
    TooBusy,
    /// Stopped before the work was finished, or parts did not stop within their grace.
    Unfinished,
    /// A request has an outcome without an answer: refused, expired, cancelled or failed.
    NoAnswer,
    /// The request has its outcome already, so nothing was changed.
    TooLate,
    /// Something of this host is used by another process, such as the port of the status page.
    InUse,
    /// Internal error.
    Internal,
}

impl Exit {
    /// All of them, for the documentation.
    pub const ALL: [Self; 13] = [
        Self::Done,
        Self::Usage,
        Self::Denied,
        Self::Source,
        Self::Exchange,
        Self::Store,
        Self::Evidence,
        Self::TooBusy,
        Self::Unfinished,
        Self::NoAnswer,
        Self::TooLate,
        Self::InUse,
        Self::Internal,
    ];

    /// The code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Usage => 2,
            Self::Denied => 3,
            Self::Source => 4,
            Self::Exchange => 5,
            Self::Store => 6,
            Self::Evidence => 7,
            Self::TooBusy => 8,
            Self::Unfinished => 9,
            Self::NoAnswer => 10,
            Self::TooLate => 11,
            Self::InUse => 12,
            Self::Internal => 70,
        }
    }

    /// What it means, in a sentence.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done, or stopped by a signal",
            Self::Usage => "the command line or the configuration is wrong; nothing was touched",
            Self::Denied => "a credential is wrong, or permission was denied",
            Self::Source => "the system of record could not be used",
            Self::Exchange => "the exchange could not be used",
            Self::Store => "the store could not be used",
            Self::Evidence => {
                "the evidence is not valid: signature, link, total, fork, or core and store differ"
            }
            Self::TooBusy => "the host was too busy to ever be idle; nothing was moved",
            Self::Unfinished => "stopped before the work was finished, or the shutdown timed out",
            Self::NoAnswer => "the request was not answered: refused, expired, cancelled or failed",
            Self::TooLate => "the request has its outcome already; nothing was changed",
            Self::InUse => "a port of this host is used by another process; it may be free at the next try",
            Self::Internal => "internal error; please report it",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.meaning())
    }
}

/// The table for the documentation and `--help`: a line per code.
#[must_use]
pub fn table() -> String {
    Exit::ALL
        .iter()
        .map(|exit| format!("{:>3}  {}\n", exit.code(), exit.meaning()))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn exit_codes_are_unique_and_not_reserved() {
        let codes: BTreeSet<_> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        assert_eq!(codes.len(), Exit::ALL.len());
        // 1 is what a panic hook or a shell gives, 101 a panic, 126 and up belong to the shell.
        assert!(codes.iter().all(|code| ![1, 101].contains(code) && *code < 126));
        assert_eq!(table().lines().count(), Exit::ALL.len());
    }
}
