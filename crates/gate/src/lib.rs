//! Decides when the system of record may be read.
//!
//! The sampler reads signals. A pure policy turns each sample into a verdict. A watch channel publishes the verdict. A
//! worker takes a permit for each quantum and loses it when the gate closes. A missing, stale or implausible sample
//! closes the gate.
//!
//! - [`signal`] the measurements; [`own`] the processes whose load is our own
//! - [`sample`], [`limits`], [`clock`] the values that decide
//! - [`policy`] PURE: (state, sample, limits, now) -> [`verdict`] with a reason
//! - [`orders`] operators' orders; [`priority_mode`] whether the kernel runs our work only in idle time
//! - [`law`] PURE: the duty cycle, held within a harm budget; [`duty_law`] its parameters; [`relief`] PURE: exceptions for a
//!   core that is never idle; [`foreground`] the business's scheduling statistics
//! - [`plan`] signals, limits and sampling interval of a configuration
//! - [`sampler`] signals -> policy -> watch channel, at a fixed interval
//! - [`permit`] the gate's API and its permits; [`closed_flag`] a flag for database drivers
//! - [`script`] fixed-open and scripted gates for benchmarks and tests
//! - [`journal`] the evidence; [`stats`] the counters
//! - [`config`] the configuration

mod admission;
pub mod clock;
pub mod closed_flag;
pub mod config;
mod config_error;
pub mod duty_law;
pub mod foreground;
pub mod journal;
pub mod law;
pub mod limits;
pub mod orders;
pub mod own;
pub mod permit;
pub mod plan;
pub mod policy;
pub mod priority_mode;
pub mod relief;
mod run_queue;
pub mod sample;
pub mod sampler;
pub mod script;
pub mod signal;
pub mod stats;
pub mod verdict;

pub use admission::Observation;
pub use closed_flag::ClosedFlag;
pub use config::GateConfig;
pub use config_error::ConfigError;
pub use journal::merge;
pub use orders::{ActiveOrder, Orders};
pub use own::OwnPids;
pub use permit::{Gate, Permit};
pub use priority_mode::PriorityMode;
pub use sampler::SamplerTasks;
pub use script::Script;
pub use stats::GateStatus;
pub use verdict::{Reason, ReasonKind, Verdict};
