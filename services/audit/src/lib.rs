//! Audit: reads and verifies the streams with a read-only credential.
//!
//! - [`selection`] selects messages
//! - [`walk`] reads a stream to its end, page by page, without a consumer
//! - [`replay`] prints messages as JSON lines: manifests or rows
//! - [`chain`] PURE: the rules between consecutive chunks of a lane
//! - [`receipts`] PURE: the rules between consecutive receipts of a lane
//! - [`anchors`] PURE: the control records and audit entries that chunks name
//! - [`entries`] PURE: the rules of audit chains
//! - [`heads`] PURE: the heads that an auditor keeps between verifications
//! - [`violation`] the rules that a message can break
//! - [`verify`] checks the live streams with all of them, and locates the first [`fault`] of each

pub mod anchors;
pub mod chain;
pub mod entries;
pub mod error;
pub mod fault;
pub mod heads;
pub mod receipts;
pub mod replay;
pub mod selection;
pub mod verify;
pub mod violation;
pub mod walk;

pub use error::AuditError;
pub use violation::Violation;
