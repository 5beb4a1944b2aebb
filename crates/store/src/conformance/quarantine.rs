//! The suite of the quarantine: what goes in comes out as if it had been stored late, once.

mod again;
mod leaving;
mod messages;
mod rows;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::{Failure, Outcome, Receiver, ensure};
use crate::layout::Options;
use crate::port::Store;
use crate::quarantine::{Became, By, Entry, Quarantine, Wanted};

/// A receiver whose quarantine can be reached.
pub trait Keeper: Receiver {
    /// One more over it, as another process would have.
    fn quarantine(&self) -> Arc<dyn Quarantine> {
        self.keeping(Options::default())
    }
    /// The same, with tables as an operator has them.
    fn keeping(&self, options: Options) -> Arc<dyn Quarantine>;
}

/// A check of the suite.
pub type Check = for<'a> fn(&'a dyn Keeper) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// All checks, by name.
pub const CHECKS: &[(&str, Check)] = &[
    ("a refused row is stored when its constraint is gone", |k| {
        Box::pin(rows::released(k))
    }),
    ("a row that is refused again stays, with today's reason", |k| {
        Box::pin(rows::stays(k))
    }),
    (
        "a row that is refused when it is stored again is kept again",
        |k| Box::pin(again::refused_again(k)),
    ),
    ("a row that is taken when it is stored again is out", |k| {
        Box::pin(again::taken_again(k))
    }),
    ("what was given up keeps no resynchronisation from its end", |k| {
        Box::pin(again::given_up_keeps_nothing(k))
    }),
    ("a retried row overwrites nothing newer", |k| {
        Box::pin(rows::newer_stands(k))
    }),
    ("a retried row does not resurrect a deleted one", |k| {
        Box::pin(rows::no_resurrection(k))
    }),
    ("a retried row takes its place in the history", |k| {
        Box::pin(rows::versions(k))
    }),
    ("rows retried at once are stored once", |k| {
        Box::pin(rows::at_once(k))
    }),
    ("a message that opens today is stored after later chunks", |k| {
        Box::pin(messages::released(k))
    }),
    ("a retry killed in the middle is ended by a repetition", |k| {
        Box::pin(messages::killed_between(k))
    }),
    ("messages retried at once are stored once", |k| {
        Box::pin(messages::at_once(k))
    }),
    (
        "rows of a retried message that are refused are entries of their own",
        |k| Box::pin(messages::refused_rows(k)),
    ),
    ("a message that contradicts is refused and stops nothing", |k| {
        Box::pin(messages::contradicts(k))
    }),
    (
        "a stopped lane waits, and what an epoch left behind is not stored",
        |k| Box::pin(leaving::left_behind(k)),
    ),
    (
        "what is discarded leaves its digest and stays in the receipts",
        |k| Box::pin(leaving::discarded(k)),
    ),
    ("what the source could not carry is kept and never stored", |k| {
        Box::pin(leaving::rejects(k))
    }),
    ("a frontier that others advance keeps what a retry counted", |k| {
        Box::pin(leaving::advanced_meanwhile(k))
    }),
    ("tables of before are upgraded", |k| {
        Box::pin(leaving::upgraded(k))
    }),
];

/// Runs all checks, each on what `make` gives, and tells every failure by its name.
///
/// # Errors
/// One line for each check that failed.
pub async fn run<F, Made>(make: F) -> Result<usize, String>
where
    F: Fn() -> Made,
    Made: Future<Output = Box<dyn Keeper>>,
{
    let mut failures = Vec::new();
    for (name, check) in CHECKS {
        if let Err(Failure(why)) = check(make().await.as_ref()).await {
            failures.push(format!("{name}: {why}"));
        }
    }
    if failures.is_empty() {
        Ok(CHECKS.len())
    } else {
        Err(failures.join("\n"))
    }
}

const UNIQUE: &str = "CREATE UNIQUE INDEX setl_name ON setl (name)";
const NOT_UNIQUE: &str = "DROP INDEX setl_name";

fn by() -> By {
    By {
        actor: "li.na".to_owned(),
        reason: "mended".to_owned(),
    }
}

/// Prepared.
async fn open(keeper: &dyn Keeper) -> Result<Arc<dyn Quarantine>, Failure> {
    let quarantine = keeper.quarantine();
    quarantine.prepare().await?;
    Ok(quarantine)
}

/// What is in quarantine now.
async fn kept(quarantine: &dyn Quarantine) -> Result<Vec<Entry>, Failure> {
    Ok(quarantine.entries(&Wanted::default()).await?)
}

/// The one entry that is in quarantine now.
async fn only(quarantine: &dyn Quarantine) -> Result<Entry, Failure> {
    let mut entries = kept(quarantine).await?;
    ensure(entries.len() == 1, format_args!("not one entry: {entries:?}"))?;
    entries.pop().ok_or_else(|| Failure("no entry".to_owned()))
}

fn ids(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|entry| entry.id.clone()).collect()
}

async fn execute(keeper: &dyn Keeper, sql: &str) -> Outcome {
    keeper.execute(sql).await.map_err(Failure)
}

/// How many of the answers say so.
fn counted(answers: &[Became], what: impl Fn(&Became) -> bool) -> usize {
    answers.iter().filter(|became| what(became)).count()
}

fn store_of(quarantine: &Arc<dyn Quarantine>) -> &dyn Store {
    quarantine.as_ref()
}
