//! PURE: rows as NDJSON, CSV and JSON.
//!
//! - [`value`] one value as JSON or as a CSV field
//! - [`time`] times as RFC 3339
//! - [`format`](mod@format) rows, header and end record of each format
//! - [`digest`] the digest over the bytes before the end record
//!
//! Nothing is rounded: decimals and integers beyond 2^53 are texts in JSON, times keep every digit.

pub(crate) mod digest;
pub(crate) mod format;
pub(crate) mod time;
pub(crate) mod value;
