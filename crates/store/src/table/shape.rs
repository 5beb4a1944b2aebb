//! PURE: what a lane's tables look like, and what a chunk's columns ask of them.
//!
//! The order of chunks decides, not the order in which they arrive: a chunk that lacks a column
//! and stands behind the newest shape has dropped it; one that stands before is one from before
//! the column came. A column whose type changed in another way goes on under its name, and the
//! old one is set aside under another: each chunk's values go to the one that was the column's in
//! its place, so an older chunk that comes later still finds where it belongs.
//!
//! - `known` what is known of them; `step` what can be done to the tables
//! - `fit` what a chunk's columns ask of them; `routes` where its values go

mod fit;
mod known;
mod routes;
mod step;
#[cfg(test)]
mod tests;

pub use fit::{Fit, fit};
pub use known::{Aside, Shape};
pub use routes::Routes;
pub use step::{Change, Step};
