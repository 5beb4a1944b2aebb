//! The insurer's requests and their replies.
//!
//! `slacktide.outbox` is the only bookkeeping table that others write.
//!
//! - [`filing`] the outbox, and requests until they are at the exchange
//! - [`queries`] queries of requests and replies
//! - [`replies`] the statements of a transaction that stores a reply

pub(crate) mod filing;
pub(crate) mod queries;
pub(crate) mod replies;

use schemas::request::RequestId;

use super::{Row, SqlSession, unreadable};
use crate::error::Result;

/// Reads a request's id.
fn request_id<S: SqlSession>(row: &dyn Row, at: usize) -> Result<RequestId> {
    row.text(at)?.parse().map_err(|_| unreadable::<S>("requests"))
}
