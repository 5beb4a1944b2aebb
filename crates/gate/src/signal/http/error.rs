//! Why a request has no value. No text contains more of the URL than its host, or any of the answer.

use std::io;
use std::time::Duration;

use tokio_rustls::rustls;

/// Why a request cannot be made, or why it has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    #[error("url is not a valid address")]
    InvalidUrl,
    #[error("url has no host")]
    NoHost,
    #[error("header.name is not a valid header name")]
    InvalidHeaderName,
    #[error("header.value has characters that a header cannot contain")]
    InvalidHeaderValue,
    #[error(transparent)]
    Secret(#[from] runtime::config::ConfigError),
    #[error("this system has no trusted certificates; install ca-certificates")]
    NoTrustedCertificates,
    #[error(transparent)]
    TlsSetup(#[from] rustls::Error),
    #[error("cannot be reached: {0}")]
    Unreachable(io::ErrorKind),
    #[error("has no name for TLS")]
    NoTlsName,
    #[error("TLS failed: {0}")]
    Tls(#[source] io::Error),
    #[error("connection closed by the peer")]
    Closed,
    #[error("url is not valid in a request")]
    InvalidPath,
    #[error("answered with more than 64 KB")]
    TooLong,
    #[error("answered with more than 64 KB, or the connection broke")]
    TooLongOrCut,
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    #[error(transparent)]
    Answer(#[from] AnswerError),
}

/// Why an answer contains no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum AnswerError {
    #[error("answered with status {0}")]
    Status(u16),
    #[error("answered with no number; for a JSON answer set json = \"/path\"")]
    NoNumber,
    #[error("answered with no JSON")]
    NoJson,
    #[error("answered with no number at {0}")]
    NoNumberAt(String),
    #[error("answered with no finite number")]
    NotFinite,
}
