//! Rows into the target: bulk first, and when the server refuses the bulk, halves of it, down
//! to the rows at fault.
//!
//! - `stage` the staging tables; `names` PURE, the SQL that goes from there to the target
//! - `traits` what of a table decides how rows are written; `copy` rows as text
//! - `park` older versions give up what is unique
//! - `target` which way a bulk goes, and what becomes of what is refused; `taken` PURE, what the server made of it

mod copy;
mod names;
mod park;
mod stage;
mod taken;
mod target;
mod traits;

pub(super) use park::{Park, parks};
pub(super) use stage::{is_partitioned, stage};
pub(super) use target::{Refused, Target};
