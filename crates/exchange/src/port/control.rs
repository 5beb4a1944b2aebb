//! Operations on operators' orders.

use async_trait::async_trait;
use bytes::Bytes;
use schemas::name::PartyName;

use super::Sequence;
use crate::error::{Error, ErrorKind, Result};
use crate::outcome::{Published, Stored};

fn unsupported_orders(party: &PartyName) -> Error {
    Error::new(
        ErrorKind::Protocol,
        format!("control.{party}: this transport does not support orders"),
    )
}

/// Operators' orders.
#[async_trait]
pub trait ControlExchange: Send + Sync {
    /// Returns the last record of a party's orders. Optional for benchmark transports.
    async fn last_control(&self, party: &PartyName) -> Result<Option<Stored>> {
        Err(unsupported_orders(party))
    }

    /// Publishes a record of a party's orders if its last one is still at `expected`.
    async fn publish_control(
        &self,
        party: &PartyName,
        _bytes: Bytes,
        _expected: Sequence,
    ) -> Result<Published> {
        Err(unsupported_orders(party))
    }
}
