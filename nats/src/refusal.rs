//! The meaning of JetStream's error answers.

use exchange::{Error, ErrorKind};
use serde::Deserialize;

/// The `error` of an answer.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Refusal {
    #[serde(default)]
    pub(crate) err_code: u32,
    #[serde(default)]
    pub(crate) description: String,
}

/// The result of a refused publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The expected sequence was not the last one.
    Conflict,
    /// The subject holds its one message already.
    Taken,
    /// An error of this kind.
    Error(ErrorKind),
}

impl Refusal {
    /// The classes, by the server's error numbers. 10164 is 10071 from a stream that checks it
    /// elsewhere; 10077 wraps an error of the store, so its text decides.
    pub(crate) fn class(&self) -> Refused {
        match self.err_code {
            10071 | 10164 => Refused::Conflict,
            10077 if self.description.contains("per subject") => Refused::Taken,
            10077 => Refused::Error(ErrorKind::Full),
            // The server's own storage, or what the account may use of it: no limit of a stream.
            10023 | 10028 | 10047 => Refused::Error(ErrorKind::NoRoom),
            10054 => Refused::Error(ErrorKind::TooLarge),
            // No stream, no consumer, JetStream off for the account, another stream than
            // expected, direct get not allowed, sealed.
            10059 | 10014 | 10039 | 10076 | 10060 | 10109 | 10120 => Refused::Error(ErrorKind::Topology),
            // Refused before anything was stored: the cluster or its leader is away for now.
            10008 | 10009 => Refused::Error(ErrorKind::Unreachable),
            _ => Refused::Error(ErrorKind::Protocol),
        }
    }

    /// The error, for answers that are neither a conflict nor taken.
    pub(crate) fn error(&self, subject: &str) -> Error {
        let kind = match self.class() {
            Refused::Error(kind) => kind,
            Refused::Conflict | Refused::Taken => ErrorKind::Protocol,
        };
        Error::new(
            kind,
            format!(
                "the exchange refused {subject}: {} ({})",
                self.description, self.err_code
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(err_code: u32, description: &str) -> Refused {
        Refusal {
            err_code,
            description: description.into(),
        }
        .class()
    }

    #[test]
    fn both_numbers_of_a_wrong_last_sequence_are_a_conflict() {
        assert_eq!(class(10071, "wrong last sequence: 5"), Refused::Conflict);
        assert_eq!(class(10164, "wrong last sequence"), Refused::Conflict);
    }

    #[test]
    fn refusal_full_subject_differs_from_full_stream() {
        assert_eq!(
            class(10077, "maximum messages per subject exceeded"),
            Refused::Taken
        );
        assert_eq!(
            class(10077, "maximum bytes exceeded"),
            Refused::Error(ErrorKind::Full)
        );
        assert_eq!(
            class(10077, "maximum messages exceeded"),
            Refused::Error(ErrorKind::Full)
        );
        assert_eq!(
            class(10023, "insufficient resources"),
            Refused::Error(ErrorKind::NoRoom)
        );
    }

    #[test]
    fn refusal_of_unknown_kind_keeps_its_text() {
        assert_eq!(class(19999, "odd"), Refused::Error(ErrorKind::Protocol));
    }
}
