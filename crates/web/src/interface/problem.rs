//! Errors as RFC 9457 problem details.

use exchange::ErrorKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What every stable `type` begins with.
pub const TYPE_PREFIX: &str = "urn:slacktide:problem:";

/// The kinds of problems. Names, statuses and types are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProblemKind {
    /// The request is malformed.
    BadRequest,
    /// No valid certificate or token.
    Unauthenticated,
    /// The caller may not do this.
    Denied,
    /// No such resource.
    NotFound,
    /// The resource does not have this method.
    MethodNotAllowed,
    /// No representation that the caller accepts.
    NotAcceptable,
    /// The caller was too slow.
    RequestTimeout,
    /// The resource has another content already.
    Conflict,
    /// The cursor is of another history, or its chunk was removed.
    CursorGone,
    /// Another writer was first.
    PreconditionFailed,
    /// The message is too large.
    TooLarge,
    /// A body of another media type is needed.
    UnsupportedMediaType,
    /// The body contradicts the headers or is not the message that this resource takes.
    InvalidMessage,
    /// A condition (If-Match or If-None-Match) is needed.
    PreconditionRequired,
    /// Too many requests of this party.
    RateLimited,
    /// An error of the gateway.
    Internal,
    /// The exchange refuses the credential that the gateway has for this party.
    ExchangeCredential,
    /// Gateway and exchange do not accept each other's certificate.
    ExchangeCertificate,
    /// A stream or consumer of the exchange is missing or differs.
    ExchangeTopology,
    /// An unexpected answer of the exchange.
    ExchangeProtocol,
    /// The exchange is not reachable; nothing was stored.
    ExchangeUnreachable,
    /// No server of the exchange leads the stream now; nothing was stored.
    ExchangeNoLeader,
    /// The server of the exchange that answered lacks the newest messages.
    ExchangeLagging,
    /// The exchange did not answer in time; the message may be stored.
    ExchangeTimeout,
    /// The stream is full.
    StreamFull,
    /// The exchange has no storage left.
    StorageFull,
    /// The gateway is stopping or has no capacity now.
    Unavailable,
}

/// A problem as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// The stable type: `urn:slacktide:problem:…`.
    #[serde(rename = "type")]
    pub type_uri: String,
    /// A short text, the same for each problem of this type.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What failed this time.
    pub detail: String,
    /// What to do.
    pub remedy: String,
    /// The id of the HTTP request, as in the gateway's log.
    pub request_id: String,
}

/// One row of the table below: kind, name, status, title, remedy.
type Entry = (ProblemKind, &'static str, u16, &'static str, &'static str);

/// Every kind of problem.
const TABLE: &[Entry] = &[
    (
        ProblemKind::BadRequest,
        "bad-request",
        400,
        "The request is malformed",
        "correct the request; the parameters are described at /docs",
    ),
    (
        ProblemKind::Unauthenticated,
        "unauthenticated",
        401,
        "No valid certificate or token",
        "present the party's client certificate, or a token of `slacktide gateway token new` that has not expired",
    ),
    (
        ProblemKind::Denied,
        "denied",
        403,
        "The caller may not do this",
        "use the credential of the party that may",
    ),
    (
        ProblemKind::NotFound,
        "not-found",
        404,
        "No such resource",
        "compare the path with /docs",
    ),
    (
        ProblemKind::MethodNotAllowed,
        "method-not-allowed",
        405,
        "The resource does not have this method",
        "use a method of the Allow header",
    ),
    (
        ProblemKind::NotAcceptable,
        "not-acceptable",
        406,
        "No representation that the caller accepts",
        "ask for a media type that the detail names",
    ),
    (
        ProblemKind::RequestTimeout,
        "request-timeout",
        408,
        "The request did not arrive in time",
        "send it again over a faster connection or in smaller messages",
    ),
    (
        ProblemKind::Conflict,
        "conflict",
        409,
        "Another message is stored there",
        "read the stored message; a resource of this kind accepts one message only",
    ),
    (
        ProblemKind::CursorGone,
        "cursor-gone",
        410,
        "The cursor is not of this history",
        "start again without `after`, or ask the bureau whether the exchange was restored",
    ),
    (
        ProblemKind::PreconditionFailed,
        "precondition-failed",
        412,
        "Another writer was first",
        "read the resource and decide again with its current ETag",
    ),
    (
        ProblemKind::TooLarge,
        "too-large",
        413,
        "The message is too large",
        "send a smaller message; the limit is in the detail",
    ),
    (
        ProblemKind::UnsupportedMediaType,
        "unsupported-media-type",
        415,
        "The body has another media type",
        "send the media type that the detail names",
    ),
    (
        ProblemKind::InvalidMessage,
        "invalid-message",
        422,
        "The body is not the message of this resource",
        "send a signed message of the kind that the detail names",
    ),
    (
        ProblemKind::PreconditionRequired,
        "precondition-required",
        428,
        "A condition is missing",
        "send If-Match with the ETag of the last read (\"0\" if empty), or If-None-Match: * where one message is accepted",
    ),
    (
        ProblemKind::RateLimited,
        "rate-limited",
        429,
        "Too many requests",
        "wait as long as Retry-After states",
    ),
    (
        ProblemKind::Internal,
        "internal",
        500,
        "An error of the gateway",
        "report it with the request id",
    ),
    (
        ProblemKind::ExchangeCredential,
        "exchange-credential",
        502,
        "The exchange refuses the party's credential",
        "the gateway's operator compares the party's connection key with the exchange's account file",
    ),
    (
        ProblemKind::ExchangeCertificate,
        "exchange-certificate",
        502,
        "Gateway and exchange do not accept each other's certificate",
        "the gateway's operator checks names and dates of the certificates",
    ),
    (
        ProblemKind::ExchangeTopology,
        "exchange-topology",
        502,
        "A stream or consumer of the exchange is missing or differs",
        "the exchange's operator runs `slacktide exchange apply`",
    ),
    (
        ProblemKind::ExchangeProtocol,
        "exchange-protocol",
        502,
        "An unexpected answer of the exchange",
        "compare the versions of gateway and exchange",
    ),
    (
        ProblemKind::ExchangeUnreachable,
        "exchange-unreachable",
        503,
        "The exchange is not reachable",
        "send the request again after Retry-After; nothing was stored",
    ),
    (
        ProblemKind::ExchangeNoLeader,
        "exchange-no-leader",
        503,
        "No server of the exchange leads the stream now",
        "send the request again after Retry-After; nothing was stored",
    ),
    (
        ProblemKind::ExchangeLagging,
        "exchange-lagging",
        503,
        "The server of the exchange that answered lacks the newest messages",
        "send the request again after Retry-After",
    ),
    (
        ProblemKind::Unavailable,
        "unavailable",
        503,
        "The gateway is stopping or busy",
        "send the request again after Retry-After; nothing was stored",
    ),
    (
        ProblemKind::ExchangeTimeout,
        "exchange-timeout",
        504,
        "The exchange did not answer in time",
        "read the resource first: the message may be stored",
    ),
    (
        ProblemKind::StreamFull,
        "stream-full",
        507,
        "The stream is full",
        "the exchange's operator raises max_bytes of the stream; send the message again later",
    ),
    (
        ProblemKind::StorageFull,
        "storage-full",
        507,
        "The exchange has no storage left",
        "the exchange's operator frees space; send the message again later",
    ),
];

impl ProblemKind {
    /// Returns all kinds, by status.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|entry| entry.0)
    }

    fn entry(self) -> &'static Entry {
        // The test below proves that each kind has its row.
        TABLE.iter().find(|entry| entry.0 == self).unwrap_or(&TABLE[0])
    }

    /// Returns the last token of its type.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.entry().1
    }

    /// Returns its stable type.
    #[must_use]
    pub fn type_uri(self) -> String {
        format!("{TYPE_PREFIX}{}", self.name())
    }

    /// Returns its HTTP status.
    #[must_use]
    pub fn status(self) -> u16 {
        self.entry().2
    }

    /// Returns its title.
    #[must_use]
    pub fn title(self) -> &'static str {
        self.entry().3
    }

    /// Returns its remedy.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        self.entry().4
    }

    /// Returns the kind of a type.
    #[must_use]
    pub fn from_type(type_uri: &str) -> Option<Self> {
        let name = type_uri.strip_prefix(TYPE_PREFIX)?;
        TABLE.iter().find(|entry| entry.1 == name).map(|entry| entry.0)
    }

    /// Returns after how many seconds to send the request again, for 429, 503 and 507.
    #[must_use]
    pub fn retry_after(self) -> Option<u32> {
        match self {
            Self::RateLimited
            | Self::ExchangeUnreachable
            | Self::ExchangeNoLeader
            | Self::ExchangeLagging
            | Self::Unavailable => Some(1),
            Self::StreamFull | Self::StorageFull => Some(30),
            _ => None,
        }
    }

    /// Makes the problem.
    #[must_use]
    pub fn problem(self, detail: impl Into<String>, request_id: impl Into<String>) -> Problem {
        Problem {
            type_uri: self.type_uri(),
            title: self.title().to_owned(),
            status: self.status(),
            detail: detail.into(),
            remedy: self.remedy().to_owned(),
            request_id: request_id.into(),
        }
    }
}

impl From<ErrorKind> for ProblemKind {
    /// As the gateway answers an error of the exchange.
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Unreachable => Self::ExchangeUnreachable,
            ErrorKind::NoLeader => Self::ExchangeNoLeader,
            ErrorKind::Lagging => Self::ExchangeLagging,
            ErrorKind::Unknown => Self::ExchangeTimeout,
            ErrorKind::Unauthenticated => Self::ExchangeCredential,
            ErrorKind::Certificate => Self::ExchangeCertificate,
            ErrorKind::Denied => Self::Denied,
            ErrorKind::Full => Self::StreamFull,
            ErrorKind::NoRoom => Self::StorageFull,
            ErrorKind::TooLarge => Self::TooLarge,
            ErrorKind::Topology => Self::ExchangeTopology,
            ErrorKind::Protocol => Self::ExchangeProtocol,
        }
    }
}

impl From<ProblemKind> for ErrorKind {
    /// As the client reports a problem of the gateway.
    fn from(kind: ProblemKind) -> Self {
        match kind {
            ProblemKind::Unauthenticated | ProblemKind::ExchangeCredential => Self::Unauthenticated,
            ProblemKind::ExchangeCertificate => Self::Certificate,
            ProblemKind::Denied => Self::Denied,
            ProblemKind::StreamFull => Self::Full,
            ProblemKind::StorageFull => Self::NoRoom,
            ProblemKind::TooLarge => Self::TooLarge,
            ProblemKind::ExchangeTopology => Self::Topology,
            ProblemKind::ExchangeNoLeader => Self::NoLeader,
            ProblemKind::ExchangeLagging => Self::Lagging,
            ProblemKind::ExchangeUnreachable
            | ProblemKind::RateLimited
            | ProblemKind::Unavailable
            | ProblemKind::RequestTimeout => Self::Unreachable,
            // The gateway may have sent it on before it failed.
            ProblemKind::ExchangeTimeout | ProblemKind::Internal => Self::Unknown,
            ProblemKind::BadRequest
            | ProblemKind::NotFound
            | ProblemKind::MethodNotAllowed
            | ProblemKind::NotAcceptable
            | ProblemKind::Conflict
            | ProblemKind::CursorGone
            | ProblemKind::PreconditionFailed
            | ProblemKind::UnsupportedMediaType
            | ProblemKind::InvalidMessage
            | ProblemKind::PreconditionRequired
            | ProblemKind::ExchangeProtocol => Self::Protocol,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [ErrorKind; 12] = [
        ErrorKind::Unreachable,
        ErrorKind::NoLeader,
        ErrorKind::Lagging,
        ErrorKind::Unknown,
        ErrorKind::Unauthenticated,
        ErrorKind::Certificate,
        ErrorKind::Denied,
        ErrorKind::Full,
        ErrorKind::NoRoom,
        ErrorKind::TooLarge,
        ErrorKind::Topology,
        ErrorKind::Protocol,
    ];

    #[test]
    fn error_kind_survives_the_gateway() {
        for kind in KINDS {
            assert_eq!(ErrorKind::from(ProblemKind::from(kind)), kind);
        }
    }

    #[test]
    fn each_problem_kind_has_a_row_and_a_type_of_its_own() {
        let kinds: Vec<ProblemKind> = ProblemKind::all().collect();
        for kind in &kinds {
            assert_eq!(ProblemKind::from_type(&kind.type_uri()), Some(*kind));
            let _: ErrorKind = (*kind).into();
        }
        let mut distinct = kinds.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), kinds.len());
        assert_eq!(kinds.len(), 27, "a new kind needs a row in the table");
    }

    #[test]
    fn each_busy_status_has_a_retry_after_below_minutes() {
        for kind in ProblemKind::all() {
            let retry_after = kind.retry_after();
            let is_busy = matches!(kind.status(), 429 | 503 | 507);
            assert_eq!(retry_after.is_some(), is_busy, "{kind:?}");
            assert!(retry_after.is_none_or(|seconds| seconds <= 60), "{kind:?}");
        }
    }
}
