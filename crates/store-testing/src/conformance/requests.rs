//! The suite of requests: filed, answered and confirmed once.

mod answers;
mod filing;
mod fixtures;

use std::future::Future;
use std::sync::Arc;

use super::{Check, Failure, Receiver, run_checks};
use store::layout::Options;
use store::requests::Requests;

/// A receiver with access to its requests.
pub trait RequestsReceiver: Receiver {
    /// Returns another store over it, as another process would have.
    fn requests(&self) -> Arc<dyn Requests> {
        self.requests_with(Options::default())
    }
    /// Returns the same with options.
    fn requests_with(&self, options: Options) -> Arc<dyn Requests>;
}

/// All checks, by name.
pub const CHECKS: &[(&str, Check<dyn RequestsReceiver>)] = &[
    ("a row of the outbox is filed once", |a| {
        Box::pin(filing::outbox(a))
    }),
    ("a bad row of the outbox stops nothing", |a| {
        Box::pin(filing::bad_row(a))
    }),
    ("a key permanently belongs to one request", |a| {
        Box::pin(filing::one_key(a))
    }),
    ("a request is kept until it is at the exchange", |a| {
        Box::pin(filing::mark_published(a))
    }),
    ("the exchange's request is recorded", |a| {
        Box::pin(filing::from_the_exchange(a))
    }),
    ("a list is filtered", |a| Box::pin(filing::list(a))),
    ("a reply is stored once, with all its parts", |a| {
        Box::pin(answers::once(a))
    }),
    ("another reply is a contradiction", |a| {
        Box::pin(answers::another(a))
    }),
    ("an incomplete reply stores nothing", |a| {
        Box::pin(answers::not_whole(a))
    }),
    ("a reply stored at once is stored once", |a| {
        Box::pin(answers::at_once(a))
    }),
    ("a kind that changes is followed", |a| {
        Box::pin(answers::changed(a))
    }),
    ("a refused row leaves the rest", |a| Box::pin(answers::refused(a))),
    ("a kind's table obeys the rules of feeds' tables", |a| {
        Box::pin(answers::tables(a))
    }),
    ("confirmations are due until published", |a| {
        Box::pin(answers::unconfirmed_replies(a))
    }),
];

/// Runs all checks, each on a new receiver of `make`, and names every failure.
///
/// # Errors
/// One line for each failed check.
pub async fn run<F, Made>(make: F) -> Result<usize, String>
where
    F: Fn() -> Made,
    Made: Future<Output = Box<dyn RequestsReceiver>>,
{
    run_checks(CHECKS, make).await
}

/// Returns a prepared store.
async fn open(receiver: &dyn RequestsReceiver) -> Result<Arc<dyn Requests>, Failure> {
    let requests = receiver.requests();
    requests.prepare().await?;
    Ok(requests)
}

/// Returns the rows of a query, each as its texts separated by `|`.
async fn rows(receiver: &dyn RequestsReceiver, sql: &str) -> Result<Vec<String>, Failure> {
    let rows = receiver.texts(sql).await.map_err(Failure)?;
    let text = |cell: &Option<String>| cell.clone().unwrap_or_else(|| "null".to_owned());
    Ok(rows
        .iter()
        .map(|row| row.iter().map(text).collect::<Vec<_>>().join("|"))
        .collect())
}
