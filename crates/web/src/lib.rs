//! The exchange over HTTP.
//!
//! - [`client`] the exchange traits over the interface
//! - [`interface`] what gateway and clients have in common: paths, headers, media types, bodies, problems
//!
//! The gateway (`services/gateway`) serves the interface; the client implements the exchange traits over it, so that an agent
//! changes one URL and nothing else.

pub mod client;
pub mod interface;

pub use client::WebExchange;
pub use client::options::{Options, ReadToken, Tls};
