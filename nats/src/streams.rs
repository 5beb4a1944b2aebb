//! The names of the streams, as the shipped topology has them.
//!
//! What several parties publish is in a stream for each of them, `REQUESTS_insurer-a`: a stream has one limit of
//! bytes, and no party shall fill what another one needs. What only the bureau publishes is in one stream.

use std::fmt::Display;

use exchange::port::{Stream, no_party, party_of};
use exchange::{Error, ErrorKind, Result};
use schemas::subject::Subject;

pub(crate) const DATA: &str = "DATA";
pub(crate) const REPLIES: &str = "REPLIES";
pub(crate) const APPROVALS: &str = "APPROVALS";
pub(crate) const PROGRESS: &str = "PROGRESS";
pub(crate) const PARTS: &str = "PARTS";
pub(crate) const LEASES: &str = "LEASES";

/// The beginnings of the names of streams that each party has for itself.
pub(crate) const RECEIPTS: &str = "RECEIPTS";
pub(crate) const REQUESTS: &str = "REQUESTS";
pub(crate) const CANCELS: &str = "CANCELS";
pub(crate) const CONFIRMS: &str = "CONFIRMS";
pub(crate) const AUDIT: &str = "AUDIT";
pub(crate) const CONTROL: &str = "CONTROL";

/// The stream of a kind that a party has for itself.
pub(crate) fn own(kind: &str, party: &dyn Display) -> String {
    format!("{kind}_{party}")
}

/// The stream that holds a subject.
pub(crate) fn of(subject: &Subject) -> String {
    match subject {
        Subject::Data(_) => DATA.to_owned(),
        Subject::Reply(..) => REPLIES.to_owned(),
        Subject::Approval(..) => APPROVALS.to_owned(),
        Subject::Progress(..) => PROGRESS.to_owned(),
        Subject::Part(..) => PARTS.to_owned(),
        Subject::Lease(_) => LEASES.to_owned(),
        Subject::Receipt(lane) => own(RECEIPTS, &lane.recipient),
        Subject::Request(recipient, _) => own(REQUESTS, recipient),
        Subject::Cancel(recipient, _) => own(CANCELS, recipient),
        Subject::Confirm(recipient, _) => own(CONFIRMS, recipient),
        Subject::Audit(party, _) => own(AUDIT, party),
        Subject::Control(party) => own(CONTROL, party),
    }
}

/// The name of a stream, or what the names of its kind begin with.
pub(crate) fn kind(stream: Stream) -> &'static str {
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

/// The stream that a reader means.
///
/// # Errors
/// When each party has one of its own, and the filter names none.
pub(crate) fn read(stream: Stream, filter: &str) -> Result<String> {
    if !stream.is_per_party() {
        return Ok(kind(stream).to_owned());
    }
    match party_of(filter) {
        Some(party) => Ok(own(kind(stream), &party)),
        None => Err(Error::new(ErrorKind::Protocol, no_party(stream, filter))),
    }
}
