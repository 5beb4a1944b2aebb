//! PURE: compares the rows of a feed at the core with those at a store, by digests.
//!
//! Both sides compute the digests of the same rows independently: the core's as they are sent, masks included, the store's as they
//! are stored. The first pass compares buckets of rows, the second one single keys of the buckets that differ. Neither side shows
//! a row to the other.
//!
//! - [`form`] the form of a value that is the same on both sides; [`row_digest`] the digests of a row and of its key
//! - [`tree`] number of rows, sums and an order-free digest of each bucket and day
//! - [`lateness`] whether a row is after a lane's position
//! - [`pass`] what is asked in a pass, and the rows of its answer
//! - [`comparison`] which buckets differ, which keys differ and why

pub mod comparison;
pub mod form;
pub mod lateness;
pub mod pass;
pub mod row_digest;
pub mod tree;

pub use comparison::{CoreKey, CoreState, Difference, Finding, StoreKey};
pub use pass::{Header, PassAnswer, PassRequest, Repaired};
pub use row_digest::{Digested, MissingColumn, RowDigester};
pub use schemas::key_digest::KeyDigest;
pub use tree::{Summary, Tree};
