//! Operations on audit entries, and replay.

use async_trait::async_trait;
use bytes::Bytes;
use schemas::name::PartyName;

use super::{ReadFrom, Sequence, Stream};
use crate::error::{Error, ErrorKind, Result};
use crate::outcome::{Published, Stored};
use crate::stream_state::StreamState;

/// Audit entries, and replay of every stream.
#[async_trait]
pub trait AuditExchange: Send + Sync {
    /// Returns the last audit entry of a writer.
    async fn last_audit(&self, party: &PartyName, writer: &PartyName) -> Result<Option<Stored>>;

    /// Publishes an audit entry if the writer's last one is still at `expected`.
    async fn publish_audit(
        &self,
        party: &PartyName,
        writer: &PartyName,
        bytes: Bytes,
        expected: Sequence,
    ) -> Result<Published>;

    /// Returns the parties that have a stream of this kind, sorted by name. The auditor may call it for every stream, the bureau
    /// to find the recipients that may file requests.
    async fn parties(&self, stream: Stream) -> Result<Vec<PartyName>>;

    /// Reads up to `max` messages of a stream from `from` on whose subjects match `filter` (a subject, `*` and `>` allowed; the
    /// second token is the party). Creates no consumer. The next page begins at the last sequence plus one; an empty result is
    /// the current end.
    ///
    /// The auditor may read everything; the bureau may read requests, cancellations, approvals, confirmations, its chunks and
    /// its operators' orders; the recipient may read its chunks and confirmations.
    async fn read(&self, stream: Stream, from: ReadFrom, filter: &str, max: usize) -> Result<Vec<Stored>>;

    /// Returns the state of a party's stream, answered by the stream's leader. [`AuditExchange::read`] may be answered by a
    /// replica that lags: a caller that concludes from the end of a read first gets the last sequence here, and judges only a read
    /// that reaches it. The auditor may ask for the streams that it reads, a party for those that it publishes in. Optional for
    /// transports.
    async fn stream_state(&self, stream: Stream, party: &PartyName) -> Result<StreamState> {
        let what = format!("{stream}.{party}: this transport does not report the state of a stream");
        Err(Error::new(ErrorKind::Protocol, what))
    }
}
