//! Audit: reads, verifies and exports the streams with a read-only credential.
//!
//! - [`selection`] selects messages
//! - [`ends`] asks for the last sequence of each stream, in an order in which no message refers beyond another stream's end
//! - [`walk`] reads a stream to its end, page by page, without a consumer
//! - [`replay`] prints messages as JSON lines or CSV: manifests or rows
//! - [`trail`] finds everything about one request or one person
//! - [`verify`] verifies the live streams with the rules of the crate `verification`
//! - [`export`] writes the streams to files, which `slacktide-verify` verifies without the exchange

pub mod ends;
pub mod error;
pub mod export;
pub mod replay;
pub mod selection;
pub mod trail;
pub mod verify;
pub mod walk;

pub use error::AuditError;
