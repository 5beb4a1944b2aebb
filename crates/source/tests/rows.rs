//! Feeds and a sink for tests.

use std::collections::BTreeMap;
use std::time::Duration;

use gate::Permit;
use schemas::cursor::{Cursor, Scalar};
use schemas::manifest::Reject;
use schemas::value::Value;
use source::{CursorSetBy, End, FeedDefinition, FeedReader, Fence, RowSink};

/// The rows of a reader, each as texts.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) rows: Vec<Vec<String>>,
    pub(crate) rejects: Vec<(Cursor, Reject)>,
}

impl Taken {
    pub(crate) fn ids(&self) -> Vec<i64> {
        self.rows.iter().map(|row| row[0].parse().unwrap()).collect()
    }
}

impl RowSink for Taken {
    fn row(&mut self, row: &[Value<'_>]) {
        let text = |value: &Value<'_>| match value {
            Value::Int(number) => number.to_string(),
            Value::Text(text) => (*text).to_owned(),
            other => format!("{other:?}"),
        };
        self.rows.push(row.iter().map(text).collect());
    }

    fn reject(&mut self, cursor: Cursor, reject: Reject) {
        self.rejects.push((cursor, reject));
    }
}

pub(crate) fn feed(sql: &str, cursor: &[&str], set_by: CursorSetBy) -> FeedDefinition {
    FeedDefinition {
        name: "setl".parse().unwrap(),
        version: 1,
        sql: sql.into(),
        cursor: cursor.iter().map(ToString::to_string).collect(),
        cursor_set_by: set_by,
        lag: match set_by {
            // More than the step of any cursor in these tests.
            CursorSetBy::Application => Duration::from_secs(100_000),
            _ => Duration::ZERO,
        },
        key: vec!["id".into()],
        money: vec![],
        tombstone: None,
        types: BTreeMap::new(),
        clock: source::feed::CursorClock::default(),
    }
}

/// Reads to the end of the fence, `limit` rows at a time. The first column is `id`; the cursor's columns are found by name.
pub(crate) async fn drain(
    reader: &mut dyn FeedReader,
    cursor: &[&str],
    fence: &Fence,
    limit: usize,
    permit: &Permit,
) -> Taken {
    let places: Vec<usize> = cursor
        .iter()
        .map(|name| reader.schema().index_of(name).unwrap())
        .collect();
    let mut all = Taken::default();
    let mut after: Option<Cursor> = None;
    loop {
        let quantum = reader
            .read(after.as_ref(), fence, limit, permit, &mut all)
            .await
            .unwrap();
        if let Some(last) = all.rows.last() {
            let scalar = |place: &usize| {
                last[*place]
                    .parse()
                    .map_or_else(|_| Scalar::Text(last[*place].clone()), Scalar::Int)
            };
            after = Some(Cursor(places.iter().map(scalar).collect()));
        }
        match quantum.end {
            End::Drained => return all,
            End::Limit => assert!(quantum.rows > 0, "a quantum at its limit goes forward"),
            End::Revoked => panic!("revoked"),
        }
    }
}

/// Runs every due check, and returns the codes of what is not proven.
pub(crate) async fn run_checks(reader: &mut dyn FeedReader, permit: &Permit) -> Vec<&'static str> {
    while reader.run_next_check(permit).await.unwrap() {}
    let evidence = reader.evidence().unwrap();
    evidence.unverified.iter().map(|(code, _)| code).collect()
}

/// Returns the detail of a code.
pub(crate) fn unverified(reader: &dyn FeedReader, code: &str) -> String {
    let evidence = reader.evidence().unwrap();
    let found = evidence.unverified.iter().find(|(set, _)| *set == code);
    found.map(|(_, reason)| reason.detail.clone()).unwrap_or_default()
}
