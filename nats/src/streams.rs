//! The names of the streams, as the shipped topology has them.
//!
//! Each party has streams of its own, `DATA_insurer-a`: a stream has one limit of bytes, and what one party stores, or does
//! not fetch, takes no room from another one. Only the leases are in one stream, for they are the bureau's alone.

use std::fmt::Display;

use exchange::port::{Stream, filter_party, missing_party};
use exchange::{Error, ErrorKind, Result};
use schemas::subject::Subject;

pub(crate) const LEASES: &str = "LEASES";

/// The beginnings of the names of streams that each party has for itself.
pub(crate) const DATA: &str = "DATA";
pub(crate) const REPLIES: &str = "REPLIES";
pub(crate) const APPROVALS: &str = "APPROVALS";
pub(crate) const PROGRESS: &str = "PROGRESS";
pub(crate) const PARTS: &str = "PARTS";
pub(crate) const RECEIPTS: &str = "RECEIPTS";
pub(crate) const REQUESTS: &str = "REQUESTS";
pub(crate) const CANCELS: &str = "CANCELS";
pub(crate) const CONFIRMS: &str = "CONFIRMS";
pub(crate) const AUDIT: &str = "AUDIT";
pub(crate) const CONTROL: &str = "CONTROL";
pub(crate) const STATUS: &str = "STATUS";

/// The stream of a kind that a party has for itself.
pub(crate) fn own(kind: &str, party: &dyn Display) -> String {
    format!("{kind}_{party}")
}

/// The stream that holds a subject.
pub(crate) fn of(subject: &Subject) -> String {
    match subject {
        Subject::Data(lane) => own(DATA, &lane.recipient),
        Subject::Receipt(lane) => own(RECEIPTS, &lane.recipient),
        Subject::Request(recipient, _) => own(REQUESTS, recipient),
        Subject::Cancel(recipient, _) => own(CANCELS, recipient),
        Subject::Approval(recipient, ..) => own(APPROVALS, recipient),
        Subject::Progress(recipient, _) => own(PROGRESS, recipient),
        Subject::Part(recipient, ..) => own(PARTS, recipient),
        Subject::Reply(recipient, _) => own(REPLIES, recipient),
        Subject::Confirm(recipient, _) => own(CONFIRMS, recipient),
        Subject::Audit(party, _) => own(AUDIT, party),
        Subject::Control(party) => own(CONTROL, party),
        Subject::Status(party, _) | Subject::Watch(party) => own(STATUS, party),
        Subject::Lease(_) => LEASES.to_owned(),
    }
}

/// What the names of the streams of a kind begin with.
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
/// If the filter names no party.
pub(crate) fn read(stream: Stream, filter: &str) -> Result<String> {
    match filter_party(filter) {
        Some(party) => Ok(own(kind(stream), &party)),
        None => Err(Error::new(ErrorKind::Protocol, missing_party(stream, filter))),
    }
}
