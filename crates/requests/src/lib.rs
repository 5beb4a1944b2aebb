//! What becomes of a data request: every decision, as pure functions over values.
//!
//! Nothing here does IO or knows a clock. The map:
//!
//! - what may be asked: [`kind`], with [`argument`]s that are bound by place
//! - whether a request is answered: [`admission`], by [`approval`], [`quota`] and [`hold`]; what is told if
//!   not: [`refusal`]
//! - what nobody gets: [`blocklist`]; what is shown of the rest: [`mask`]

pub mod admission;
pub mod approval;
pub mod argument;
pub mod blocklist;
pub mod hold;
pub mod kind;
pub mod mask;
pub mod quota;
pub mod refusal;
#[cfg(test)]
mod sample;
