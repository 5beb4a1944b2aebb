//! When the system of record may be touched.
//!
//! Signals are sampled, a pure policy gives a verdict on each sample, a watch channel carries
//! it, and whoever wants to touch the source takes a permit for each quantum and loses it when
//! the gate shuts. No sample, no fresh sample, no believable sample: shut.
//!
//! - [`signal`] what is measured; [`own`] whose work is not the business's
//! - [`sample`], [`limits`], [`clock`] the values that decide
//! - [`policy`] PURE: (state, sample, limits, now) -> [`verdict`] with a reason
//! - [`orders`] what operators say; [`regime`] whether the kernel puts us behind the business
//! - [`law`] PURE: how much of the time, toward a harm budget; [`foreground`] what it is measured by
//! - [`plan`] signals, limits and pace of a configuration
//! - [`sampler`] signals -> policy -> watch channel, at a fixed pace
//! - [`permit`] the gate to its users, and what they hold; [`shut`] for a driver's trace
//! - [`script`] gates that do not measure: for benchmarks and tests
//! - [`journal`] the evidence; [`tally`] the counts
//! - [`record`] every sample kept; [`simulate`] and [`forecast`] PURE: what the recordings tell
//! - [`config`] how it is configured

pub mod clock;
pub mod config;
pub mod forecast;
pub mod foreground;
pub mod journal;
pub mod law;
pub mod limits;
pub mod orders;
pub mod own;
pub mod permit;
pub mod plan;
pub mod policy;
mod preempt;
pub mod record;
pub mod regime;
pub mod sample;
pub mod sampler;
pub mod script;
pub mod shut;
pub mod signal;
pub mod simulate;
pub mod tally;
mod turnstile;
pub mod verdict;

pub use config::{ConfigError, GateConfig};
pub use journal::merge;
pub use orders::{Orders, Standing};
pub use own::OwnPids;
pub use permit::{Gate, Permit};
pub use regime::Regime;
pub use sampler::Sampling;
pub use script::Script;
pub use shut::ShutFlag;
pub use tally::GateStatus;
pub use turnstile::Observation;
pub use verdict::{Reason, ReasonKind, Verdict};
