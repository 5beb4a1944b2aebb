//! The suite that every receiver must pass.
//!
//! Each check is named and works on a fresh, empty database. What it looks at are tables, as
//! their owner would, and not the store's own word.
//!
//! - [`chunks`] storing: once, in any order, newest wins, deletes
//! - [`chain`] forks, epochs, frontier, quarantine of messages
//! - [`changes`] columns that change, and what is asked; [`layouts`] tables, names and modes
//! - [`claims`] tables and columns that belong to others; [`names`] reserved names, feeds that are not listed
//! - [`resync`] a feed that is sent again from its start
//! - [`columns`] types, widening, rows that the receiver refuses
//! - [`refill`] identity, chunks that are stored again, rows that are counted
//! - [`compaction`] ledger entries that are folded
//! - [`quarantine`] a suite of its own: what is kept aside, and its way out
//! - [`requests`] a suite of its own: what is asked for, and the answers

pub mod chain;
pub mod changes;
pub mod chunks;
pub mod claims;
pub mod columns;
pub mod compaction;
pub mod layouts;
pub mod names;
pub mod quarantine;
pub mod refill;
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

use crate::error::Error;
use crate::layout::Options;
use crate::port::{Arrival, Changes, LaneReport, Outcome as Stored, Store};
use crate::refill::Refill;
use crate::samples::{lane, schema};

/// An empty database, and eyes on it that are not the store's.
#[async_trait]
pub trait Receiver: Send + Sync {
    /// One more store over it, as another process would have.
    fn store(&self) -> Arc<dyn Store>;
    /// The same with an operator's options.
    fn with(&self, options: Options) -> Arc<dyn Changes>;
    /// The same for an operator who refills it.
    fn refill(&self, options: Options) -> Arc<dyn Refill>;
    /// Our own table of this name, in SQL: `ledger`, `lanes`, `quarantine`, `tombstones`.
    fn own(&self, table: &str) -> String;
    /// Runs statements.
    async fn execute(&self, sql: &str) -> Result<(), String>;
    /// The rows of a query, each column of which is text.
    async fn texts(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>, String>;
}

/// Why a check failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(pub String);

/// What a check comes to.
pub type Outcome = Result<(), Failure>;

/// A check of the suite.
pub type Check = for<'a> fn(&'a dyn Receiver) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// All checks, by name.
pub const CHECKS: &[(&str, Check)] = &[
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
    ("a link that nobody saw is checked at the frontier", |r| {
        Box::pin(chain::unseen_link(r))
    }),
    ("an opening goes on from the frontier", |r| {
        Box::pin(chain::opening(r))
    }),
    ("an opening of another history stops", |r| {
        Box::pin(chain::bad_opening(r))
    }),
    ("what overtakes its opening is put off", |r| {
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
    ("every value comes out as it went in", |r| {
        Box::pin(columns::values(r))
    }),
    ("a key of several columns", |r| Box::pin(columns::composite(r))),
    ("types that became wider are followed", |r| {
        Box::pin(changes::wider_types(r))
    }),
    ("pollers at once follow types and columns", |r| {
        Box::pin(changes::wider_at_once(r))
    }),
    ("another type is asked and set aside", |r| {
        Box::pin(changes::retyped(r))
    }),
    ("a dropped column is asked and kept", |r| {
        Box::pin(changes::dropped(r))
    }),
    ("another key is asked and begins anew", |r| {
        Box::pin(changes::another_key(r))
    }),
    ("another type of the key is asked and begins anew", |r| {
        Box::pin(changes::another_key_type(r))
    }),
    ("other lanes go on while one waits", |r| {
        Box::pin(changes::other_lanes_go_on(r))
    }),
    ("a history has every version once", |r| {
        Box::pin(layouts::history(r))
    }),
    ("a history says what was superseded", |r| {
        Box::pin(layouts::superseded(r))
    }),
    ("a history says what was superseded at once", |r| {
        Box::pin(layouts::superseded_at_once(r))
    }),
    ("a row is in all tables or in none", |r| {
        Box::pin(layouts::refused_by_one(r))
    }),
    ("a table of others, with names and constraints of its own", |r| {
        Box::pin(layouts::of_others(r))
    }),
    ("a table without a key is refused", |r| {
        Box::pin(layouts::without_key(r))
    }),
    ("a mode that changes later", |r| {
        Box::pin(layouts::another_mode(r))
    }),
    ("names that change later", |r| Box::pin(layouts::another_name(r))),
    ("our own names are refused", |r| {
        Box::pin(layouts::our_own_name(r))
    }),
    (
        "a table of the insurer's is adopted only where it is named",
        |r| Box::pin(claims::of_the_insurer(r)),
    ),
    ("a history of the insurer's is left as it is", |r| {
        Box::pin(claims::history_of_the_insurer(r))
    }),
    ("a table that replaces the lane's is left as it is", |r| {
        Box::pin(claims::replaced(r))
    }),
    ("a table has one owner", |r| Box::pin(claims::one_owner(r))),
    ("reserved names make nothing", |r| Box::pin(names::reserved(r))),
    ("reserved columns make nothing", |r| {
        Box::pin(names::reserved_columns(r))
    }),
    ("a new column takes none of the insurer's", |r| {
        Box::pin(claims::column_of_the_insurer(r))
    }),
    ("what is no table is left as it is", |r| {
        Box::pin(claims::no_table(r))
    }),
    ("a resynchronisation removes what is gone", |r| {
        Box::pin(resync::removes_gone(r))
    }),
    ("a resynchronisation keeps what may be there", |r| {
        Box::pin(resync::keeps_doubtful(r))
    }),
    (
        "a resynchronisation that is stored again removes what was put back",
        |r| Box::pin(resync::again_removes_put_back(r)),
    ),
    (
        "rows that others delete during a resynchronisation are counted",
        |r| Box::pin(resync::deleted_meanwhile(r)),
    ),
    ("a refill forgets no resynchronisation under way", |r| {
        Box::pin(resync::under_way_outlives_refill(r))
    }),
    ("an unlisted feed is not stored", |r| Box::pin(names::unlisted(r))),
    ("a store keeps its identity", |r| Box::pin(refill::identity(r))),
    ("rows that others deleted are counted and stored again", |r| {
        Box::pin(refill::truncated(r))
    }),
    ("a table that is gone is made again", |r| {
        Box::pin(refill::dropped(r))
    }),
    ("a refill restores what others changed", |r| {
        Box::pin(refill::changed(r))
    }),
    ("a refill brings no deleted row back", |r| {
        Box::pin(refill::no_resurrection(r))
    }),
    ("rows are counted through updates and deletes", |r| {
        Box::pin(refill::counted(r))
    }),
    ("a refill of a history has every version once", |r| {
        Box::pin(refill::history(r))
    }),
    ("what an epoch left behind is awaited no more", |r| {
        Box::pin(refill::awaits_nothing_left_behind(r))
    }),
    ("a republished chunk replaces rows of superseded chunks", |r| {
        Box::pin(refill::republished(r))
    }),
    ("a chunk that cannot be stored again is as before", |r| {
        Box::pin(refill::as_before(r))
    }),
    ("a chunk whose entry is folded changes nothing", |r| {
        Box::pin(compaction::comes_again(r))
    }),
    ("another history below the folded entries stops", |r| {
        Box::pin(compaction::another_history(r))
    }),
    ("what is needed is not folded", |r| Box::pin(compaction::keeps(r))),
    ("folded chunks can be stored again", |r| {
        Box::pin(compaction::refilled(r))
    }),
];

/// Runs all checks, each on what `make` gives, and tells every failure by its name.
///
/// # Errors
/// One line for each check that failed.
pub async fn run<F, Made>(make: F) -> Result<usize, String>
where
    F: Fn() -> Made,
    Made: Future<Output = Box<dyn Receiver>>,
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

async fn prepared(receiver: &dyn Receiver) -> Result<Arc<dyn Store>, Failure> {
    let store = receiver.store();
    store.prepare().await?;
    Ok(store)
}

/// A keyed table with money and a tombstone column.
fn claims() -> RowSchema {
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

fn claims_with_tombstone() -> RowSchema {
    let mut schema = claims();
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

/// The table of [`claims`], by key: `id:name@epoch.number`.
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

/// Stores and expects every chunk to be stored.
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
