//! What becomes of a data request: every decision, as pure functions over values.
//!
//! Nothing here does IO or knows a clock. The map:
//!
//! - what may be asked: [`kind`], with [`argument`]s that are bound by place
//! - whether a request is answered: [`admission`], by [`approval`], [`quota`] and [`hold`]; what is told if
//!   not: [`refusal`]
//! - when: [`queue`], [`forecast`]
//! - what nobody gets: [`blocklist`], applied to rows by [`screen`]; what is shown of the rest: [`mask`]
//! - which parts are the answer: [`attempt`]
//! - how it stands: [`status`]

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
#[cfg(test)]
mod sample;
pub mod screen;
pub mod status;
