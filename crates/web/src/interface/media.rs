//! Media types.

/// One message: an envelope as published (`schemas::envelope`).
pub const MESSAGE: &str = "application/vnd.slacktide.message";
/// A sequence of messages; see [`super::message`].
pub const MESSAGES: &str = "application/vnd.slacktide.messages";
/// JSON.
pub const JSON: &str = "application/json";
/// One JSON value per line.
pub const NDJSON: &str = "application/x-ndjson";
/// Comma-separated values, RFC 4180.
pub const CSV: &str = "text/csv";
/// An error; see [`super::problem`].
pub const PROBLEM: &str = "application/problem+json";
