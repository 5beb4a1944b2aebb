//! The suite of the quarantine: a released entry has the same result as late storing, once.

mod endings;
mod messages;
mod rows;
mod stored_again;

use std::future::Future;
use std::sync::Arc;

use super::{Check, Failure, Outcome, Receiver, ensure, run_checks};
use store::layout::Options;
use store::port::Store;
use store::quarantine::{Decision, Entry, EntryFilter, Quarantine, RetryOutcome};

/// A receiver with access to its quarantine.
pub trait QuarantineReceiver: Receiver {
    /// Returns another quarantine over it, as another process would have.
    fn quarantine(&self) -> Arc<dyn Quarantine> {
        self.quarantine_with(Options::default())
    }
    /// Returns the same with options.
    fn quarantine_with(&self, options: Options) -> Arc<dyn Quarantine>;
}

/// All checks, by name.
pub const CHECKS: &[(&str, Check<dyn QuarantineReceiver>)] = &[
    ("a refused row is stored when its constraint is gone", |k| {
        Box::pin(rows::released(k))
    }),
    ("a row that is refused again stays, with today's reason", |k| {
        Box::pin(rows::still_refused(k))
    }),
    (
        "a row that is refused when it is stored again is kept again",
        |k| Box::pin(stored_again::refused_again(k)),
    ),
    (
        "a row that is accepted when stored again leaves the quarantine",
        |k| Box::pin(stored_again::taken_again(k)),
    ),
    ("a discarded row does not block a resynchronisation", |k| {
        Box::pin(stored_again::given_up_keeps_nothing(k))
    }),
    ("a retried row overwrites nothing newer", |k| {
        Box::pin(rows::newer_is_kept(k))
    }),
    ("a retried row does not resurrect a deleted one", |k| {
        Box::pin(rows::no_resurrection(k))
    }),
    ("a retried row is stored in order in the history", |k| {
        Box::pin(rows::versions(k))
    }),
    ("rows retried at once are stored once", |k| {
        Box::pin(rows::at_once(k))
    }),
    (
        "a message that can be opened now is stored after later chunks",
        |k| Box::pin(messages::released(k)),
    ),
    ("an interrupted retry is completed by a repetition", |k| {
        Box::pin(messages::killed_between(k))
    }),
    ("messages retried at once are stored once", |k| {
        Box::pin(messages::at_once(k))
    }),
    (
        "rows of a retried message that are refused are entries of their own",
        |k| Box::pin(messages::refused_rows(k)),
    ),
    ("a contradicting message is refused and stops nothing", |k| {
        Box::pin(messages::contradicts(k))
    }),
    (
        "a stopped lane waits, and superseded chunks are not stored",
        |k| Box::pin(endings::left_behind(k)),
    ),
    (
        "a discarded entry keeps its digest and stays in the receipts",
        |k| Box::pin(endings::discarded(k)),
    ),
    ("a reject is kept and never stored", |k| {
        Box::pin(endings::rejects(k))
    }),
    ("a concurrent advance keeps a retry's recount", |k| {
        Box::pin(endings::advanced_meanwhile(k))
    }),
    ("tables of earlier versions are upgraded", |k| {
        Box::pin(endings::upgraded(k))
    }),
];

/// Runs all checks, each on a new receiver of `make`, and names every failure.
///
/// # Errors
/// One line for each failed check.
pub async fn run<F, Made>(make: F) -> Result<usize, String>
where
    F: Fn() -> Made,
    Made: Future<Output = Box<dyn QuarantineReceiver>>,
{
    run_checks(CHECKS, make).await
}

const UNIQUE: &str = "CREATE UNIQUE INDEX setl_name ON setl (name)";
const NOT_UNIQUE: &str = "DROP INDEX setl_name";

fn by() -> Decision {
    Decision {
        actor: "li.na".to_owned(),
        reason: "repaired".to_owned(),
    }
}

/// Returns a prepared quarantine.
async fn open(receiver: &dyn QuarantineReceiver) -> Result<Arc<dyn Quarantine>, Failure> {
    let quarantine = receiver.quarantine();
    quarantine.prepare().await?;
    Ok(quarantine)
}

/// Returns the current entries.
async fn kept(quarantine: &dyn Quarantine) -> Result<Vec<Entry>, Failure> {
    Ok(quarantine.entries(&EntryFilter::default()).await?)
}

/// Returns the only current entry.
async fn only(quarantine: &dyn Quarantine) -> Result<Entry, Failure> {
    let mut entries = kept(quarantine).await?;
    ensure(entries.len() == 1, format_args!("not one entry: {entries:?}"))?;
    entries.pop().ok_or_else(|| Failure("no entry".to_owned()))
}

fn ids(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|entry| entry.id.clone()).collect()
}

async fn execute(receiver: &dyn QuarantineReceiver, sql: &str) -> Outcome {
    receiver.execute(sql).await.map_err(Failure)
}

/// Returns how many of the outcomes match.
fn counted(answers: &[RetryOutcome], what: impl Fn(&RetryOutcome) -> bool) -> usize {
    answers.iter().filter(|outcome| what(outcome)).count()
}

fn store_of(quarantine: &Arc<dyn Quarantine>) -> &dyn Store {
    quarantine.as_ref()
}
