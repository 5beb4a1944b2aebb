//! Missing indexes: each suggested statement is executed.

use std::collections::BTreeMap;

use gate::Gate;
use source::{Argument, ArgumentKind, CursorSetBy, FeedDefinition, MissingIndex, RequestQuery, Source};

use crate::postgres::{READER, database, open};
use crate::rows::feed;
use crate::sqlite::{core, source};

fn by_application(sql: &str, cursor: &[&str]) -> FeedDefinition {
    feed(sql, cursor, CursorSetBy::Application)
}

fn asked(sql: &str, arguments: usize, order: &[&str]) -> RequestQuery {
    let argument = |number: usize| Argument {
        name: format!("a{number}"),
        kind: ArgumentKind::Text,
        value: None,
        stored_as: None,
    };
    RequestQuery {
        name: "t.asked".into(),
        sql: sql.into(),
        arguments: (1..=arguments).map(argument).collect(),
        order: order.iter().map(ToString::to_string).collect(),
        money: vec![],
        types: BTreeMap::new(),
        zone: None,
    }
}

/// Returns the one suggested statement.
fn statement(missing: &[MissingIndex], case: &str) -> String {
    let [missing] = missing else {
        panic!("{case}: {missing:?}")
    };
    let statement = missing.remedy.strip_prefix("run: ");
    statement
        .unwrap_or_else(|| panic!("{case}: {missing}"))
        .to_owned()
}

const TABLES: &str = "CREATE TABLE \"Claim\" (id bigint PRIMARY KEY, \"At\" text NOT NULL, psn_no text NOT NULL, state text, \
     day text NOT NULL); CREATE TABLE line (nr bigint PRIMARY KEY, claim_id bigint NOT NULL, code text);";

const FEEDS: [(&str, &[&str], bool); 4] = [
    ("SELECT id, \"At\" AS at FROM \"Claim\"", &["at", "id"], true),
    ("SELECT id, psn_no FROM \"Claim\"", &["id"], false),
    (
        "SELECT nr AS id, claim_id FROM line WHERE code <> 'x'",
        &["claim_id", "id"],
        true,
    ),
    ("SELECT id, day || 'x' AS d FROM \"Claim\"", &["d", "id"], false),
];

const KINDS: [(&str, usize, &[&str], bool); 6] = [
    ("SELECT id FROM \"Claim\" WHERE psn_no = $1", 1, &["id"], true),
    (
        "SELECT id FROM \"Claim\" c WHERE c.day >= $1 AND c.day < $2",
        2,
        &["id"],
        true,
    ),
    (
        "SELECT id FROM \"Claim\" WHERE lower(state) = $1",
        1,
        &["id"],
        false,
    ),
    ("SELECT id FROM \"Claim\"", 0, &["id"], false),
    ("SELECT id, state FROM \"Claim\"", 0, &["state", "id"], true),
    (
        "SELECT l.nr FROM line l JOIN \"Claim\" c ON c.id = l.claim_id WHERE l.code = $1",
        1,
        &["nr"],
        true,
    ),
];

#[tokio::test]
async fn postgres_missing_index_statement_works() {
    let db = database(&format!(
        "{TABLES} CREATE INDEX part ON \"Claim\" (\"At\", id) WHERE state = 'x'; CREATE INDEX hash ON line USING hash (claim_id);"
    ))
    .await;
    let gate = Gate::fixed_open();
    let (source, _) = open(&db, READER, &gate).await;
    let permit = gate.permit().await;
    for (sql, cursor, is_missing) in FEEDS {
        let feed = by_application(sql, cursor);
        let reader = source.open_feed(&feed, &permit).await.unwrap();
        let missing = reader.missing_indexes().to_vec();
        if !is_missing {
            let statements = missing.iter().filter(|one| one.remedy.starts_with("run"));
            assert_eq!(statements.count(), 0, "{sql}: {missing:?}");
            continue;
        }
        db.execute(&statement(&missing, sql)).await;
        let reader = source.open_feed(&feed, &permit).await.unwrap();
        assert_eq!(reader.missing_indexes(), [], "{sql}");
    }
    for (sql, arguments, order, is_missing) in KINDS {
        let asked = asked(sql, arguments, order);
        let missing = source
            .open_request_query(&asked, &permit)
            .await
            .unwrap()
            .missing_indexes()
            .to_vec();
        if !is_missing {
            assert_eq!(missing, [], "{sql}");
            continue;
        }
        db.execute(&statement(&missing, sql)).await;
        // The lookup of a query is cached while the session lives.
        source.close().await;
        let reader = source.open_request_query(&asked, &permit).await.unwrap();
        assert_eq!(reader.missing_indexes(), [], "{sql}");
    }
}

/// PostgreSQL cannot create an index on a partitioned table concurrently.
#[tokio::test]
async fn postgres_partitioned_index_statement_works() {
    let db = database(
        "CREATE TABLE t (id bigint, at text NOT NULL, PRIMARY KEY (id)) PARTITION BY RANGE (id); \
         CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (0) TO (9);",
    )
    .await;
    let gate = Gate::fixed_open();
    let (source, _) = open(&db, READER, &gate).await;
    let permit = gate.permit().await;
    let feed = by_application("SELECT id, at FROM t", &["at", "id"]);
    let reader = source.open_feed(&feed, &permit).await.unwrap();
    db.execute(&statement(reader.missing_indexes(), "partitioned"))
        .await;
    let reader = source.open_feed(&feed, &permit).await.unwrap();
    assert_eq!(reader.missing_indexes(), []);
}

#[tokio::test]
async fn sqlite_missing_index_statement_works() {
    let core = core(&format!(
        "{TABLES} CREATE INDEX claim_by_psn_no ON \"Claim\" (psn_no) WHERE state = 'x';"
    ));
    let gate = Gate::fixed_open();
    let source = source(&core, &gate);
    let permit = gate.permit().await;
    for (sql, cursor, is_missing) in FEEDS {
        let feed = by_application(sql, cursor);
        let reader = source.open_feed(&feed, &permit).await.unwrap();
        let missing = reader.missing_indexes().to_vec();
        if !is_missing {
            let statements = missing.iter().filter(|one| one.remedy.starts_with("run"));
            assert_eq!(statements.count(), 0, "{sql}: {missing:?}");
            continue;
        }
        core.connection.execute_batch(&statement(&missing, sql)).unwrap();
        let reader = source.open_feed(&feed, &permit).await.unwrap();
        assert_eq!(reader.missing_indexes(), [], "{sql}");
    }
    for (sql, arguments, order, is_missing) in KINDS {
        let asked = asked(sql, arguments, order);
        let reader = source.open_request_query(&asked, &permit).await.unwrap();
        let missing = reader.missing_indexes().to_vec();
        if !is_missing {
            assert_eq!(missing, [], "{sql}");
            continue;
        }
        core.connection.execute_batch(&statement(&missing, sql)).unwrap();
        let reader = source.open_request_query(&asked, &permit).await.unwrap();
        assert_eq!(reader.missing_indexes(), [], "{sql}");
    }
}
