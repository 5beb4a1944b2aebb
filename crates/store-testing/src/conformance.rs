//! The test suite of every store.
//!
//! Each check has a name and runs on a new, empty database. It reads the tables directly, as their owner would, and
//! does not rely on the store.
//!
//! - [`chunks`] storing: exactly once, in any order, newest version wins, deletes
//! - [`chain`] forks, epochs, frontier, quarantine of messages
//! - [`changes`] changed columns and approvals; [`layouts`] tables, names and modes
//! - [`ownership`] tables and columns of others; [`names`] reserved names, unlisted feeds
//! - [`repair`] rows that are sent again because they differ
//! - [`resync`] a feed that is sent again from its start
//! - [`columns`] types, widening, refused rows
//! - [`refill`] identity, chunks stored again, row counts
//! - [`compaction`] folded ledger entries
//! - [`quarantine`] the suite of the quarantine
//! - [`requests`] the suite of requests and answers

pub mod chain;
pub mod changes;
pub mod chunks;
pub mod columns;
pub mod compaction;
pub mod layouts;
pub mod names;
pub mod ownership;
pub mod quarantine;
pub mod refill;
pub mod repair;
pub mod requests;
pub mod resync;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use schemas::column::{ColumnType, RowSchema};
use schemas::manifest::Link;
use schemas::value::Value;

use crate::samples::{lane, schema};
use store::error::Error;
use store::layout::Options;
use store::port::{Arrival, LaneReport, Outcome as Stored, PendingChanges, Store};
use store::refill::Refill;

/// An empty database, with direct access to its tables.
#[async_trait]
pub trait Receiver: Send + Sync {
    /// Returns another store over it, as another process would have.
    fn store(&self) -> Arc<dyn Store>;
    /// Returns the same with options.
    fn with(&self, options: Options) -> Arc<dyn PendingChanges>;
    /// Returns the same with refill operations.
    fn refill(&self, options: Options) -> Arc<dyn Refill>;
    /// Returns a bookkeeping table's name in SQL: `ledger`, `lanes`, `quarantine`, `tombstones`.
    fn own(&self, table: &str) -> String;
    /// Runs SQL statements.
    async fn execute(&self, sql: &str) -> Result<(), String>;
    /// Returns the rows of a query whose columns are texts.
    async fn texts(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>, String>;
}

/// Why a check failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(pub String);

/// The result of a check.
pub type Outcome = Result<(), Failure>;

/// A check of a suite that needs this kind of receiver.
pub type Check<R> = for<'a> fn(&'a R) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// All checks, by name.
pub const CHECKS: &[(&str, Check<dyn Receiver>)] = &[
    ("storing twice changes nothing", |r| Box::pin(chunks::twice(r))),
    ("any order and any split end in the same table", |r| {
        Box::pin(chunks::any_order(r))
    }),
    ("an older version never overwrites a newer one", |r| {
        Box::pin(chunks::older_loses(r))
    }),
    ("a deleted row does not come back with an older chunk", |r| {
        Box::pin(chunks::no_resurrection(r))
    }),
    ("a tombstone is dropped when the frontier has passed", |r| {
        Box::pin(chunks::tombstones_go(r))
    }),
    ("two stores at once come to the same table", |r| {
        Box::pin(chunks::at_once(r))
    }),
    ("preparing at once makes the tables once", |r| {
        Box::pin(chunks::prepared_at_once(r))
    }),
    ("a fork stops the lane, and it stays stopped", |r| {
        Box::pin(chain::fork(r))
    }),
    ("an unchecked link is checked at the frontier", |r| {
        Box::pin(chain::unseen_link(r))
    }),
    ("an opening continues from the frontier", |r| {
        Box::pin(chain::opening(r))
    }),
    ("an opening of another history stops", |r| {
        Box::pin(chain::bad_opening(r))
    }),
    ("a chunk before its opening is deferred", |r| {
        Box::pin(chain::overtaken(r))
    }),
    ("an unreadable chunk keeps its place", |r| {
        Box::pin(chain::unreadable(r))
    }),
    ("the frontier waits for a gap", |r| Box::pin(chain::gap(r))),
    ("a refused row leaves the rest", |r| {
        Box::pin(columns::refused_row(r))
    }),
    ("a refused version leaves the older one", |r| {
        Box::pin(columns::refused_version(r))
    }),
    ("a new column widens the table", |r| Box::pin(columns::widened(r))),
    ("another type is refused by name", |r| {
        Box::pin(columns::refused_type(r))
    }),
    ("every value is read as it was written", |r| {
        Box::pin(columns::values(r))
    }),
    ("a key of several columns", |r| Box::pin(columns::composite(r))),
    ("wider types are followed", |r| Box::pin(changes::wider_types(r))),
    ("pollers at once follow types and columns", |r| {
        Box::pin(changes::wider_at_once(r))
    }),
    ("an incompatible type needs approval and a new column", |r| {
        Box::pin(changes::retyped(r))
    }),
    ("a dropped column needs approval and is kept", |r| {
        Box::pin(changes::dropped(r))
    }),
    ("another key needs approval and new tables", |r| {
        Box::pin(changes::another_key(r))
    }),
    ("another type of the key needs approval and new tables", |r| {
        Box::pin(changes::another_key_type(r))
    }),
    ("other lanes continue while one waits", |r| {
        Box::pin(changes::other_lanes_go_on(r))
    }),
    ("a history has every version once", |r| {
        Box::pin(layouts::history(r))
    }),
    ("a history marks superseded versions", |r| {
        Box::pin(layouts::superseded(r))
    }),
    ("a history marks versions superseded in one call", |r| {
        Box::pin(layouts::superseded_at_once(r))
    }),
    ("a row is in all tables or in none", |r| {
        Box::pin(layouts::refused_by_one(r))
    }),
    ("a table of its owner, with other names and constraints", |r| {
        Box::pin(layouts::of_others(r))
    }),
    ("a table without a key is refused", |r| {
        Box::pin(layouts::without_key(r))
    }),
    ("a mode that changes later", |r| {
        Box::pin(layouts::another_mode(r))
    }),
    ("names that change later", |r| Box::pin(layouts::another_name(r))),
    ("reserved names are refused", |r| {
        Box::pin(layouts::our_own_name(r))
    }),
    ("a table of the insurer is adopted only if named", |r| {
        Box::pin(ownership::of_the_insurer(r))
    }),
    ("a history of the insurer is unchanged", |r| {
        Box::pin(ownership::history_of_the_insurer(r))
    }),
    ("a table that replaces the lane's is unchanged", |r| {
        Box::pin(ownership::replaced(r))
    }),
    ("a table has one owner", |r| Box::pin(ownership::one_owner(r))),
    ("reserved names make nothing", |r| Box::pin(names::reserved(r))),
    ("reserved columns make nothing", |r| {
        Box::pin(names::reserved_columns(r))
    }),
    ("a new column uses no column of the insurer", |r| {
        Box::pin(ownership::column_of_the_insurer(r))
    }),
    ("an object that is not a table is unchanged", |r| {
        Box::pin(ownership::no_table(r))
    }),
    ("a repair replaces and removes exactly its rows", |r| {
        Box::pin(repair::replaces_and_removes(r))
    }),
    ("a repair stored again removes rows that were put back", |r| {
        Box::pin(repair::again_removes_put_back(r))
    }),
    ("a resynchronisation removes rows gone at the source", |r| {
        Box::pin(resync::removes_gone(r))
    }),
    ("a resynchronisation keeps rows that may exist", |r| {
        Box::pin(resync::keeps_doubtful(r))
    }),
    ("another source is compared before rows count as equal", |r| {
        Box::pin(resync::awaits_comparison(r))
    }),
    ("a resynchronisation stored again removes added rows", |r| {
        Box::pin(resync::again_removes_put_back(r))
    }),
    (
        "rows that others delete during a resynchronisation are counted",
        |r| Box::pin(resync::deleted_meanwhile(r)),
    ),
    ("a refill keeps a resynchronisation in progress", |r| {
        Box::pin(resync::under_way_outlives_refill(r))
    }),
    ("an unlisted feed is not stored", |r| Box::pin(names::unlisted(r))),
    ("a store keeps its identity", |r| Box::pin(refill::identity(r))),
    ("rows that others deleted are counted and stored again", |r| {
        Box::pin(refill::truncated(r))
    }),
    ("a missing table is created again", |r| {
        Box::pin(refill::dropped(r))
    }),
    ("a refill restores what others changed", |r| {
        Box::pin(refill::changed(r))
    }),
    ("a refill restores no deleted row", |r| {
        Box::pin(refill::no_resurrection(r))
    }),
    ("rows are counted through updates and deletes", |r| {
        Box::pin(refill::counted(r))
    }),
    ("a refill of a history has every version once", |r| {
        Box::pin(refill::history(r))
    }),
    ("superseded chunks are not awaited", |r| {
        Box::pin(refill::awaits_nothing_left_behind(r))
    }),
    ("a republished chunk replaces rows of superseded chunks", |r| {
        Box::pin(refill::republished(r))
    }),
    ("a chunk that cannot be stored again keeps its state", |r| {
        Box::pin(refill::mark_stored(r))
    }),
    ("a chunk whose entry is folded changes nothing", |r| {
        Box::pin(compaction::comes_again(r))
    }),
    ("another history below the folded entries stops", |r| {
        Box::pin(compaction::another_history(r))
    }),
    ("needed entries are not folded", |r| {
        Box::pin(compaction::keeps(r))
    }),
    ("folded chunks can be stored again", |r| {
        Box::pin(compaction::refilled(r))
    }),
];

/// Runs all checks, each on a new receiver of `make`, and names every failure.
///
/// # Errors
/// One line for each failed check.
pub async fn run<F, Made>(make: F) -> Result<usize, String>
where
    F: Fn() -> Made,
    Made: Future<Output = Box<dyn Receiver>>,
{
    run_checks(CHECKS, make).await
}

/// Runs the checks of a suite, each on a new receiver of `make`, and names every failure.
async fn run_checks<R: ?Sized, F, Made>(checks: &[(&str, Check<R>)], make: F) -> Result<usize, String>
where
    F: Fn() -> Made,
    Made: Future<Output = Box<R>>,
{
    let mut failures = Vec::new();
    for (name, check) in checks {
        if let Err(Failure(why)) = check(make().await.as_ref()).await {
            failures.push(format!("{name}: {why}"));
        }
    }
    if failures.is_empty() {
        Ok(checks.len())
    } else {
        Err(failures.join("\n"))
    }
}

async fn prepared(receiver: &dyn Receiver) -> Result<Arc<dyn Store>, Failure> {
    let store = receiver.store();
    store.prepare().await?;
    Ok(store)
}

/// A keyed table with money and a tombstone column.
fn claims_schema() -> RowSchema {
    let money = ColumnType::Decimal {
        precision: Some(16),
        scale: Some(2),
    };
    let columns = [
        ("id", ColumnType::Int8),
        ("name", ColumnType::Text { max: None }),
        ("paid", money),
    ];
    schema(&["id"], &columns)
}

fn claims_schema_with_tombstone() -> RowSchema {
    let mut schema = claims_schema();
    schema
        .columns
        .push(crate::samples::column("gone", ColumnType::Bool));
    schema.tombstone = Some("gone".to_owned());
    schema
}

fn row(id: i64, name: &str) -> Vec<Value<'_>> {
    vec![Value::Int(id), Value::Text(name), Value::Text("12.30")]
}

fn row_or_tombstone(id: i64, name: &str, gone: bool) -> Vec<Value<'_>> {
    let mut row = row(id, name);
    row.push(Value::Bool(gone));
    row
}

/// Returns the table of [`claims_schema`], by key: `id:name@epoch.number`.
async fn table(receiver: &dyn Receiver) -> Result<Vec<String>, Failure> {
    let sql = "SELECT CAST(id AS TEXT), name, CAST(_slacktide_epoch AS TEXT), CAST(_slacktide_number AS TEXT) \
               FROM setl ORDER BY id";
    let rows = receiver.texts(sql).await.map_err(Failure)?;
    let text = |row: &Vec<Option<String>>, at: usize| {
        row.get(at)
            .cloned()
            .flatten()
            .unwrap_or_else(|| "null".to_owned())
    };
    Ok(rows
        .iter()
        .map(|row| {
            format!(
                "{}:{}@{}.{}",
                text(row, 0),
                text(row, 1),
                text(row, 2),
                text(row, 3)
            )
        })
        .collect())
}

async fn count(receiver: &dyn Receiver, own: &str) -> Result<String, Failure> {
    let sql = format!("SELECT CAST(count(*) AS TEXT) FROM {}", receiver.own(own));
    let rows = receiver.texts(&sql).await.map_err(Failure)?;
    Ok(rows
        .first()
        .and_then(|row| row.first().cloned().flatten())
        .unwrap_or_default())
}

async fn report(store: &dyn Store) -> Result<LaneReport, Failure> {
    let reports = store.reports().await?;
    let found = reports.into_iter().find(|report| report.lane == lane());
    found.ok_or_else(|| Failure("the lane has no report".to_owned()))
}

/// Stores chunks and expects that every one is stored.
async fn all_stored(store: &dyn Store, arrivals: &[Arrival]) -> Outcome {
    let outcomes = store.store(&lane(), arrivals).await?;
    ensure(
        outcomes.len() == arrivals.len()
            && outcomes
                .iter()
                .all(|outcome| matches!(outcome, Stored::Stored { quarantined: 0, .. })),
        format_args!("not all stored: {outcomes:?}"),
    )
}

fn link(arrival: &Arrival) -> Link {
    arrival.chunk.link()
}

fn ensure(holds: bool, what: impl fmt::Display) -> Outcome {
    if holds {
        Ok(())
    } else {
        Err(Failure(what.to_string()))
    }
}

fn same<T: PartialEq + fmt::Debug>(what: &str, got: &T, wanted: &T) -> Outcome {
    ensure(
        got == wanted,
        format_args!("{what}: got {got:?}, wanted {wanted:?}"),
    )
}

fn texts(all: &[&str]) -> Vec<String> {
    all.iter().map(|text| (*text).to_owned()).collect()
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(format!("{:?}: {error}", error.kind))
    }
}
