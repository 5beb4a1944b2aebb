//! Keys that do not tell rows apart, and how a key is proven.

use gate::Gate;
use source::evidence::KEY_UNPROVEN;
use source::{CursorSetBy, ErrorKind, FeedDefinition, Fence, Source};

use crate::postgres::{READER, database, open};
use crate::rows::{Taken, examine, feed, unverified};
use crate::sqlite::{core, source};

fn keyed(sql: &str, key: &[&str]) -> FeedDefinition {
    let mut feed = feed(sql, &["id"], CursorSetBy::Application);
    feed.key = key.iter().map(ToString::to_string).collect();
    feed
}

const LINES: &str = "CREATE TABLE claim (claim_id bigint PRIMARY KEY, person text);
    CREATE TABLE line (id bigint PRIMARY KEY, claim_id bigint, code text, nr bigint NOT NULL);
    CREATE UNIQUE INDEX line_nr ON line (claim_id, nr);
    CREATE UNIQUE INDEX line_some ON line (code) WHERE code <> 'x';";

/// Trap: 6,075 rows become 3,106 at the store.
#[tokio::test]
async fn postgres_key_that_is_not_unique_refuses_the_feed() {
    let db = database(&format!(
        "{LINES} INSERT INTO claim SELECT i, 'p' FROM generate_series(1, 3000) i;
         INSERT INTO line SELECT i, (i + 1) / 2, 'x', i FROM generate_series(1, 6000) i;
         CREATE VIEW joined AS SELECT l.id, l.claim_id, l.nr FROM line l JOIN ONLY claim c USING (claim_id);
         CREATE TABLE part () INHERITS (claim); INSERT INTO part VALUES (1, 'again');"
    ))
    .await;
    let gate = Gate::fixed_open();
    let (source, _) = open(&db, READER, &gate).await;
    let permit = gate.permit().await;
    for (sql, key) in [
        ("SELECT id, claim_id FROM line", &["claim_id"][..]),
        ("SELECT id, code FROM line", &["code"]),
        ("SELECT id, claim_id FROM joined", &["claim_id"]),
        ("SELECT claim_id AS id, claim_id FROM claim", &["claim_id"]),
        // The function repeats rows of a table whose key is unique.
        (
            "SELECT id, id AS k, generate_series(1, 2) AS part FROM line",
            &["k"],
        ),
    ] {
        let error = source.open_feed(&keyed(sql, key), &permit).await.err().unwrap();
        assert_eq!(error.kind, ErrorKind::Refused, "{sql}");
        assert!(error.to_string().contains("not unique"), "{sql}: {error}");
    }
    // Unique by an index, by more columns than it has, and by reading.
    for (sql, key) in [
        ("SELECT * FROM line", &["id"][..]),
        ("SELECT * FROM line", &["nr", "claim_id", "code"]),
        ("SELECT * FROM joined", &["id"]),
        ("SELECT * FROM joined", &["claim_id", "nr"]),
    ] {
        let mut reader = source.open_feed(&keyed(sql, key), &permit).await.unwrap();
        let codes = harness::until("the key to be proven", crate::postgres::SOON, async || {
            let codes = examine(reader.as_mut(), &permit).await;
            (!codes.contains(&KEY_UNPROVEN)).then_some(codes)
        })
        .await;
        assert!(codes.is_empty(), "{sql} {key:?}: {codes:?}");
    }
}

/// Before the keys were read to their end, rows of one read are compared.
#[tokio::test]
async fn postgres_key_that_repeats_within_one_read_refuses_the_feed() {
    let db = database(&format!(
        "{LINES} INSERT INTO line SELECT i, i, 'x', i FROM generate_series(1, 5000) i; UPDATE line SET claim_id = 4999 WHERE id = 5000;"
    ))
    .await;
    let gate = Gate::fixed_open();
    let (source, _) = open(&db, READER, &gate).await;
    let permit = gate.permit().await;
    let feed = keyed("SELECT id, claim_id FROM line", &["claim_id"]);
    let mut reader = source.open_feed(&feed, &permit).await.unwrap();
    assert!(unverified(reader.as_ref(), KEY_UNPROVEN).contains("2000 rows"));
    let mut taken = Taken::default();
    let error = reader
        .read(None, &Fence::Open, 10_000, &permit, &mut taken)
        .await
        .unwrap_err();
    assert!(
        error.kind == ErrorKind::Refused && error.to_string().contains("claim_id"),
        "{error}"
    );
    assert!(taken.rows.len() < 5_000);
}

#[tokio::test]
async fn sqlite_key_is_proven_or_refuses_the_feed() {
    let core = core(&format!(
        "{LINES} INSERT INTO line WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
         SELECT i, (i + 1) / 2, 'x', i FROM n; CREATE VIEW v AS SELECT * FROM line;"
    ));
    let gate = Gate::fixed_open();
    let source = source(&core, &gate);
    let permit = gate.permit().await;
    for (sql, key) in [
        ("SELECT id, claim_id FROM line", &["claim_id"][..]),
        ("SELECT id, code FROM line", &["code"]),
        ("SELECT id, claim_id FROM v", &["claim_id"]),
        ("SELECT id, claim_id AS nr FROM line", &["nr"]),
    ] {
        let error = source.open_feed(&keyed(sql, key), &permit).await.err().unwrap();
        assert!(error.to_string().contains("not unique"), "{sql}: {error}");
    }
    for (sql, key) in [
        ("SELECT * FROM line", &["id"][..]),
        ("SELECT * FROM line", &["nr", "claim_id"]),
        ("SELECT * FROM v", &["id"]),
    ] {
        let mut reader = source.open_feed(&keyed(sql, key), &permit).await.unwrap();
        let codes = harness::until("the key to be proven", crate::postgres::SOON, async || {
            let codes = examine(reader.as_mut(), &permit).await;
            (!codes.contains(&KEY_UNPROVEN)).then_some(codes)
        })
        .await;
        assert!(codes.is_empty(), "{sql} {key:?}: {codes:?}");
    }
    // A proof is kept while the feed is closed and opened again.
    let reader = source
        .open_feed(&keyed("SELECT * FROM v", &["id"]), &permit)
        .await
        .unwrap();
    assert_eq!(unverified(reader.as_ref(), KEY_UNPROVEN), "");
    // Of a table without keys that repeat in the first page, a read finds the pair.
    core.connection
        .execute_batch("UPDATE line SET claim_id = id; UPDATE line SET claim_id = 4999 WHERE id = 5000")
        .unwrap();
    let feed = keyed("SELECT id, claim_id FROM line", &["claim_id"]);
    let mut reader = source.open_feed(&feed, &permit).await.unwrap();
    let mut taken = Taken::default();
    let error = reader
        .read(None, &Fence::Open, 10_000, &permit, &mut taken)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("not unique"), "{error}");
    assert!(taken.rows.len() < 5_000);
}

#[tokio::test]
async fn tombstone_column_of_a_type_without_marks_is_refused() {
    let gate = Gate::fixed_open();
    let permit = gate.permit().await;
    let db = database(
        "CREATE TYPE mood AS ENUM ('live', 'gone'); CREATE TABLE t (id bigint PRIMARY KEY, f float8, d numeric(5,1), m mood, b bool, \
         n numeric(1), at timestamptz);",
    )
    .await;
    let (postgres, _) = open(&db, READER, &gate).await;
    let core = core(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, f REAL, d DECIMAL(5,1), m BLOB, b BOOLEAN, n DECIMAL(1), at DATETIME)",
    );
    let sqlite = source(&core, &gate);
    let sources: [&dyn Source; 2] = [&postgres, &sqlite];
    for source in sources {
        for (mark, fits) in [
            ("f", false),
            ("d", false),
            ("m", false),
            ("b", true),
            ("n", true),
            ("at", true),
        ] {
            let mut feed = keyed("SELECT * FROM t", &["id"]);
            feed.tombstone = Some(mark.into());
            let error = source
                .open_feed(&feed, &permit)
                .await
                .err()
                .map(|error| error.to_string());
            assert_eq!(error.is_none(), fits, "{mark}: {error:?}");
            assert!(error.is_none_or(|error| error.contains("cannot mark")), "{mark}");
        }
    }
}
