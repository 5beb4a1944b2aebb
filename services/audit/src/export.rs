//! Writes the streams to the files of an export. `docs/audit-export.md` describes the format.
//!
//! - [`claims`] PURE: what a message claims of itself: signer and place in its chain
//! - [`writer`] writes one file to any output
//! - [`run`] reads the exchange, period by period

pub mod claims;
pub mod run;
pub mod writer;
