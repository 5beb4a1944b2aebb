//! Rows into the target: bulk first, and when the server refuses the bulk, halves of it, down
//! to the rows at fault.
//!
//! - `stage` the staging tables; `names` PURE, the SQL that goes from there to the target
//! - `copy` rows as text
//! - `target` which way a bulk goes, and what becomes of what is refused

mod copy;
mod names;
mod stage;
mod target;

pub(super) use stage::{is_partitioned, stage};
pub(super) use target::{Refused, Target};
