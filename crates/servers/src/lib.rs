//! The PostgreSQL servers that a URL names, and how one of them is reached.
//!
//! A core or a receiver that fails over has several. The agent on either side has to reach the one that took over while
//! another hangs, and has to give up a connection that nobody hears. That is the same on both sides; what is said on a
//! connection, and what its errors mean, is not, and stays with `source` and `store`.
//!
//! - [`Servers`] tries one after the other, each with a time of its own
//! - `hosts` PURE: a URL that names several, as one for each
//! - [`cause`] PURE: what was wrong, where the driver says it in layers

mod cause;
mod hosts;
mod reach;

pub use cause::cause;
pub use reach::{CONNECT_WITHIN, Reached, Servers, Unreached};
