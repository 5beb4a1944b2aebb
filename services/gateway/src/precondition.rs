//! PURE: the conditions of a write.

use axum::http::{HeaderMap, HeaderName, header};
use exchange::port::Sequence;
use web::interface::header::sequence_of;
use web::interface::problem::ProblemKind;

use crate::rejection::Rejection;

/// Returns the expected last sequence of a compare-and-set write: `If-Match`.
pub(crate) fn expected_sequence(headers: &HeaderMap) -> Result<Sequence, Rejection> {
    refuse(headers, &header::IF_NONE_MATCH)?;
    let Some(value) = single(headers, &header::IF_MATCH)? else {
        let detail =
            "this write needs If-Match with the ETag of the last read, \"0\" if there was no message";
        return Err(Rejection::new(ProblemKind::PreconditionRequired, detail));
    };
    sequence_of(value).ok_or_else(|| {
        Rejection::bad_request("If-Match is not one strong entity tag with a sequence, such as \"17\"")
    })
}

/// Checks the condition of a write to a resource that accepts one message: `If-None-Match: *`.
pub(crate) fn expect_absent(headers: &HeaderMap) -> Result<(), Rejection> {
    refuse(headers, &header::IF_MATCH)?;
    match single(headers, &header::IF_NONE_MATCH)? {
        None => {
            let detail = "this write needs If-None-Match: *, because the resource accepts one message";
            Err(Rejection::new(ProblemKind::PreconditionRequired, detail))
        }
        Some("*") => Ok(()),
        Some(_) => Err(Rejection::bad_request(
            "If-None-Match of a write can only be *, without quotation marks",
        )),
    }
}

/// Checks that a write without a condition has none.
pub(crate) fn expect_none(headers: &HeaderMap) -> Result<(), Rejection> {
    refuse(headers, &header::IF_MATCH)?;
    refuse(headers, &header::IF_NONE_MATCH)
}

/// Returns whether a read may be answered with 304: `If-None-Match` names the tag of the response.
pub(crate) fn is_unchanged(headers: &HeaderMap, tag: &str) -> bool {
    let names = headers.get_all(header::IF_NONE_MATCH).iter();
    let mut tags = names
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    tags.any(|given| given.trim().trim_start_matches("W/") == tag)
}

fn refuse(headers: &HeaderMap, name: &HeaderName) -> Result<(), Rejection> {
    if headers.contains_key(name) {
        return Err(Rejection::bad_request(format!(
            "this write does not take the header {name}"
        )));
    }
    Ok(())
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Rejection> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            let text = value.to_str().map(str::trim).map(Some);
            text.map_err(|_| Rejection::bad_request(format!("the header {name} is not ASCII text")))
        }
        (Some(_), Some(_)) => Err(Rejection::bad_request(format!(
            "the header {name} is given twice"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(given: &[(HeaderName, &'static str)]) -> HeaderMap {
        let entries = given
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        let mut headers = HeaderMap::new();
        for (name, value) in entries {
            headers.append(name, value);
        }
        headers
    }

    fn kind<T>(result: Result<T, Rejection>) -> Option<ProblemKind> {
        result.err().map(|rejection| rejection.kind)
    }

    #[test]
    fn precondition_of_a_compare_and_set_is_one_tag() {
        let of = |given: &[(HeaderName, &'static str)]| expected_sequence(&headers(given));
        assert_eq!(of(&[(header::IF_MATCH, "\"17\"")]), Ok(17));
        assert_eq!(kind(of(&[])), Some(ProblemKind::PreconditionRequired));
        for refused in ["17", "*", "W/\"17\"", "\"1\", \"2\"", ""] {
            assert_eq!(
                kind(of(&[(header::IF_MATCH, refused)])),
                Some(ProblemKind::BadRequest),
                "{refused}"
            );
        }
        let twice = [(header::IF_MATCH, "\"1\""), (header::IF_MATCH, "\"1\"")];
        assert_eq!(kind(of(&twice)), Some(ProblemKind::BadRequest));
        let both = [(header::IF_MATCH, "\"1\""), (header::IF_NONE_MATCH, "*")];
        assert_eq!(kind(of(&both)), Some(ProblemKind::BadRequest));
    }

    #[test]
    fn precondition_of_a_single_message_is_its_absence() {
        let of = |given: &[(HeaderName, &'static str)]| kind(expect_absent(&headers(given)));
        assert_eq!(of(&[(header::IF_NONE_MATCH, "*")]), None);
        assert_eq!(of(&[]), Some(ProblemKind::PreconditionRequired));
        assert_eq!(
            of(&[(header::IF_NONE_MATCH, "\"1\"")]),
            Some(ProblemKind::BadRequest)
        );
        assert_eq!(of(&[(header::IF_MATCH, "\"0\"")]), Some(ProblemKind::BadRequest));
    }

    #[test]
    fn precondition_is_refused_where_none_is_taken() {
        assert_eq!(expect_none(&HeaderMap::new()), Ok(()));
        let given = headers(&[(header::IF_NONE_MATCH, "*")]);
        assert_eq!(kind(expect_none(&given)), Some(ProblemKind::BadRequest));
    }

    #[test]
    fn precondition_of_a_read_compares_tags() {
        let given = headers(&[(header::IF_NONE_MATCH, "\"3\", W/\"4\"")]);
        assert!(is_unchanged(&given, "\"3\"") && is_unchanged(&given, "\"4\""));
        assert!(!is_unchanged(&given, "\"5\"") && !is_unchanged(&HeaderMap::new(), "\"3\""));
    }
}
