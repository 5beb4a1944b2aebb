//! The messages of one stream, in order.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};

use exchange::outcome::Stored;
use exchange::port::Sequence;

#[derive(Default)]
pub(super) struct Log {
    messages: BTreeMap<Sequence, Stored>,
    last: HashMap<String, Sequence>,
    newest: Option<(Sequence, Timestamp)>,
}

impl Log {
    pub(super) fn messages(&self) -> impl Iterator<Item = &Stored> {
        self.messages.values()
    }

    /// Returns the last message of a subject.
    pub(super) fn last(&self, subject: &str) -> Option<&Stored> {
        self.messages.get(self.last.get(subject)?)
    }

    /// Appends a message. Times increase with sequences, even if the clock does not.
    pub(super) fn push(&mut self, subject: String, bytes: Bytes, now: Timestamp) -> Sequence {
        let (sequence, stored_at) = match self.newest {
            None => (1, now),
            Some((last, time)) => (last + 1, now.max(time + SignedDuration::from_nanos(1))),
        };
        self.newest = Some((sequence, stored_at));
        self.last.insert(subject.clone(), sequence);
        let stored = Stored {
            subject,
            sequence,
            stored_at,
            trace: exchange::trace::current(),
            bytes,
        };
        self.messages.insert(sequence, stored);
        sequence
    }

    /// Removes the last message of a subject before it is replaced.
    pub(super) fn remove_last(&mut self, subject: &str) {
        if let Some(sequence) = self.last.remove(subject) {
            self.messages.remove(&sequence);
        }
    }
}

/// Returns whether a subject matches a filter with `*` for one token and `>` for the rest.
pub(super) fn matches(filter: &str, subject: &str) -> bool {
    let (mut filter, mut tokens) = (filter.split('.'), subject.split('.'));
    loop {
        match (filter.next(), tokens.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some("*"), Some(_)) => {}
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_filters_match_like_nats_filters() {
        for (filter, subject, expected) in [
            ("a.b", "a.b", true),
            ("a.*", "a.b", true),
            ("a.>", "a.b.c", true),
            (">", "a", true),
            ("a.*", "a.b.c", false),
            ("a.>", "a", false),
            ("a.b", "a.bc", false),
            ("a.b.c", "a.b", false),
        ] {
            assert_eq!(matches(filter, subject), expected, "{filter} {subject}");
        }
    }
}
