//! What can go wrong at the exchange.

use std::fmt;

/// An error with its kind, what was tried, and the remedy.
#[derive(Debug, Clone)]
pub struct Error {
    /// What class of error it is; decides retry, pause or stop.
    pub kind: ErrorKind,
    /// What was tried, and what came back.
    pub what: String,
}

/// The result of a verb.
pub type Result<T> = std::result::Result<T, Error>;

/// Classes of errors, each with one way to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// No connection, or it broke before the request was sent. Nothing happened. Retry with back-off.
    Unreachable,
    /// The request was sent and no answer came. It may have happened. Read, then decide.
    Unknown,
    /// The credential was refused. Stop: only an operator can help.
    Unauthenticated,
    /// A certificate of one of the sides is not taken by the other. Stop: only an operator can help.
    Certificate,
    /// The credential may not do this. Stop: only an operator can help.
    Denied,
    /// The stream is full and refuses. Wait; tell the operator.
    Full,
    /// The exchange itself has no room: its disk, or what it may use of it. Wait; tell the operator.
    NoRoom,
    /// The message is larger than the exchange takes.
    TooLarge,
    /// A stream, consumer or setting is missing or differs. Stop: run `exchange apply`.
    Topology,
    /// The exchange answered something that no rule of ours foresees.
    Protocol,
}

impl ErrorKind {
    /// Whether trying again later can help without an operator.
    #[must_use]
    pub fn passes(self) -> bool {
        matches!(
            self,
            Self::Unreachable | Self::Unknown | Self::Full | Self::NoRoom
        )
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Unreachable => {
                "check the exchange's address and that it runs; the agent goes on by itself once it answers"
            }
            Self::Unknown => "nothing to do: the agent reads back what was stored and goes on",
            Self::Unauthenticated => {
                "compare the public key of the connection seed with the exchange's account file"
            }
            Self::Certificate => "`slacktide doctor` tells names and dates of the certificates",
            Self::Denied => {
                "grant this subject to the credential in the exchange's account file, or use the right credential"
            }
            Self::Full => "raise max_bytes of the stream or retire settled chunks; nothing is lost meanwhile",
            Self::NoRoom => {
                "make room on the exchange's disk, or raise max_file_store in its server.conf and restart it; a larger \
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
    /// An error of this kind.
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
