//! PURE: the result of a request, by the kinds of the exchange's errors.
//!
//! The kind depends on whether the request was sent: before that nothing can be stored (`Unreachable`); after it, without a
//! complete answer of the gateway itself, a write may be stored (`Unknown`). A proxy's own answer is not the gateway's: it may
//! have passed the request on.

use exchange::trust::Fault;
use exchange::{ErrorKind, Result};

use super::answer::Answer;
use super::call::Call;
use super::failure::{Failed, Sent};
use crate::interface::problem::ProblemKind;

/// What a result means for the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The exchange answers.
    Up,
    /// It does not.
    Down {
        /// Whether it refuses the credential.
        refused: bool,
        /// The certificate error.
        why: Option<&'static str>,
    },
    /// Nothing.
    Same,
}

/// Returns the answer if it is a success, or 412 for the caller to interpret; else the error. And what it means for the
/// connection.
pub(crate) fn interpret(
    call: &Call,
    url: &str,
    result: std::result::Result<Answer, Failed>,
) -> (Result<Answer>, Reach) {
    match result {
        Ok(answer) if answer.status.is_success() || answer.status.as_u16() == 412 => (Ok(answer), Reach::Up),
        Ok(answer) => refused(call, url, &answer),
        Err(failed) => {
            let reach = Reach::Down {
                refused: failed.fault().is_some(),
                why: failed.fault().map(Fault::describe),
            };
            let (kind, reach) = match (failed.sent(), failed.fault()) {
                (_, Some(_)) => (ErrorKind::Certificate, reach),
                (Sent::No, None) => (ErrorKind::Unreachable, reach),
                (Sent::Maybe, None) => (call.unanswered(), reach),
                (Sent::Never, None) if call.is_write => (ErrorKind::Unknown, Reach::Same),
                (Sent::Never, None) => (ErrorKind::Protocol, Reach::Same),
            };
            let described = failed.fault().map_or(String::new(), |fault| format!(": {fault}"));
            let what = format!("the exchange at {url}: {}{described}", failed.text());
            (Err(call.error(kind, what)), reach)
        }
    }
}

fn refused(call: &Call, url: &str, answer: &Answer) -> (Result<Answer>, Reach) {
    let down = |refused| Reach::Down { refused, why: None };
    let Some((kind, problem)) = answer.problem() else {
        let (kind, reach) = match answer.status.as_u16() {
            401 | 407 => (ErrorKind::Unauthenticated, down(true)),
            403 => (ErrorKind::Denied, Reach::Same),
            413 => (ErrorKind::TooLarge, Reach::Same),
            429 => (ErrorKind::Unreachable, Reach::Same),
            507 => (ErrorKind::NoRoom, Reach::Same),
            408 | 500..=599 => (call.unanswered(), down(false)),
            _ => (ErrorKind::Protocol, Reach::Same),
        };
        let what = format!(
            "{url} answered {} without a reason of the gateway: a proxy in front of it, or another server",
            answer.status
        );
        return (Err(call.error(kind, what)), reach);
    };
    let reach = match kind {
        ProblemKind::Unauthenticated | ProblemKind::ExchangeCredential | ProblemKind::ExchangeCertificate => {
            down(true)
        }
        ProblemKind::ExchangeUnreachable | ProblemKind::ExchangeTimeout | ProblemKind::Unavailable => {
            down(false)
        }
        ProblemKind::RateLimited | ProblemKind::RequestTimeout | ProblemKind::Internal => Reach::Same,
        _ => Reach::Up,
    };
    let kind = match ErrorKind::from(kind) {
        ErrorKind::Unknown => call.unanswered(),
        kind => kind,
    };
    let what = format!(
        "{}: {} (request {} of the gateway); {}",
        shorten(&problem.title),
        shorten(&problem.detail),
        shorten(&problem.request_id),
        shorten(&problem.remedy)
    );
    (Err(call.error(kind, what)), reach)
}

/// Returns a text of the gateway without control characters, and not longer than a log line may be.
fn shorten(text: &str) -> String {
    text.chars()
        .filter(|character| !character.is_control())
        .take(400)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::super::call::Condition;
    use super::*;
    use crate::interface::media;

    fn read() -> Call {
        Call::message("/v1/x".to_owned())
    }

    fn write() -> Call {
        Call::publish("/v1/x".to_owned(), Bytes::new(), Condition::At(1))
    }

    fn of(call: &Call, result: std::result::Result<Answer, Failed>) -> (ErrorKind, Reach) {
        let (result, reach) = interpret(call, "https://h", result);
        (result.unwrap_err().kind, reach)
    }

    const DOWN: Reach = Reach::Down {
        refused: false,
        why: None,
    };

    #[test]
    fn failure_after_sending_is_unknown_for_writes_only() {
        let lost = || Err(Failed::timeout(true, Duration::from_secs(1)));
        let unsent = || Err(Failed::timeout(false, Duration::from_secs(1)));
        assert_eq!(of(&write(), lost()), (ErrorKind::Unknown, DOWN));
        assert_eq!(of(&read(), lost()), (ErrorKind::Unreachable, DOWN));
        assert_eq!(of(&write(), unsent()), (ErrorKind::Unreachable, DOWN));
        assert_eq!(of(&write(), Err(Failed::altered())).0, ErrorKind::Unknown);
        assert_eq!(of(&read(), Err(Failed::too_large(1))).0, ErrorKind::Protocol);
    }

    #[test]
    fn failure_of_a_proxy_leaves_a_write_unknown() {
        for status in [500, 502, 503, 504, 408] {
            let answer = || Ok(Answer::of(status, &[("content-type", "text/html")], b"<html>"));
            assert_eq!(of(&write(), answer()), (ErrorKind::Unknown, DOWN), "{status}");
            assert_eq!(of(&read(), answer()), (ErrorKind::Unreachable, DOWN), "{status}");
        }
        let page = Ok(Answer::of(302, &[], b""));
        assert_eq!(of(&write(), page).0, ErrorKind::Protocol);
    }

    #[test]
    fn failure_with_a_problem_has_the_kind_of_the_table() {
        for kind in ProblemKind::all().filter(|kind| *kind != ProblemKind::PreconditionFailed) {
            let body = serde_json::to_vec(&kind.problem("detail", "r1")).unwrap();
            let answer = || {
                Ok(Answer::of(
                    kind.status(),
                    &[("content-type", media::PROBLEM)],
                    &body,
                ))
            };
            assert_eq!(of(&write(), answer()).0, ErrorKind::from(kind), "{kind:?}");
            assert_ne!(of(&read(), answer()).0, ErrorKind::Unknown, "{kind:?}");
        }
    }

    #[test]
    fn failure_of_one_certificate_does_not_hide_another_address() {
        let certificate = || Failed::new(Sent::No, "invalid peer certificate: Expired".to_owned());
        let away = || Failed::new(Sent::No, "connection refused".to_owned());
        let kind = |failures: Vec<Failed>| of(&write(), Err(Failed::of_all(&failures))).0;
        assert_eq!(kind(vec![certificate(), certificate()]), ErrorKind::Certificate);
        assert_eq!(kind(vec![certificate(), away()]), ErrorKind::Unreachable);
    }
}
