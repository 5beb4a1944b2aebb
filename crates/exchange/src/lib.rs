//! The exchange port: the operations of both parties, independent of the transport.
//!
//! - [`port`] the operations, as six traits; `nats` implements them over JetStream
//! - [`delivery`] deliveries and their settlement
//! - [`outcome`] results of publishing
//! - [`error`] errors by kind, with the remedy; [`trust`] certificate errors
//! - [`connection`] the state of a connection
//! - [`stream_state`] what a stream holds; [`fullness`] how much of its limit is used
//! - [`trace`] the trace context of a message
//! - [`seek`] finds a chunk by its epoch and number
//!
//! The suite that every transport must pass, and an exchange in memory for tests, are in the crate `exchange-testing`.

pub mod connection;
pub mod delivery;
pub mod error;
pub mod fullness;
pub mod outcome;
pub mod port;
pub mod seek;
pub mod stream_state;
pub mod trace;
pub mod trust;

pub use connection::Connection;
pub use delivery::{Delivery, Settlement};
pub use error::{Error, ErrorKind, Result};
pub use fullness::Fullness;
pub use outcome::{Filed, Published, Stored};
pub use port::{
    AuditExchange, ControlExchange, Exchange, FeedExchange, LeaseExchange, RequestExchange, StatusExchange,
};
pub use stream_state::StreamState;
pub use trace::TraceParent;
