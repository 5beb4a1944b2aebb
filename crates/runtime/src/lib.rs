//! What every process of Slacktide needs around its work: configuration, telemetry, health, a
//! clean stop, exit codes.
//!
//! - [`span`] durations as people write them

pub mod span;
