//! The demo's insurance data: deterministic from a seed, exact to the cent, invented throughout.
//!
//! - [`rng`] random numbers; [`money`] exact decimals; [`certno`] identity numbers
//! - [`codes`] code lists; [`tables`] the tables and their columns
//! - [`person`], [`visit`], [`settlement`] one insured person, one visit, one settlement
//! - [`core`] creates and fills the database

pub(crate) mod certno;
pub(crate) mod codes;
pub(crate) mod core;
pub(crate) mod money;
pub(crate) mod person;
pub(crate) mod rng;
pub(crate) mod settlement;
pub(crate) mod tables;
pub(crate) mod visit;
