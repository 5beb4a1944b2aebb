//! What every process of Slacktide needs around its work.
//!
//! - [`config`] the configuration file, the environment's overrides, secrets
//! - [`span`] durations as people write them; [`text`] PURE: text files of other programs
//! - [`telemetry`] logs
//! - [`health`] how the process is, over HTTP on the host; [`metrics`] the text of its numbers
//! - [`stop`] a clean stop; [`supervise`] an end when a part failed; [`stall`] a report when tasks do not run any more
//! - [`secrecy`] no image of this process's memory on a disk
//! - [`mod@replace`] a file that is replaced in one step
//! - [`exit`] how the process ended, as a code
//! - [`backoff`] PURE: how long to wait before the next attempt
//! - [`unverified`] why "caught up" cannot be claimed

pub mod backoff;
pub mod config;
pub mod exit;
pub mod health;
pub mod log_dedup;
pub mod metrics;
pub mod notify;
pub mod replace;
pub mod secrecy;
pub mod span;
pub mod stall;
pub mod stop;
pub mod supervise;
pub mod telemetry;
pub mod text;
pub mod unverified;
