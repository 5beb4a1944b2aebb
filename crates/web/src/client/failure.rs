//! A request without a complete answer: what failed, and whether the request was sent.

use std::error::Error as StdError;
use std::fmt::Display;
use std::time::Duration;

use exchange::trust::Fault;

/// A request without a complete answer.
#[derive(Debug)]
pub(crate) struct Failed {
    sent: Sent,
    text: String,
    fault: Option<Fault>,
}

/// Whether a failed request was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Nothing was sent.
    No,
    /// The request may have arrived.
    Maybe,
    /// It cannot be sent, or its answer not be taken: a retry changes nothing.
    Never,
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
    pub(crate) fn of_all(failures: &[Self]) -> Self {
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

    /// Returns whether the request was sent.
    pub(crate) fn sent(&self) -> Sent {
        self.sent
    }

    /// Returns what failed.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// A failure with this text, which names a certificate error if it was one.
    pub(crate) fn new(sent: Sent, text: String) -> Self {
        let fault = Fault::of(&text);
        Self { sent, text, fault }
    }
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
