//! The exchange port over NATS JetStream, and its topology as data.
//!
//! The only crate that names the NATS client. The map:
//!
//! - reaching it: [`options`] what a connection needs, [`connection`] whether there is one, `connect`;
//!   `trust` what is wrong with a certificate
//! - asking it: `wire` one question and its answer, with a denial told as a denial; `refusal` what an
//!   error answer means
//! - the verbs: `publish`, `get`, `read`, `pull`, `requests`, put together in `port`
//! - [`fullness`] how full the streams of a party are
//! - [`topology`] streams, consumers and accounts as files; diff, apply, status
//!
//! The client is used for its connection alone: questions are asked by hand. Its own JetStream
//! calls wait out their timeout on a denial, hang when a pull is lost, and buffer publishes while
//! there is no connection, which then arrive after the caller has gone on.

pub mod connection;
pub mod fullness;
pub mod options;
pub mod topology;

mod connect;
mod get;
mod port;
mod publish;
mod pull;
mod read;
mod refusal;
mod requests;
mod streams;
mod trust;
mod wire;

pub use connect::JetStream;
pub use connection::Connection;
pub use fullness::Fullness;
pub use options::{Options, ReadSeed, Tls};
