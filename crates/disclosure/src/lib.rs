//! What is withheld from recipients, in feeds and in answers to requests, as pure functions over values. No IO and no clock.
//!
//! - [`mask`] hides parts of a column's values
//! - [`blocklist`] names persons whose data is never sent
//! - [`hold`] evaluates operators' holds for a lane: nothing is published, or the rows of a person are withheld
//! - [`row_filter`] withholds the rows of these persons from an answer

pub mod blocklist;
pub mod hold;
pub mod mask;
pub mod row_filter;
