//! The exchange port: what both parties may say to the exchange, whatever carries it.
//!
//! - [`port`] the verbs, as one trait; `nats` implements it over JetStream
//! - [`delivery`] what a fetch brings, and its settlement
//! - [`outcome`] what a publish comes to
//! - [`error`] what can go wrong, by kind, with the remedy
//! - [`conformance`] the suite that every transport must pass
//! - [`seek`] finds a chunk by its place
//! - [`memory`] an exchange in memory that passes it, for tests of agents

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
pub use port::Exchange;
