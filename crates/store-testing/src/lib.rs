//! The test suite that every store passes, and sample chunks. Only tests depend on this crate, so the product does not
//! compile it.
//!
//! - [`conformance`] the test suite of every store
//! - [`samples`] sample chunks

pub mod conformance;
pub mod samples;
