//! TLS to PostgreSQL over rustls.
//!
//! - `files` authorities, certificate and key, read again for every connection, so that renewing them needs no restart
//! - `verify` what `require`, `prefer` and `verify-ca` check of a certificate
//! - `connector` the driver's way to a TLS stream; `binding` PURE: the channel binding of a certificate
//! - [`TlsError`] what failed, with the remedy

mod binding;
mod connector;
mod error;
mod files;
mod verify;

pub(crate) use connector::{Connector, TlsStream};
pub use error::TlsError;
pub(crate) use error::of as error_of;
pub(crate) use files::config;
