//! The names of the streams, as the shipped topology has them.

use exchange::port::Stream;

pub(crate) const DATA: &str = "DATA";
pub(crate) const RECEIPTS: &str = "RECEIPTS";
pub(crate) const REQUESTS: &str = "REQUESTS";
pub(crate) const CANCELS: &str = "CANCELS";
pub(crate) const REPLIES: &str = "REPLIES";
pub(crate) const AUDIT: &str = "AUDIT";
pub(crate) const CONTROL: &str = "CONTROL";
pub(crate) const LEASES: &str = "LEASES";

/// The stream that an auditor names.
pub(crate) fn name(stream: Stream) -> &'static str {
    match stream {
        Stream::Data => DATA,
        Stream::Receipts => RECEIPTS,
        Stream::Requests => REQUESTS,
        Stream::Replies => REPLIES,
        Stream::Audit => AUDIT,
    }
}
