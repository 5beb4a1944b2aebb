//! Each stage alone over the same rows, and the database ceilings.
//!
//! Each starts with a new cursor, a new lane, a new database. Only the stage's own work is measured, not connecting or
//! preparing its input.

mod ceilings;
mod payload;
mod publish;
mod read;
mod store;

use std::time::Duration;

pub(crate) use payload::Payload;

use crate::Outcome;
use crate::report::Subject;
use crate::rig::Rig;

/// Runs one stage; returns the time for all rows.
///
/// # Errors
/// If it fails, or if rows are missing at its end.
pub(crate) async fn run(subject: Subject, rig: &Rig, payload: &Payload, round: usize) -> Outcome<Duration> {
    match subject {
        Subject::CopyOut => ceilings::copy_out(rig, payload.rows).await,
        Subject::Read => read::run(rig, payload.rows).await,
        Subject::Sign => payload.sign(),
        Subject::Publish => publish::run(rig, payload, round).await,
        Subject::Open => payload.open(rig),
        Subject::Store => store::run(rig, payload).await,
        Subject::CopyIn => ceilings::copy_in(rig, payload.rows).await,
        Subject::Whole | Subject::Https => Err("the whole path is not a stage".into()),
    }
}
