//! The exchange port: the operations of both parties, independent of the transport.
//!
//! - [`port`] the operations, as five traits; `nats` implements them over JetStream
//! - [`delivery`] deliveries and their settlement
//! - [`outcome`] results of publishing
//! - [`error`] errors by kind, with the remedy
//! - [`conformance`] the suite that every transport must pass
//! - [`seek`] finds a chunk by its epoch and number
//! - [`memory`] an exchange in memory that passes the suite, for tests of agents

pub mod conformance;
pub mod delivery;
pub mod error;
pub mod memory;
pub mod outcome;
pub mod port;
pub mod seek;

pub use delivery::{Delivery, Settlement};
pub use error::{Error, ErrorKind, Result};
pub use outcome::{Filed, Published, Stored};
pub use port::{AuditExchange, ControlExchange, Exchange, FeedExchange, LeaseExchange, RequestExchange};
