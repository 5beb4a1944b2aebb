//! One part of the path alone, over the same rows, and the ceilings that nothing can pass.
//!
//! Each starts afresh: a new cursor, a new lane, a new database. What is timed is the stage's own
//! work; connecting, and making what it works on, is not.

mod ceilings;
mod freight;
mod publish;
mod read;
mod store;

use std::time::Duration;

pub(crate) use freight::Freight;

use crate::Outcome;
use crate::report::Subject;
use crate::rig::Rig;

/// Runs one stage; gives the time that all rows took.
///
/// # Errors
/// When it fails, or when rows are missing at its end.
pub(crate) async fn run(subject: Subject, rig: &Rig, freight: &Freight, round: usize) -> Outcome<Duration> {
    match subject {
        Subject::CopyOut => ceilings::copy_out(rig, freight.rows).await,
        Subject::Read => read::run(rig, freight.rows).await,
        Subject::Seal => freight.seal(),
        Subject::Publish => publish::run(rig, freight, round).await,
        Subject::Open => freight.open(rig),
        Subject::Store => store::run(rig, freight).await,
        Subject::CopyIn => ceilings::copy_in(rig, freight.rows).await,
        Subject::Whole => Err("the whole path is no stage".into()),
    }
}
