//! A request that is answered with a problem.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use exchange::port::Sequence;
use web::interface::header::etag;
use web::interface::problem::ProblemKind;

/// The result of a handler.
pub(crate) type Answer = Result<Response, Rejection>;

/// The maximum characters of a detail.
const MAX_DETAIL: usize = 400;

/// Why a request is not answered as asked. `finish` adds the request id and makes the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rejection {
    /// The kind of the problem.
    pub(crate) kind: ProblemKind,
    /// What failed this time; without personal data.
    pub(crate) detail: String,
    /// The sequence that the resource has now.
    pub(crate) current: Option<Sequence>,
}

impl Rejection {
    /// Creates a rejection.
    pub(crate) fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        let detail: String = detail.into();
        Self {
            kind,
            detail: detail.chars().take(MAX_DETAIL).collect(),
            current: None,
        }
    }

    /// Adds the sequence that the resource has now, as an entity tag.
    pub(crate) fn with_current(mut self, current: Sequence) -> Self {
        self.current = Some(current);
        self
    }

    /// Creates a rejection of a malformed request.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::BadRequest, detail)
    }
}

impl From<exchange::Error> for Rejection {
    fn from(error: exchange::Error) -> Self {
        tracing::debug!(kind = ?error.kind, "exchange operation failed");
        Self::new(error.kind.into(), without_officer(&error.what))
    }
}

/// PURE: removes the officer's name from the subjects of approvals.
fn without_officer(text: &str) -> String {
    let word = |word: &str| {
        let mut tokens = word.split('.');
        match (tokens.next(), tokens.next(), tokens.next(), tokens.next()) {
            (Some("approval"), Some(recipient), Some(id), Some(_)) => format!("approval.{recipient}.{id}.*"),
            _ => word.to_owned(),
        }
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.kind.retry_after() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.kind == ProblemKind::Unauthenticated {
            let challenge = HeaderValue::from_static("Bearer realm=\"slacktide\"");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(Ok(tag)) = self.current.map(|current| HeaderValue::from_str(&etag(current))) {
            headers.insert(header::ETAG, tag);
        }
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use exchange::{Error, ErrorKind};

    use super::*;

    #[test]
    fn rejection_of_an_exchange_error_names_no_officer() {
        let what = "approval.insurer-a.20260131-abcdefgh.li_na was not acknowledged";
        let rejection = Rejection::from(Error::new(ErrorKind::Unknown, what));
        assert_eq!(rejection.kind, ProblemKind::ExchangeTimeout);
        assert_eq!(
            rejection.detail,
            "approval.insurer-a.20260131-abcdefgh.* was not acknowledged"
        );
    }

    #[test]
    fn rejection_has_the_headers_of_its_status() {
        let header = |kind, name| {
            let response = Rejection::new(kind, "x").with_current(7).into_response();
            let value = response.headers().get(name).cloned();
            value.map(|value| value.to_str().unwrap_or_default().to_owned())
        };
        let retry_after = header(ProblemKind::StreamFull, header::RETRY_AFTER);
        assert_eq!(retry_after.as_deref(), Some("30"));
        assert!(header(ProblemKind::Unauthenticated, header::WWW_AUTHENTICATE).is_some());
        let current = header(ProblemKind::PreconditionFailed, header::ETAG);
        assert_eq!(current.as_deref(), Some("\"7\""));
        assert_eq!(header(ProblemKind::Denied, header::RETRY_AFTER), None);
    }
}
