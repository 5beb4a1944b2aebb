//! The gateway over real connections on a loopback address, with the exchange in memory.
//!
//! - `site` a gateway with four parties, and clients
//! - `writes` conditional writes; `deliveries` queues and streams
//! - `access` credentials and roles; `input` malformed, oversized and slow requests
//! - `hostile` messages, tokens and cursors of an attacker; `floods` clients that take what they can: connections, headers, resets
//! - `conformance` the suite of the exchange port, through the client of `web`
//! - `tls` certificates; `stop` the end of connections
//! - `reading` readers without an agent; `fixture` a feed with signed chunks
//! - `mounted` pages next to the interface
//! - `pages` description, compression, metrics

#![allow(clippy::unwrap_used, reason = "a failed setup must fail the test")]

mod access;
mod conformance;
mod deliveries;
#[path = "../src/fixture.rs"]
#[allow(dead_code, reason = "the unit tests use the rest of it")]
mod fixture;
mod floods;
mod hostile;
mod input;
mod mounted;
mod pages;
mod reading;
mod site;
mod stop;
mod tls;
mod writes;
