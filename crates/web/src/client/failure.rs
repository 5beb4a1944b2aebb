//! PURE: what failed, by the kinds of the exchange's errors.
//!
//! The kind depends on whether the request was sent: before that nothing can be stored (`Unreachable`); after it, without a
//! complete answer of the gateway itself, a write may be stored (`Unknown`). A proxy's own answer is not the gateway's: it may
//! have passed the request on.

use std::error::Error as StdError;
use std::fmt::Display;
use std::time::Duration;

use exchange::trust::Fault;
use exchange::{Error, ErrorKind, Result};

use super::answer::Answer;
use super::call::Call;
use crate::interface::problem::ProblemKind;

/// A request without a complete answer.
#[derive(Debug)]
pub(crate) struct Failed {
    sent: Sent,
    text: String,
    fault: Option<Fault>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// Nothing was sent.
    No,
    /// The request may have arrived.
    Maybe,
    /// It cannot be sent, or its answer not be taken: a retry changes nothing.
    Never,
}

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

impl Failed {
    /// A connection that failed.
    pub(crate) fn connect(address: &str, error: &(dyn StdError + 'static)) -> Self {
        Self::new(Sent::No, format!("connecting to {address}: {}", chain(error)))
    }

    /// A connection that took too long.
    pub(crate) fn connect_timeout(address: &str, limit: Duration) -> Self {
        let text = format!("{address} did not answer within {} ms", limit.as_millis());
        Self::new(Sent::No, text)
    }

    /// Files of TLS that cannot be used.
    pub(crate) fn files(text: &str) -> Self {
        Self {
            sent: Sent::No,
            text: text.to_owned(),
            fault: Some(Fault::File),
        }
    }

    /// Every address failed. A certificate is the cause only if it is at all of them.
    pub(crate) fn of_all(failures: Vec<Self>) -> Self {
        let texts: Vec<&str> = failures.iter().map(|failed| failed.text.as_str()).collect();
        let faults: Option<Vec<Fault>> = failures.iter().map(|failed| failed.fault).collect();
        Self {
            sent: Sent::No,
            text: texts.join("; "),
            fault: faults.and_then(|faults| faults.first().copied()),
        }
    }

    /// After the connections were closed.
    pub(crate) fn closed() -> Self {
        Self::new(Sent::No, "the connections were closed".to_owned())
    }

    /// A connection that ended before the answer was complete.
    pub(crate) fn of(is_unsent: bool, error: &(dyn StdError + 'static)) -> Self {
        let sent = if is_unsent { Sent::No } else { Sent::Maybe };
        Self::new(sent, chain(error))
    }

    /// No answer in time.
    pub(crate) fn timeout(is_sent: bool, limit: Duration) -> Self {
        let sent = if is_sent { Sent::Maybe } else { Sent::No };
        Self::new(sent, format!("no answer within {} ms", limit.as_millis()))
    }

    /// A request that is malformed.
    pub(crate) fn unsendable(error: &dyn Display) -> Self {
        Self::new(Sent::Never, format!("the request cannot be made: {error}"))
    }

    /// An answer that is too large.
    pub(crate) fn too_large(most: usize) -> Self {
        Self::new(Sent::Never, format!("the answer has more than {most} bytes"))
    }

    /// An answer with another digest than declared.
    pub(crate) fn altered() -> Self {
        let text = "the answer was cut off or altered on the way: its digest differs";
        Self::new(Sent::Maybe, text.to_owned())
    }

    /// Returns the certificate error.
    pub(crate) fn fault(&self) -> Option<Fault> {
        self.fault
    }

    fn new(sent: Sent, text: String) -> Self {
        let fault = Fault::of(&text);
        Self { sent, text, fault }
    }
}

impl Call {
    /// Makes an error of this request.
    pub(crate) fn error(&self, kind: ErrorKind, what: impl Display) -> Error {
        let path = without_officer(&self.path);
        Error::new(kind, format!("{} {path}: {what}", self.method))
    }

    /// Returns the kind of a missing answer.
    fn unanswered(&self) -> ErrorKind {
        if self.is_write {
            ErrorKind::Unknown
        } else {
            ErrorKind::Unreachable
        }
    }
}

/// Returns a path without its query, which holds numbers and the name of the recipient again, and without an officer's name.
fn without_officer(path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    match path.split_once("/approvals/") {
        Some((request, _)) => format!("{request}/approvals/*"),
        None => path.to_owned(),
    }
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
                refused: failed.fault.is_some(),
                why: failed.fault.map(Fault::describe),
            };
            let (kind, reach) = match (failed.sent, failed.fault) {
                (_, Some(_)) => (ErrorKind::Certificate, reach),
                (Sent::No, None) => (ErrorKind::Unreachable, reach),
                (Sent::Maybe, None) => (call.unanswered(), reach),
                (Sent::Never, None) if call.is_write => (ErrorKind::Unknown, Reach::Same),
                (Sent::Never, None) => (ErrorKind::Protocol, Reach::Same),
            };
            let described = failed.fault.map_or(String::new(), |fault| format!(": {fault}"));
            let what = format!("the exchange at {url}: {}{described}", failed.text);
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

/// Returns the texts of an error and its sources. An HTTP library's own text names no cause.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut texts = vec![error.to_string()];
    let mut source = error.source();
    while let Some(error) = source {
        let text = error.to_string();
        if texts.last() != Some(&text) {
            texts.push(text);
        }
        source = error.source();
    }
    texts.join(": ")
}

#[cfg(test)]
mod tests {
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
    fn failure_names_no_officer() {
        let call = Call::json("/v1/requests/20260131-abcdefgh/approvals/li_na?recipient=a".to_owned());
        let error = call.error(ErrorKind::Denied, "refused");
        assert_eq!(
            error.what,
            "GET /v1/requests/20260131-abcdefgh/approvals/*: refused"
        );
    }

    #[test]
    fn failure_of_one_certificate_does_not_hide_another_address() {
        let certificate = || Failed::new(Sent::No, "invalid peer certificate: Expired".to_owned());
        let away = || Failed::new(Sent::No, "connection refused".to_owned());
        let kind = |failures| of(&write(), Err(Failed::of_all(failures))).0;
        assert_eq!(kind(vec![certificate(), certificate()]), ErrorKind::Certificate);
        assert_eq!(kind(vec![certificate(), away()]), ErrorKind::Unreachable);
    }
}
