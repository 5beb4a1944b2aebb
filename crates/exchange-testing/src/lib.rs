//! For tests: the conformance suite of the exchange port, and an exchange in memory that passes it.
//!
//! Only tests and benchmarks depend on this crate, so no program of the product contains it. It is a crate and not a
//! Cargo feature of `exchange`: a feature that only dev-dependencies enable would make Cargo compile `exchange`, and
//! every crate above it, once with the feature for the tests and once without it for the programs.
//!
//! - [`conformance`] the suite that every transport must pass
//! - [`memory`] an exchange in memory, for tests of agents

pub mod conformance;
pub mod memory;
