//! Errors of the exchange.

use std::fmt;

/// An error with its kind, its cause and the remedy.
#[derive(Debug, Clone)]
pub struct Error {
    /// The kind; decides between retry, pause and stop.
    pub kind: ErrorKind,
    /// The operation and its result.
    pub what: String,
}

/// The result of an operation.
pub type Result<T> = std::result::Result<T, Error>;

/// Kinds of errors, each with one reaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// No connection, or it was lost before the request was sent. Nothing was stored. Retry with back-off.
    Unreachable,
    /// No server of a cluster leads the stream now, or another message of the subject is undecided. Nothing was stored. Retry within
    /// seconds.
    NoLeader,
    /// A server answered that lacks the newest messages. Nothing can be concluded from its answer. Read again.
    Lagging,
    /// The request was sent and no answer was received. The message may be stored. Read, then decide.
    Unknown,
    /// The credential was refused. Stop: requires an operator.
    Unauthenticated,
    /// One side does not accept the other's certificate. Stop: requires an operator.
    Certificate,
    /// The credential lacks the permission. Stop: requires an operator.
    Denied,
    /// The stream is full. Wait and report it to the operator.
    Full,
    /// The exchange has no storage left: its disk or its storage limit. Wait and report it to the operator.
    NoRoom,
    /// The message is larger than the exchange accepts.
    TooLarge,
    /// A stream, consumer or setting is missing or differs. Stop: run `exchange apply`.
    Topology,
    /// Unexpected answer of the exchange.
    Protocol,
}

impl ErrorKind {
    /// Returns whether a later retry can succeed without an operator.
    #[must_use]
    pub fn is_transient(self) -> bool {
        matches!(
            self,
            Self::Unreachable | Self::NoLeader | Self::Lagging | Self::Unknown | Self::Full | Self::NoRoom
        )
    }

    /// Returns the remedy.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Unreachable => {
                "check the exchange's address and that it is running; the agent continues automatically once it is reachable"
            }
            Self::NoLeader => {
                "wait while the exchange's servers elect a leader; if it lasts, check that more than half of them run and reach \
                 each other"
            }
            Self::Lagging => {
                "wait until the server has caught up; if it lasts, check with `slacktide exchange status` which server lags"
            }
            Self::Unknown => "nothing to do: the agent reads the stored message back and continues",
            Self::Unauthenticated => {
                "compare the public key of the connection seed with the exchange's account file, or the token or client \
                 certificate with the gateway's parties"
            }
            Self::Certificate => "run `slacktide doctor` to show names and dates of the certificates",
            Self::Denied => {
                "grant this subject to the credential in the exchange's account file, or use the right credential"
            }
            Self::Full => "raise max_bytes of the stream or retire settled chunks; nothing is lost meanwhile",
            Self::NoRoom => {
                "free space on the exchange's disk, or raise max_file_store in its server.conf and restart it; a larger \
                 max_bytes does not help"
            }
            Self::TooLarge => {
                "shorten it; max_msg_size of the stream and max_payload of the exchange are the limits"
            }
            Self::Topology => "run `slacktide exchange apply` with the administrator's credential",
            Self::Protocol => "compare the versions of agent and exchange; report it with the text above",
        }
    }
}

impl Error {
    /// Creates an error of this kind.
    pub fn new(kind: ErrorKind, what: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.kind.remedy())
    }
}

impl std::error::Error for Error {}
