//! The HTTP gateway: serves the interface of `web` over the exchange traits.
//!
//! It holds no key that signs or decrypts a message, and no state of a session. Each party has its own connection to the
//! exchange, with its own credential, so the exchange's permissions decide about every operation.
//!
//! - [`serve`](mod@serve) start and stop; [`config`] settings as plain values
//! - [`party`] the parties; [`gateway`](mod@gateway) what all requests share
//! - [`identity`] PURE: which party a client certificate belongs to; [`token`] bearer tokens
//! - `caller` authenticates a request; `authentication` PURE: by certificate and token
//! - `listen` accepts connections, `connection` serves one; `tls` certificates, read again when they change
//! - `feed_reader` the chunks of a feed in order; `feed_link` PURE: whether a message is the chunk that follows
//! - `shared_read` one read for all readers that poll at the same time
//! - `rows` PURE: rows as NDJSON, CSV and JSON; `rows_download`, `answer_download` stream them; [`profile`] the file of a reader
//! - `routes` one file for each group of resources; `read` routes for readers without a signing key
//! - `input` paths, queries and bodies; `precondition` PURE: conditions of a write; `respond` responses; `rejection` problems
//! - `finish` request ids, problems, time limits and measurements around every request
//! - [`client`] the client of a connection; [`mounted`] pages that the binary adds, such as the console
//! - `openapi` the description of the interface; `docs_page` the same as a page
//! - `metrics`, `report` what the health server exports

mod answer_download;
mod authentication;
mod caller;
pub mod client;
pub mod config;
mod connection;
mod docs_page;
mod feed_link;
mod feed_reader;
mod finish;
#[cfg(test)]
mod fixture;
pub mod gateway;
pub mod identity;
mod input;
mod listen;
mod metrics;
pub mod mounted;
mod openapi;
pub mod party;
mod precondition;
pub mod profile;
mod rejection;
mod report;
mod respond;
mod routes;
mod rows;
mod rows_download;
pub mod serve;
mod shared_read;
mod tls;
pub mod token;
mod trace;

pub use config::{GatewayConfig, Limits, TlsFiles};
pub use gateway::Gateway;
pub use identity::PartyIdentity;
pub use mounted::Mounted;
pub use party::{ConsoleRole, PartyAccess, Role};
pub use serve::{Parts, Serving, StartError, serve};
pub use token::{TokenEntry, TokenError, TokenRegistry};
