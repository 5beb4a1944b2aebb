//! Selects messages of a stream.

use exchange::port::{ReadFrom, Stream};
use jiff::Timestamp;
use schemas::name::{FeedName, PartyName, RecipientName};
use schemas::request::RequestId;

/// A part of a stream; by default all of it.
#[derive(Debug, Clone)]
pub struct Selection {
    /// The stream.
    pub stream: Stream,
    /// First message, by sequence or by the time the exchange stored it.
    pub from: ReadFrom,
    /// The last sequence, inclusive.
    pub to_sequence: Option<u64>,
    /// Only messages stored before this time.
    pub to_time: Option<Timestamp>,
    /// Only messages of this recipient.
    pub recipient: Option<RecipientName>,
    /// Only messages of this feed.
    pub feed: Option<FeedName>,
    /// Only messages about this request.
    pub request: Option<RequestId>,
}

impl Selection {
    /// Selects all of a stream.
    #[must_use]
    pub fn all(stream: Stream) -> Self {
        Self {
            stream,
            from: ReadFrom::Sequence(1),
            to_sequence: None,
            to_time: None,
            recipient: None,
            feed: None,
            request: None,
        }
    }

    /// Returns the party whose streams are selected; empty means all.
    #[must_use]
    pub fn party(&self) -> Vec<PartyName> {
        let party = self
            .recipient
            .as_ref()
            .and_then(|recipient| recipient.as_str().parse().ok());
        party.into_iter().collect()
    }

    /// Returns the subject filter for the stream of a party.
    #[must_use]
    pub fn filter(&self, party: &PartyName) -> String {
        let first = self.stream.token();
        // What follows the request's id: the officer; attempt and number.
        let suffix = match self.stream {
            Stream::Approvals => ".*",
            Stream::Parts => ".*.*",
            Stream::Control => return format!("{first}.{party}"),
            _ => "",
        };
        let is_of_lanes = matches!(self.stream, Stream::Data | Stream::Receipts);
        let third = match (&self.feed, &self.request) {
            (Some(feed), _) if is_of_lanes => feed.to_string(),
            (_, Some(request)) if !is_of_lanes && self.stream != Stream::Audit => request.to_string(),
            _ => "*".to_owned(),
        };
        format!("{first}.{party}.{third}{suffix}")
    }

    /// Returns whether a message is beyond the end of the selection.
    #[must_use]
    pub fn ends_before(&self, sequence: u64, stored_at: Timestamp) -> bool {
        self.to_sequence.is_some_and(|last| sequence > last)
            || self.to_time.is_some_and(|end| stored_at >= end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A filter with a token too few or too many matches nothing, which would read as an empty stream.
    #[test]
    fn selection_filter_has_as_many_tokens_as_the_subjects() {
        for (stream, subject) in [
            (Stream::Data, "data.insurer-a.setl"),
            (Stream::Receipts, "receipt.insurer-a.setl"),
            (Stream::Requests, "request.insurer-a.20260131-abcdefgh"),
            (Stream::Cancels, "cancel.insurer-a.20260131-abcdefgh"),
            (Stream::Approvals, "approval.insurer-a.20260131-abcdefgh.li_na"),
            (Stream::Progress, "progress.insurer-a.20260131-abcdefgh"),
            (Stream::Parts, "part.insurer-a.20260131-abcdefgh.1.1"),
            (Stream::Replies, "reply.insurer-a.20260131-abcdefgh"),
            (Stream::Confirms, "confirm.insurer-a.20260131-abcdefgh"),
            (Stream::Audit, "audit.bureau.social"),
            (Stream::Control, "control.bureau"),
        ] {
            assert!(subject.parse::<schemas::subject::Subject>().is_ok(), "{subject}");
            let filter = Selection::all(stream).filter(&"insurer-a".parse().unwrap());
            let (filter, subject): (Vec<_>, Vec<_>) =
                (filter.split('.').collect(), subject.split('.').collect());
            assert_eq!(
                (filter[0], filter.len()),
                (subject[0], subject.len()),
                "{stream:?}"
            );
        }
    }
}
