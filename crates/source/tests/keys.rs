//! Keys that are not unique, and the proof of a key.

use gate::{Gate, Permit};
use schemas::column::ColumnType;
use source::evidence::KEY_UNPROVEN;
use source::{CursorSetBy, ErrorKind, FeedDefinition, FeedReader, Fence, Source};

use crate::postgres::{READER, database, open};
use crate::rows::{Taken, feed, run_checks, unverified};
use crate::sqlite::{core, source};

fn keyed(sql: &str, key: &[&str]) -> FeedDefinition {
    let mut feed = feed(sql, &["id"], CursorSetBy::Application);
    feed.key = key.iter().map(ToString::to_string).collect();
    feed
}

/// Reads keys until two rows share one.
async fn repeated(reader: &mut dyn FeedReader, permit: &Permit) -> source::Error {
    harness::until("a repeated key to be found", crate::postgres::SOON, async || {
        let found = reader.run_next_check(permit).await.err();
        let is_open = !unverified(reader, KEY_UNPROVEN).is_empty();
        assert!(found.is_some() || is_open, "the key is proven");
        found
    })
    .await
}

const LINES: &str = "CREATE TABLE claim (claim_id bigint PRIMARY KEY, person text);
    CREATE TABLE line (id bigint PRIMARY KEY, claim_id bigint, code text, nr bigint NOT NULL);
    CREATE UNIQUE INDEX line_nr ON line (claim_id, nr);
    CREATE UNIQUE INDEX line_some ON line (code) WHERE code <> 'x';";

/// Regression: 6,075 rows became 3,106 at the store.
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
    // Unique by an index, by a superset of its columns, and by reading.
    for (sql, key) in [
        ("SELECT * FROM line", &["id"][..]),
        ("SELECT * FROM line", &["nr", "claim_id", "code"]),
        ("SELECT * FROM joined", &["id"]),
        ("SELECT * FROM joined", &["claim_id", "nr"]),
    ] {
        let mut reader = source.open_feed(&keyed(sql, key), &permit).await.unwrap();
        let codes = harness::until("the key to be proven", crate::postgres::SOON, async || {
            let codes = run_checks(reader.as_mut(), &permit).await;
            (!codes.contains(&KEY_UNPROVEN)).then_some(codes)
        })
        .await;
        assert!(codes.is_empty(), "{sql} {key:?}: {codes:?}");
    }
}

/// Until the keys were read completely, rows of one read are compared.
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
            let codes = run_checks(reader.as_mut(), &permit).await;
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
    // If the first page of keys has no duplicate, a read finds the pair.
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

/// Regression: equal numbers print in two ways, and the store keeps one row of them.
#[tokio::test]
async fn postgres_key_of_equal_values_is_not_unique() {
    let db = database(
        "CREATE TABLE t (id bigint PRIMARY KEY, n numeric, f float8, i interval, j jsonb, a numeric[]);
         INSERT INTO t SELECT i, i, i, i * interval '1 day', to_jsonb(i), ARRAY[i::numeric] FROM generate_series(1, 5000) i;
         UPDATE t SET n = '4999.00', i = i - interval '30 days' + interval '1 mon' - interval '1 day', \
         j = '4999.0', a = '{4999.0}' WHERE id = 5000;
         UPDATE t SET f = 0 WHERE id = 4999; UPDATE t SET f = '-0' WHERE id = 5000;",
    )
    .await;
    let gate = Gate::fixed_open();
    let (source, _) = open(&db, READER, &gate).await;
    let permit = gate.permit().await;
    for key in ["n", "f", "i", "j", "a"] {
        let feed = keyed(&format!("SELECT id, {key} FROM t"), &[key]);
        let mut reader = match source.open_feed(&feed, &permit).await {
            Ok(reader) => reader,
            // Minus zero and zero are in the first page.
            Err(error) => {
                assert!(
                    error.to_string().contains("not unique") && key == "f",
                    "{key}: {error}"
                );
                continue;
            }
        };
        let mut taken = Taken::default();
        let error = reader
            .read(None, &Fence::Open, 10_000, &permit, &mut taken)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("not unique"), "{key}: {error}");
        let error = repeated(reader.as_mut(), &permit).await;
        assert!(error.to_string().contains("not unique"), "{key}: {error}");
    }
}

/// PostgreSQL takes two spellings as one key, and no other system knows which.
#[tokio::test]
async fn postgres_key_of_a_type_without_one_format_is_refused() {
    let db = database(
        "CREATE TYPE pair AS (a integer, b numeric); CREATE DOMAIN amount AS numeric; CREATE TYPE mood AS ENUM ('a');
         CREATE TABLE t (id bigint PRIMARY KEY, r numrange, p pair, d amount[], b bpchar, c char(3), i int[], n numeric[],
             x text[], m mood[], ir int4range, dr daterange, u uuid);",
    )
    .await;
    let gate = Gate::fixed_open();
    let (source, _) = open(&db, READER, &gate).await;
    let permit = gate.permit().await;
    let opened = async |sql: &str, key: &str| {
        let feed = keyed(sql, &[key]);
        source.open_feed(&feed, &permit).await.err()
    };
    for key in ["r", "p", "d", "b"] {
        let error = opened(&format!("SELECT id, {key} FROM t"), key).await;
        let error = error.unwrap_or_else(|| panic!("{key} is served"));
        assert_eq!(error.kind, ErrorKind::Refused, "{key}: {error}");
        assert!(error.to_string().contains("two spellings"), "{key}: {error}");
    }
    // The blanks of two lengths differ.
    let union = "SELECT id, c AS k FROM t UNION SELECT id, 'x'::char(5) FROM t";
    assert!(opened(union, "k").await.is_some());
    for key in ["c", "i", "n", "x", "m", "ir", "dr", "u"] {
        let error = opened(&format!("SELECT id, {key} FROM t"), key).await;
        assert!(error.is_none(), "{key}: {error:?}");
    }
    let written = "SELECT id, b::text AS b FROM t";
    assert!(opened(written, "b").await.is_none(), "the remedy works");
}

/// Regression: `1.0` and `1.00` are two keys of a text column, independent of its declared type.
#[tokio::test]
async fn sqlite_key_is_sent_as_the_compared_type() {
    let core = core(
        "CREATE TABLE d (id INTEGER PRIMARY KEY, k DECIMAL_TEXT(10,2) NOT NULL UNIQUE, v DECIMAL_TEXT(10,2));
         INSERT INTO d VALUES (1, '1.0', '2.0'), (2, '1.00', '2.00');
         CREATE TABLE n (id INTEGER PRIMARY KEY, k NOT NULL UNIQUE); INSERT INTO n VALUES (1, 1), (2, '1'), (3, '1.0');
         CREATE TABLE e (id INTEGER PRIMARY KEY, k DECIMAL(10,2) NOT NULL UNIQUE); INSERT INTO e VALUES (1, '1.0'), (2, 1.5);",
    );
    let gate = Gate::fixed_open();
    let source = source(&core, &gate);
    let permit = gate.permit().await;
    let decimal = ColumnType::Decimal {
        precision: Some(10),
        scale: Some(2),
    };
    for (table, given, kind, count) in [
        ("d", None, ColumnType::Text { max: None }, 2),
        ("d", Some("decimal(10,2)"), ColumnType::Text { max: None }, 2),
        ("n", Some("text"), ColumnType::Any, 3),
        ("n", Some("decimal(10,2)"), ColumnType::Any, 3),
        ("e", None, decimal.clone(), 2),
    ] {
        let mut feed = keyed(&format!("SELECT * FROM {table}"), &["k"]);
        feed.types
            .extend(given.map(|given| ("k".to_owned(), given.to_owned())));
        let mut reader = source.open_feed(&feed, &permit).await.unwrap();
        let columns = &reader.schema().columns;
        assert_eq!(columns[1].kind, kind, "{table} {given:?}");
        assert!(columns.get(2).is_none_or(|column| column.kind == decimal));
        let mut taken = Taken::default();
        reader
            .read(None, &Fence::Open, 10, &permit, &mut taken)
            .await
            .unwrap();
        assert_eq!(
            (taken.rows.len(), taken.rejects.len()),
            (count, 0),
            "{table} {given:?}"
        );
    }
}

/// Regression: 1 and 1.0 are one number to SQLite, and one row at the store.
#[tokio::test]
async fn sqlite_key_of_one_number_in_two_formats_is_not_unique() {
    let core = core(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, k);
         INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) SELECT i, i FROM n;
         UPDATE t SET k = 4999.0 WHERE id = 5000;",
    );
    let gate = Gate::fixed_open();
    let source = source(&core, &gate);
    let permit = gate.permit().await;
    let feed = keyed("SELECT id, k FROM t", &["k"]);
    let mut reader = source.open_feed(&feed, &permit).await.unwrap();
    let mut taken = Taken::default();
    let error = reader
        .read(None, &Fence::Open, 10_000, &permit, &mut taken)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("not unique"), "{error}");
    let error = repeated(reader.as_mut(), &permit).await;
    assert!(error.to_string().contains("not unique"), "{error}");
    // A text is another key.
    core.connection
        .execute_batch("UPDATE t SET k = '4999' WHERE id = 5000")
        .unwrap();
    let mut reader = source.open_feed(&feed, &permit).await.unwrap();
    harness::until("the key to be proven", crate::postgres::SOON, async || {
        let codes = run_checks(reader.as_mut(), &permit).await;
        (!codes.contains(&KEY_UNPROVEN)).then_some(())
    })
    .await;
}
