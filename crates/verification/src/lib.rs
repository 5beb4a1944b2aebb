//! Verification of evidence: what the exchange's streams, or an export of them, prove. Nothing here opens a file, reads a clock or
//! uses a network; the caller passes messages or a reader.
//!
//! One message:
//! - [`message`] a message with its place; [`examine`] PURE: checks a message on its own: schema, signature, body, totals
//! - [`trust`] the trusted keys, and when each is valid; [`trust_file`] as a file
//! - [`load`] PURE: whether the gate was allowed to be open under the load evidence
//!
//! Consecutive messages:
//! - [`chain`] PURE: the rules between consecutive chunks of a lane
//! - [`receipts`] PURE: the rules of receipts, against the chunks that they sign for
//! - [`entries`] PURE: the rules of audit chains
//! - [`orders`] PURE: the rules of operators' orders
//! - [`anchors`] PURE: the control records and audit entries that chunks name
//! - [`requests`] PURE: the rules between a request, its decisions, its answer and its confirmation
//! - [`heads`] PURE: the heads that an auditor keeps between verifications
//!
//! All of it:
//! - [`verifier`] takes messages stream by stream; [`findings`] the result; [`report`] as JSON and as lines
//! - [`violation`] the rules that a message can break; [`fault`] a located violation
//! - [`export`] the file format of exports, and their verification

pub mod anchors;
pub mod chain;
pub mod entries;
pub mod examine;
pub mod export;
pub mod fault;
pub mod findings;
pub mod heads;
pub mod load;
pub mod message;
pub mod orders;
pub mod receipts;
pub mod report;
pub mod requests;
pub mod trust;
pub mod trust_file;
pub mod verifier;
pub mod violation;

pub use fault::{Fault, FaultClass};
pub use findings::Findings;
pub use message::{Message, Place, StreamId};
pub use trust::{KeyRule, Trust};
pub use verifier::{Scope, Verifier};
pub use violation::Violation;
