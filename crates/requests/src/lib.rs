//! Decisions about data requests, as pure functions over values. No IO and no clock. Masks and the block
//! list, which apply to feeds too, are in `disclosure`.
//!
//! - [`kind`] what may be requested, with [`argument`]s that are bound by position
//! - [`admission`] whether a request is answered, by [`approval`], [`quota`] and [`hold`]; [`refusal`] why not
//! - [`queue`] the order of requests; [`forecast`] when each is answered
//! - [`status`] the state of a request

pub mod admission;
pub mod approval;
pub mod argument;
pub mod forecast;
pub mod hold;
pub mod kind;
pub mod queue;
pub mod quota;
pub mod refusal;
#[cfg(test)]
mod sample;
pub mod status;
