//! Asks the bureau for the digests of a feed's rows, and reads its answer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use reconciliation::pass::argument;
use reconciliation::{KeyDigest, PassAnswer, PassRequest};
use requests::kind::{PURPOSE, ReconciledFeed};
use runtime::exit::Exit;
use schemas::cursor::Scalar;
use schemas::name::FeedName;
use schemas::value::Value;
use slacktide_client::client::has_answer;
use slacktide_client::{Answer, Ask, Cell, Client};

use super::super::request;
use crate::failure::Failure;

/// The maximum number of digests of keys in a request.
pub(super) const MAX_KEYS: usize = 3_000;

/// How often the outcome is looked for.
const INTERVAL: Duration = Duration::from_millis(300);

/// One answered pass.
pub(super) struct Pass {
    /// The id of its request.
    pub(super) id: String,
    /// The digests.
    pub(super) answer: PassAnswer,
    /// When the first row was read, by the bureau's clock.
    pub(super) read_from: Option<Timestamp>,
    /// When the last row was read.
    pub(super) read_to: Option<Timestamp>,
}

/// Files the request of a pass, waits for its answer, and reads it.
pub(super) async fn ask(
    client: &Client,
    feed: &FeedName,
    wanted: &PassRequest,
    actor: &str,
    timeout: Duration,
) -> Result<Pass, Failure> {
    let key = format!("reconcile-{:016x}", rand::random::<u64>());
    let deadline = Timestamp::now().checked_add(timeout).unwrap_or(Timestamp::MAX);
    let ask = Ask::new(ReconciledFeed::kind_name(feed), PURPOSE, PURPOSE, key, actor)
        .with(arguments(wanted))
        .until(deadline);
    let id = client.file(&ask).await.map_err(request::failed)?;
    let answer = client.wait(&id, INTERVAL, timeout + INTERVAL * 10).await;
    let answer = answer.map_err(request::failed)?;
    if !has_answer(answer.outcome()) {
        let refused = Failure::new(
            Exit::NoAnswer,
            format!(
                "the bureau did not {} feed {feed}: {}",
                if wanted.repair.is_empty() {
                    "compare"
                } else {
                    "repair"
                },
                request::render::outcome(answer.outcome())
            ),
        );
        let hint = format!(
            "the bureau's file needs [reconcile] with enabled = true; `slacktide request show {id}` shows the request"
        );
        return Err(match answer.outcome() {
            slacktide_client::Outcome::Refused { .. } => refused.with([hint]),
            _ => refused,
        });
    }
    Ok(Pass {
        id: id.to_string(),
        read_from: answer.reply().read_from,
        read_to: answer.reply().read_to,
        answer: read(&answer)?,
    })
}

fn arguments(wanted: &PassRequest) -> BTreeMap<String, Scalar> {
    let buckets = i64::try_from(wanted.buckets).unwrap_or(i64::MAX);
    let mut arguments = BTreeMap::from([
        (argument::SALT.to_owned(), Scalar::Text(wanted.salt.clone())),
        (argument::BUCKETS.to_owned(), Scalar::Int(buckets)),
    ]);
    if let Some(only) = &wanted.only {
        let text = PassRequest::list(only);
        arguments.insert(argument::ONLY.to_owned(), Scalar::Text(text));
    }
    if !wanted.keys.is_empty() {
        let text = PassRequest::list(&wanted.keys);
        arguments.insert(argument::KEYS.to_owned(), Scalar::Text(text));
    }
    if !wanted.repair.is_empty() {
        let text = PassRequest::list(&wanted.repair);
        arguments.insert(argument::REPAIR.to_owned(), Scalar::Text(text));
    }
    arguments
}

fn read(answer: &Answer) -> Result<PassAnswer, Failure> {
    let mut read = PassAnswer::default();
    for (number, row) in (0..).zip(answer.rows()) {
        let row = row.map_err(request::failed)?;
        let values: Vec<Value<'_>> = row.iter().map(value).collect();
        read.take(number, &values)
            .map_err(|error| Failure::new(Exit::Evidence, error.to_string()))?;
    }
    Ok(read)
}

fn value(cell: &Cell) -> Value<'_> {
    match cell {
        Cell::Null => Value::Null,
        Cell::Bool(flag) => Value::Bool(*flag),
        Cell::Int(number) => Value::Int(*number),
        Cell::Float(number) => Value::Float(*number),
        Cell::Text(text) => Value::Text(text),
        Cell::Bytes(bytes) => Value::Bytes(bytes),
    }
}

/// Returns the keys that fit into a request; none if there are more, so that the answer names no withheld row.
pub(super) fn fitting(keys: impl Iterator<Item = KeyDigest>) -> BTreeSet<KeyDigest> {
    let keys: BTreeSet<KeyDigest> = keys.take(MAX_KEYS + 1).collect();
    if keys.len() > MAX_KEYS {
        return BTreeSet::new();
    }
    keys
}
