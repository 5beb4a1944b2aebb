//! The suite of requests: filed once, answered once, told once.

mod answers;
mod filing;
mod made;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::{Failure, Outcome, Receiver};
use crate::layout::Options;
use crate::requests::Requests;

/// A receiver whose requests can be reached.
pub trait Asker: Receiver {
    /// One more over it, as another process would have.
    fn requests(&self) -> Arc<dyn Requests> {
        self.asking(Options::default())
    }
    /// The same, with tables as an operator has them.
    fn asking(&self, options: Options) -> Arc<dyn Requests>;
}

/// A check of the suite.
pub type Check = for<'a> fn(&'a dyn Asker) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// All checks, by name.
pub const CHECKS: &[(&str, Check)] = &[
    ("a row of the outbox is filed once", |a| {
        Box::pin(filing::outbox(a))
    }),
    ("a bad row of the outbox stops nothing", |a| {
        Box::pin(filing::bad_row(a))
    }),
    ("a key is one request for ever", |a| Box::pin(filing::one_key(a))),
    ("a request is kept until it is at the exchange", |a| {
        Box::pin(filing::published(a))
    }),
    ("what the exchange has is followed", |a| {
        Box::pin(filing::from_the_exchange(a))
    }),
    ("a list is filtered", |a| Box::pin(filing::listed(a))),
    ("a reply is stored once, with all its parts", |a| {
        Box::pin(answers::once(a))
    }),
    ("another reply is a contradiction", |a| {
        Box::pin(answers::another(a))
    }),
    ("a reply that is not whole leaves nothing", |a| {
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
    ("confirmations are due until they are told", |a| {
        Box::pin(answers::due(a))
    }),
];

/// Runs all checks, each on what `make` gives, and tells every failure by its name.
///
/// # Errors
/// One line for each check that failed.
pub async fn run<F, Made>(make: F) -> Result<usize, String>
where
    F: Fn() -> Made,
    Made: Future<Output = Box<dyn Asker>>,
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

/// Prepared.
async fn open(asker: &dyn Asker) -> Result<Arc<dyn Requests>, Failure> {
    let requests = asker.requests();
    requests.prepare().await?;
    Ok(requests)
}

/// The rows of a query, each as its texts with `|` between.
async fn rows(asker: &dyn Asker, sql: &str) -> Result<Vec<String>, Failure> {
    let rows = asker.texts(sql).await.map_err(Failure)?;
    let text = |cell: &Option<String>| cell.clone().unwrap_or_else(|| "null".to_owned());
    Ok(rows
        .iter()
        .map(|row| row.iter().map(text).collect::<Vec<_>>().join("|"))
        .collect())
}
