//! The PostgreSQL servers that a URL names, and how one of them is reached.
//!
//! A core or a receiver that fails over has several. The agent on either side has to reach the one that took over while
//! another hangs, and has to give up a connection without a peer. That is the same on both sides; what is sent on a
//! connection, and what its errors mean, is not, and stays with `source` and `store`.
//!
//! Nothing else in the workspace connects to PostgreSQL, so TLS and the handling of the server's messages hold everywhere.
//!
//! - [`Url`] PURE: a connection string with its TLS parameters; [`UrlError`] never repeats any of it
//! - [`SslMode`] PURE: how much of TLS is required, and the default for a host
//! - [`Servers`] tries one after the other, each with a time of its own; `hosts` PURE: a URL that names several, as one for each
//! - `tls` the connector over rustls; [`TlsError`] what failed, with the remedy
//! - [`Security`] what protects a connection that is open
//! - [`Driver`] drives a connection and drops the server's notices; [`Cancel`] cancels a statement over the same TLS
//! - [`Answer`] PURE: what may be passed on of a server's error: no text that could hold a row's value
//! - [`settings`] PURE: what a session pins, so that no setting of a role or a database alters a value
//! - [`cause`] PURE: the cause of a nested driver error

mod answer;
mod cancel;
mod cause;
mod driver;
mod hosts;
mod mode;
mod reach;
mod security;
pub mod settings;
mod tls;
mod url;

pub use answer::Answer;
pub use cancel::Cancel;
pub use cause::cause;
pub use driver::Driver;
pub use mode::SslMode;
pub use reach::{CONNECT_WITHIN, Reached, Servers, Unreached};
pub use security::{Negotiated, Security};
pub use tls::TlsError;
pub use url::{Url, UrlError};
