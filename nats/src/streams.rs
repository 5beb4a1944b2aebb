//! The names of the streams, as the shipped topology has them.

use exchange::port::Stream;

pub(crate) const DATA: &str = "DATA";
pub(crate) const RECEIPTS: &str = "RECEIPTS";
pub(crate) const REQUESTS: &str = "REQUESTS";
pub(crate) const CANCELS: &str = "CANCELS";
pub(crate) const REPLIES: &str = "REPLIES";
pub(crate) const APPROVALS: &str = "APPROVALS";
pub(crate) const PROGRESS: &str = "PROGRESS";
pub(crate) const PARTS: &str = "PARTS";
pub(crate) const CONFIRMS: &str = "CONFIRMS";
pub(crate) const AUDIT: &str = "AUDIT";
pub(crate) const CONTROL: &str = "CONTROL";
pub(crate) const LEASES: &str = "LEASES";

/// The stream that a reader names.
pub(crate) fn name(stream: Stream) -> &'static str {
    match stream {
        Stream::Data => DATA,
        Stream::Receipts => RECEIPTS,
        Stream::Requests => REQUESTS,
        Stream::Cancels => CANCELS,
        Stream::Approvals => APPROVALS,
        Stream::Progress => PROGRESS,
        Stream::Parts => PARTS,
        Stream::Replies => REPLIES,
        Stream::Confirms => CONFIRMS,
        Stream::Audit => AUDIT,
        Stream::Control => CONTROL,
    }
}
