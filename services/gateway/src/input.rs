//! Paths, queries and bodies of requests, checked before a handler runs.

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use web::interface::header::{REPR_DIGEST, repr_digest};
use web::interface::media;
use web::interface::problem::ProblemKind;

use crate::gateway::Gateway;
use crate::rejection::Rejection;

/// The names in the path.
#[derive(Debug)]
pub(crate) struct PathOf<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Gateway> for PathOf<T> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Rejection> {
        let path = Path::<T>::from_request_parts(parts, gateway).await;
        let path = path.map_err(|rejection: PathRejection| {
            Rejection::bad_request(format!("the path is malformed: {}", rejection.body_text()))
        })?;
        Ok(Self(path.0))
    }
}

/// The parameters of the query. A parameter that `T` does not have is refused.
#[derive(Debug)]
pub(crate) struct Parameters<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Gateway> for Parameters<T> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &Gateway) -> Result<Self, Rejection> {
        let query = Query::<T>::try_from_uri(&parts.uri);
        let query = query.map_err(|rejection: QueryRejection| {
            Rejection::bad_request(format!("the query is malformed: {}", rejection.body_text()))
        })?;
        Ok(Self(query.0))
    }
}

/// A query without parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoParameters {}

/// The message in the body: bytes that the gateway does not read.
#[derive(Debug)]
pub(crate) struct MessageBody(pub(crate) Bytes);

impl FromRequest<Gateway> for MessageBody {
    type Rejection = Rejection;

    async fn from_request(request: Request, gateway: &Gateway) -> Result<Self, Rejection> {
        let (parts, body) = request.into_parts();
        check_media_type(&parts.headers, media::MESSAGE)?;
        let bytes = read_body(&parts.headers, body, gateway).await?;
        if bytes.is_empty() {
            let detail = "the body is empty; it must be the signed message";
            return Err(Rejection::new(ProblemKind::InvalidMessage, detail));
        }
        check_digest(&parts.headers, &bytes)?;
        Ok(Self(bytes))
    }
}

/// A JSON value in the body.
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Gateway> for JsonBody<T> {
    type Rejection = Rejection;

    async fn from_request(request: Request, gateway: &Gateway) -> Result<Self, Rejection> {
        let (parts, body) = request.into_parts();
        check_media_type(&parts.headers, media::JSON)?;
        let bytes = read_body(&parts.headers, body, gateway).await?;
        check_digest(&parts.headers, &bytes)?;
        let value = serde_json::from_slice(&bytes);
        let value = value
            .map_err(|error| Rejection::bad_request(format!("the body is not the expected JSON: {error}")))?;
        Ok(Self(value))
    }
}

/// Reads a body up to the limit of a message, within the limit of time.
async fn read_body(headers: &HeaderMap, body: Body, gateway: &Gateway) -> Result<Bytes, Rejection> {
    let limits = gateway.limits();
    let limit = limits.message_bytes;
    let too_large = || {
        let detail = format!("the body is larger than {limit} bytes, the limit of a message");
        Rejection::new(ProblemKind::TooLarge, detail)
    };
    let declared = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok());
    if declared
        .and_then(|length| length.parse::<u64>().ok())
        .is_some_and(|length| length > limit as u64)
    {
        return Err(too_large());
    }
    let body = tokio::time::timeout(limits.body_time, Limited::new(body, limit).collect()).await;
    let Ok(body) = body else {
        let seconds = limits.body_time.as_secs();
        let detail = format!("the body did not arrive within {seconds} s");
        return Err(Rejection::new(ProblemKind::RequestTimeout, detail));
    };
    match body {
        Ok(body) => {
            let bytes = body.to_bytes();
            gateway.metrics().received(bytes.len());
            Ok(bytes)
        }
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => Err(too_large()),
        Err(_) => Err(Rejection::bad_request("the body was cut off")),
    }
}

/// PURE: checks the media type of a body; a missing one counts as the expected one. A coded body is refused.
fn check_media_type(headers: &HeaderMap, expected: &'static str) -> Result<(), Rejection> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let unsupported = |detail: String| Err(Rejection::new(ProblemKind::UnsupportedMediaType, detail));
    if text(header::CONTENT_ENCODING).is_some_and(|coding| !coding.eq_ignore_ascii_case("identity")) {
        return unsupported("the body has a Content-Encoding; send it without".to_owned());
    }
    let given = text(header::CONTENT_TYPE).map(|given| given.split(';').next().unwrap_or_default().trim());
    match given {
        Some(given) if !given.eq_ignore_ascii_case(expected) => {
            unsupported(format!("the body must have the media type {expected}"))
        }
        _ => Ok(()),
    }
}

/// PURE: compares the body with the digest that its sender gives; other algorithms than SHA-256 are not compared.
fn check_digest(headers: &HeaderMap, body: &[u8]) -> Result<(), Rejection> {
    let given = headers
        .get_all(REPR_DIGEST)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut digests = given.flat_map(|value| value.split(',')).map(str::trim);
    match digests.find(|digest| digest.starts_with("sha-256=")) {
        Some(digest) if digest != repr_digest(body) => {
            let detail = "the body does not have the digest of Repr-Digest; it was changed on its way";
            Err(Rejection::new(ProblemKind::InvalidMessage, detail))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn input_media_type_is_the_expected_one_or_missing() {
        assert_eq!(check_media_type(&HeaderMap::new(), media::MESSAGE), Ok(()));
        for accepted in [media::MESSAGE, "Application/vnd.slacktide.message; charset=x"] {
            let given = headers(header::CONTENT_TYPE, accepted);
            assert_eq!(check_media_type(&given, media::MESSAGE), Ok(()), "{accepted}");
        }
        for refused in [
            headers(header::CONTENT_TYPE, "application/x-www-form-urlencoded"),
            headers(header::CONTENT_ENCODING, "gzip"),
        ] {
            let kind = check_media_type(&refused, media::MESSAGE).unwrap_err().kind;
            assert_eq!(kind, ProblemKind::UnsupportedMediaType, "{refused:?}");
        }
    }

    #[test]
    fn input_body_with_another_digest_is_refused() {
        let name = HeaderName::from_static(REPR_DIGEST);
        assert_eq!(
            check_digest(&headers(name.clone(), &repr_digest(b"a")), b"a"),
            Ok(())
        );
        assert_eq!(
            check_digest(&headers(name.clone(), "sha-512=:AA==:"), b"a"),
            Ok(())
        );
        let kind = check_digest(&headers(name, &repr_digest(b"b")), b"a")
            .unwrap_err()
            .kind;
        assert_eq!(kind, ProblemKind::InvalidMessage);
    }
}
