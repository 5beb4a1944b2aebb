//! Operations on the status of agents.

use async_trait::async_trait;
use bytes::Bytes;
use schemas::name::PartyName;

use super::Sequence;
use crate::error::{Error, ErrorKind, Result};
use crate::outcome::Stored;

fn unsupported_status<T>(party: &PartyName) -> Result<T> {
    Err(Error::new(
        ErrorKind::Protocol,
        format!("status.{party}: this transport does not support the status of agents"),
    ))
}

/// The status of a party's agents. The last message of each subject is kept, for a day at most; nothing is decided by it.
///
/// The party itself may publish and read; the auditor may read every party's. An exchange that is older than this has no stream
/// for it: the error's kind is then `Topology` or `Denied`. Optional for benchmark transports.
#[async_trait]
pub trait StatusExchange: Send + Sync {
    /// Replaces the status of one agent (`schemas::status_report`) and returns its sequence. Unconditional: of two processes of
    /// one writer the later report is read.
    async fn publish_status(
        &self,
        party: &PartyName,
        _writer: &PartyName,
        _bytes: Bytes,
    ) -> Result<Sequence> {
        unsupported_status(party)
    }

    /// Returns the last status of each of a party's agents, by subject.
    async fn statuses(&self, party: &PartyName) -> Result<Vec<Stored>> {
        unsupported_status(party)
    }

    /// Replaces the note that an operator watches a party's agents (`schemas::status_report::WatchNote`).
    async fn publish_watch(&self, party: &PartyName, _bytes: Bytes) -> Result<Sequence> {
        unsupported_status(party)
    }

    /// Returns the last note that an operator watches a party's agents.
    async fn last_watch(&self, party: &PartyName) -> Result<Option<Stored>> {
        unsupported_status(party)
    }
}
