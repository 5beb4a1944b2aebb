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
    /// The expected sequence was not the last one, which this is; `None` if the text does not have it.
    Conflict(Option<u64>),
    /// Another message of the subject is in flight, so the last sequence is not decided. Nothing was stored.
    Undecided,
    /// The subject holds its one message already.
    Taken,
    /// An error of this kind.
    Error(ErrorKind),
}

impl Refusal {
    /// The classes, by the server's error numbers. A leader answers 10164 instead of 10071 while another message of the
    /// subject is replicated; 10077 wraps an error of the store, so its text decides.
    pub(crate) fn class(&self) -> Refused {
        match self.err_code {
            10071 => Refused::Conflict(last_sequence(&self.description)),
            10164 => Refused::Undecided,
            10077 if self.description.contains("per subject") => Refused::Taken,
            10077 => Refused::Error(ErrorKind::Full),
            // The server's own storage, or what the account may use of it: no limit of a stream.
            10023 | 10028 | 10047 => Refused::Error(ErrorKind::NoRoom),
            10054 => Refused::Error(ErrorKind::TooLarge),
            // No stream, no consumer, JetStream off for the account, another stream than
            // expected, direct get not allowed, sealed.
            10059 | 10014 | 10039 | 10076 | 10060 | 10109 | 10120 => Refused::Error(ErrorKind::Topology),
            // Refused before anything was stored: the cluster, its leader, or servers for a new stream are away for now.
            10005 | 10008 | 10009 => Refused::Error(ErrorKind::NoLeader),
            _ => Refused::Error(ErrorKind::Protocol),
        }
    }

    /// The error, for answers that are neither a conflict nor taken.
    pub(crate) fn error(&self, subject: &str) -> Error {
        let kind = match self.class() {
            Refused::Error(kind) => kind,
            Refused::Undecided => ErrorKind::NoLeader,
            Refused::Conflict(_) | Refused::Taken => ErrorKind::Protocol,
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

/// Reads the number in `wrong last sequence: 5`.
fn last_sequence(description: &str) -> Option<u64> {
    description.rsplit(": ").next()?.parse().ok()
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
    fn refusal_of_a_message_in_flight_is_undecided() {
        assert_eq!(class(10071, "wrong last sequence: 5"), Refused::Conflict(Some(5)));
        assert_eq!(class(10071, "wrong last sequence"), Refused::Conflict(None));
        assert_eq!(class(10164, "wrong last sequence"), Refused::Undecided);
    }

    #[test]
    fn refusal_without_a_leader_is_transient() {
        assert_eq!(
            class(10008, "temporarily unavailable"),
            Refused::Error(ErrorKind::NoLeader)
        );
        assert!(ErrorKind::NoLeader.is_transient());
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
