//! OpenTelemetry traces: spans of chunks and requests, sent to a collector over OTLP/HTTP. Off unless configured.
//!
//! - [`config`] the `[telemetry]` table
//! - [`span`] spans, and the context that a message carries
//! - [`export`] the bounded queue to the collector, and its start and end
//! - [`metrics`] the counts of spans
//! - `collector` one HTTP request to it
//!
//! While traces are off, or a trace is not sampled, a span is empty and costs a comparison: no header is sent and nothing is kept.
//! Attributes are names of feeds and recipients, numbers, and outcomes. No row, key, argument, person or reason is in one.

mod collector;
pub mod config;
pub mod export;
pub mod metrics;
pub mod span;

pub use config::TelemetryConfig;
pub use export::{Counts, Exporting, counts, start};
pub use span::{Span, child, root};
