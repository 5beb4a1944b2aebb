//! The HTTP interface, version 1, as gateway and clients share it.
//!
//! - [`path`] route templates and the paths made from them
//! - [`header`] header names, entity tags and digests
//! - [`media`] media types
//! - [`message`] a sequence of messages in one body, with a mandatory end record
//! - [`body`] JSON bodies
//! - [`whole_number`] whole numbers in them
//! - [`feeds`] JSON bodies for readers: feeds, and the end record of rows
//! - [`problem`] errors (RFC 9457), and how they correspond to the kinds of the exchange's errors
//! - [`cursor`] a reader's position in a feed
//!
//! **A resource that holds one message** (a lane's tail, a receipt, a lease, a reply, a part …):
//!
//! - `GET` returns 200 with the envelope as published, `ETag: "<sequence>"` and the headers of [`header`]; 204 with `ETag: "0"`
//!   if there is no message.
//! - `PUT` with `If-Match: "<sequence>"` publishes if the last message is still at this sequence (`"0"`: none): 204 with the new
//!   `ETag`; 412 with the current `ETag` if another writer was first; 428 without the header.
//! - `PUT` with `If-None-Match: *`, for resources that accept one message only (requests, cancellations, replies, parts,
//!   approvals, confirmations): 201 with `ETag`; 412 with the `ETag` of the message that is there.
//! - `PUT` without a condition, for progress only: 204 with the new `ETag`.

pub mod body;
pub mod cursor;
pub mod feeds;
pub mod header;
pub mod media;
pub mod message;
pub mod path;
pub mod problem;
pub mod whole_number;
