//! Audit: what the streams hold, told and checked by someone who can only read.
//!
//! - [`selection`] which messages
//! - [`walk`] reading a stream to its end, page by page, without a consumer
//! - [`replay`] messages as JSON lines: manifests or rows
//! - [`chain`] PURE: the rules that hold from one chunk of a lane to the next
//! - [`receipts`] PURE: the rules that hold from one receipt of a lane to the next
//! - [`anchors`] PURE: what chunks name of control records and audit chains
//! - [`entries`] PURE: the rules of the chains of acts
//! - [`heads`] PURE: the heads that an auditor keeps from one verification to the next
//! - [`verify`] all of them over the live streams, with the place of the first fault

pub mod anchors;
pub mod chain;
pub mod entries;
pub mod error;
pub mod heads;
pub mod receipts;
pub mod replay;
pub mod selection;
pub mod verify;
pub mod walk;

pub use error::AuditError;
