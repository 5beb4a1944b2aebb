//! Decisions about data requests, as pure functions over values. No IO and no clock.
//!
//! - [`kind`] what may be requested, with [`argument`]s that are bound by position
//! - [`admission`] whether a request is answered, by [`approval`], [`quota`] and [`hold`]; [`refusal`] why not
//! - [`queue`] the order of requests; [`forecast`] when each is answered
//! - [`blocklist`] persons whose data is never sent, applied to rows by [`row_filter`]; [`mask`] hides parts of the rest
//! - [`attempt`] which parts are the answer
//! - [`status`] the state of a request

pub mod admission;
pub mod approval;
pub mod argument;
pub mod attempt;
pub mod blocklist;
pub mod forecast;
pub mod hold;
pub mod kind;
pub mod mask;
pub mod queue;
pub mod quota;
pub mod refusal;
pub mod row_filter;
#[cfg(test)]
mod sample;
pub mod status;
