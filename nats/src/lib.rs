//! The exchange port over NATS JetStream, and its topology as data.
//!
//! The only crate that uses the NATS client. Modules:
//!
//! - connection: [`options`], `connection` the client's events, `connect`; `version` the oldest server of a cluster, `failover`
//!   when to use another server of it
//! - requests: `wire` one request and its answer, with denials as errors; `refusal` the meaning of error answers
//! - operations of the port: `publish`, `get`, `read`, `pull`, `requests`, put together in `port`
//! - `stream_state` what a stream holds, and its replicas; `fullness` how full the streams of a party are
//! - [`topology`] streams, consumers and accounts as files; diff, apply, status
//!
//! The client is used for its connection alone: requests are written and read here. Its own JetStream
//! calls wait out their timeout on a denial, hang when a pull is lost, and buffer publishes while
//! there is no connection, which then arrive after the caller has continued.

pub mod options;
pub mod topology;

mod connect;
mod connection;
mod failover;
mod fullness;
mod get;
mod port;
mod publish;
mod pull;
mod read;
mod refusal;
mod requests;
mod stream_state;
mod streams;
mod version;
mod wire;

pub use connect::JetStream;
pub use exchange::{Connection, Fullness};
pub use options::{Options, ReadSeed, Tls};
