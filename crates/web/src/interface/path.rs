//! Route templates, and the paths that a client makes from them.
//!
//! Every name is of the alphabet of `schemas::name`, so no path needs escaping. `recipient` in a query names the recipient of a
//! request; a recipient may leave it out.

use exchange::port::Stream;
use schemas::name::{Lane, OfficerName, PartyName, RecipientName, SourceName};
use schemas::request::RequestId;

/// Measures the round trip to the exchange. GET.
pub const PING: &str = "/v1/ping";
/// The last chunk of a lane. GET, PUT with If-Match.
pub const TAIL: &str = "/v1/lanes/{recipient}/{feed}/tail";
/// The last receipt of a lane. GET, PUT with If-Match.
pub const RECEIPT: &str = "/v1/lanes/{recipient}/{feed}/receipt";
/// The lanes of a recipient that have a receipt. GET.
pub const LANES: &str = "/v1/lanes/{recipient}";
/// The queue of a recipient's consumer, `chunks` or `replies`: POST `?max=` fetches deliveries, GET returns its state.
pub const DELIVERIES: &str = "/v1/deliveries/{recipient}/{queue}";
/// Settles deliveries. POST.
pub const SETTLEMENTS: &str = "/v1/settlements";
/// GET `?recipient=&stream=request|confirm` returns ids, POST files a request.
pub const REQUESTS: &str = "/v1/requests";
/// The requests without a reply, oldest first. GET `?recipient=&from=&max=`.
pub const OPEN_REQUESTS: &str = "/v1/requests/open";
/// GET returns the state of a request, DELETE files the cancellation in its body.
pub const REQUEST: &str = "/v1/requests/{id}";
/// The request itself. GET, PUT once.
pub const REQUEST_MESSAGE: &str = "/v1/requests/{id}/request";
/// The cancellation. GET, PUT once.
pub const CANCELLATION: &str = "/v1/requests/{id}/cancellation";
/// The reply. GET, PUT once.
pub const REPLY: &str = "/v1/requests/{id}/reply";
/// A part of an answer. GET, PUT once.
pub const PART: &str = "/v1/requests/{id}/parts/{attempt}/{number}";
/// The last progress. GET, PUT.
pub const PROGRESS: &str = "/v1/requests/{id}/progress";
/// The officers' decisions. GET.
pub const APPROVALS: &str = "/v1/requests/{id}/approvals";
/// An officer's decision. GET, PUT once.
pub const APPROVAL: &str = "/v1/requests/{id}/approvals/{officer}";
/// The confirmation that the reply is stored. GET, PUT once.
pub const CONFIRMATION: &str = "/v1/requests/{id}/confirmation";
/// The rows of an answer. GET.
pub const RESULT: &str = "/v1/requests/{id}/result";
/// The lease of a source. GET, PUT with If-Match.
pub const LEASE: &str = "/v1/leases/{source}";
/// The last audit entry of a writer. GET, PUT with If-Match.
pub const AUDIT: &str = "/v1/audit/{party}/{writer}";
/// The last record of a party's orders. GET, PUT with If-Match.
pub const CONTROL: &str = "/v1/control/{party}";
/// The last status of each of a party's agents. GET.
pub const AGENTS_STATUS: &str = "/v1/status/{party}/agents";
/// The status of one agent. PUT.
pub const AGENT_STATUS: &str = "/v1/status/{party}/agents/{writer}";
/// The note that an operator watches a party's agents. GET, PUT.
pub const WATCH: &str = "/v1/status/{party}/watch";
/// The parties that have a stream of a kind. GET.
pub const STREAM_PARTIES: &str = "/v1/streams/{stream}/parties";
/// The state of a party's stream. GET.
pub const STREAM_STATE: &str = "/v1/streams/{stream}/parties/{party}";
/// The messages of a stream, for replay. GET `?filter=&from=|from_time=&max=`.
pub const STREAM_MESSAGES: &str = "/v1/streams/{stream}/messages";
/// The feeds that the caller may read. GET.
pub const FEEDS: &str = "/v1/feeds";
/// One feed. GET.
pub const FEED: &str = "/v1/feeds/{feed}";
/// The chunks of a feed as published. GET `?after=&max=&wait=`.
pub const CHUNKS: &str = "/v1/feeds/{feed}/chunks";
/// The rows of a feed. GET `?after=&max=&wait=`.
pub const ROWS: &str = "/v1/feeds/{feed}/rows";
/// The caller's position in a feed: its last receipt. GET, PUT with If-Match.
pub const POSITION: &str = "/v1/feeds/{feed}/position";

/// The queue of a recipient's consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// Chunks.
    Chunks,
    /// Replies.
    Replies,
}

impl Queue {
    /// Returns its name in a path.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chunks => "chunks",
            Self::Replies => "replies",
        }
    }

    /// Returns the queue of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Chunks, Self::Replies]
            .into_iter()
            .find(|queue| queue.as_str() == name)
    }
}

/// All streams.
const STREAMS: [Stream; 11] = [
    Stream::Data,
    Stream::Receipts,
    Stream::Requests,
    Stream::Cancels,
    Stream::Approvals,
    Stream::Progress,
    Stream::Parts,
    Stream::Replies,
    Stream::Confirms,
    Stream::Audit,
    Stream::Control,
];

/// Returns the stream of this name, which is the first token of its subjects.
#[must_use]
pub fn stream_from_name(name: &str) -> Option<Stream> {
    STREAMS.into_iter().find(|stream| stream.token() == name)
}

/// Returns the names of all streams.
pub fn stream_names() -> impl Iterator<Item = &'static str> {
    STREAMS.into_iter().map(Stream::token)
}

/// Returns the path of a lane's tail.
#[must_use]
pub fn tail(lane: &Lane) -> String {
    format!("/v1/lanes/{}/{}/tail", lane.recipient, lane.feed)
}

/// Returns the path of a lane's receipt.
#[must_use]
pub fn receipt(lane: &Lane) -> String {
    format!("/v1/lanes/{}/{}/receipt", lane.recipient, lane.feed)
}

/// Returns the path of a recipient's lanes.
#[must_use]
pub fn lanes(recipient: &RecipientName) -> String {
    format!("/v1/lanes/{recipient}")
}

/// Returns the path of a recipient's feeds.
#[must_use]
pub fn feeds(recipient: &RecipientName) -> String {
    format!("{FEEDS}?recipient={recipient}")
}

/// Returns the path of a queue.
#[must_use]
pub fn deliveries(recipient: &RecipientName, queue: Queue) -> String {
    format!("/v1/deliveries/{recipient}/{}", queue.as_str())
}

/// Returns the path of something of a request: `request`, `cancellation`, `reply`, `progress`, `approvals`, `confirmation`.
#[must_use]
pub fn of_request(recipient: &RecipientName, id: &RequestId, what: &str) -> String {
    format!("/v1/requests/{id}/{what}?recipient={recipient}")
}

/// Returns the path of a part.
#[must_use]
pub fn part(recipient: &RecipientName, id: &RequestId, attempt: u32, number: u32) -> String {
    format!("/v1/requests/{id}/parts/{attempt}/{number}?recipient={recipient}")
}

/// Returns the path of an officer's decision.
#[must_use]
pub fn approval(recipient: &RecipientName, id: &RequestId, officer: &OfficerName) -> String {
    format!("/v1/requests/{id}/approvals/{officer}?recipient={recipient}")
}

/// Returns the path of a lease.
#[must_use]
pub fn lease(source: &SourceName) -> String {
    format!("/v1/leases/{source}")
}

/// Returns the path of a writer's audit entries.
#[must_use]
pub fn audit(party: &PartyName, writer: &PartyName) -> String {
    format!("/v1/audit/{party}/{writer}")
}

/// Returns the path of a party's orders.
#[must_use]
pub fn control(party: &PartyName) -> String {
    format!("/v1/control/{party}")
}

/// Returns the path of the status of a party's agents.
#[must_use]
pub fn agents_status(party: &PartyName) -> String {
    format!("/v1/status/{party}/agents")
}

/// Returns the path of the status of one agent.
#[must_use]
pub fn agent_status(party: &PartyName, writer: &PartyName) -> String {
    format!("/v1/status/{party}/agents/{writer}")
}

/// Returns the path of the note that an operator watches a party's agents.
#[must_use]
pub fn watch(party: &PartyName) -> String {
    format!("/v1/status/{party}/watch")
}

/// Returns the path of the parties of a stream.
#[must_use]
pub fn stream_parties(stream: Stream) -> String {
    format!("/v1/streams/{}/parties", stream.token())
}

/// Returns the path of the state of a party's stream.
#[must_use]
pub fn stream_state(stream: Stream, party: &PartyName) -> String {
    format!("/v1/streams/{}/parties/{party}", stream.token())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_and_queues_are_found_by_name() {
        for stream in STREAMS {
            assert_eq!(stream_from_name(stream.token()), Some(stream));
        }
        assert_eq!(stream_from_name("lease"), None);
        assert_eq!(Queue::from_name("replies"), Some(Queue::Replies));
        assert_eq!(Queue::from_name("parts"), None);
    }
}
