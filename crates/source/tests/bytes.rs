//! Invalid bytes in a core: each row that has them is a reject.

use gate::Gate;
use harness::Postgres;
use rusqlite::Connection;
use schemas::cursor::{Cursor, Scalar};
use source::{CursorSetBy, End, Fence, PostgresConfig, PostgresSource, Source, SqliteConfig, SqliteSource};

use crate::rows::{Taken, feed};

async fn all(source: &dyn Source, gate: &Gate, cursor: &str) -> Result<Taken, String> {
    let permit = gate.permit().await;
    let mut feed = feed("SELECT * FROM t", &[cursor], CursorSetBy::Application);
    feed.key = vec!["k".to_owned(), "n".to_owned()];
    let error_text = |error: source::Error| error.to_string();
    let mut reader = source.open_feed(&feed, &permit).await.map_err(error_text)?;
    let mut taken = Taken::default();
    let read = reader.read(None, &Fence::Open, 10, &permit, &mut taken).await;
    assert_eq!(read.map_err(error_text)?.end, End::Drained);
    Ok(taken)
}

fn only_the_second_is_a_reject(taken: &Taken) {
    assert_eq!(taken.ids(), [1, 3]);
    let [(cursor, reject)] = &taken.rejects[..] else {
        panic!("{:?}", taken.rejects)
    };
    assert_eq!(cursor, &Cursor(vec![Scalar::Int(2)]));
    let text = |text: &str| Some(Scalar::Text(text.to_owned()));
    assert_eq!(reject.key, [text("\\x00ff"), text("0.5")]);
    assert_eq!(reject.column.as_deref(), Some("name"));
    assert!(!reject.reason.is_empty());
}

/// A database of encoding `SQL_ASCII` accepts any bytes as text and converts none.
#[tokio::test]
async fn postgres_invalid_text_is_a_reject() {
    let server = Postgres::shared().await;
    let name = "source_ascii";
    let make =
        format!("CREATE DATABASE {name} ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
    server.admin().execute(&make).await;
    let db = server.existing_database(name);
    db.execute(
        "CREATE TABLE t (id bigint NOT NULL UNIQUE, name text NOT NULL UNIQUE, k bytea, n float8, PRIMARY KEY (k, n));
         INSERT INTO t VALUES (1, 'a', '\\x00', 0.5), (3, 'b', '\\x01', 0.5);
         INSERT INTO t VALUES (2, E'\\xd5\\xc5', '\\x00ff', 0.5);",
    )
    .await;
    let gate = Gate::fixed_open();
    let mut config = PostgresConfig::new(&db.url);
    config.allow_writable_account = true;
    let source = PostgresSource::new(config, gate.closed_flag()).unwrap();
    only_the_second_is_a_reject(&all(&source, &gate, "id").await.unwrap());
    // They cannot be a position, so the feed fails with the cause.
    let error = all(&source, &gate, "name").await.unwrap_err();
    assert!(
        error.contains("UTF-8") && error.contains("cursor (name)"),
        "{error}"
    );
    source.close().await;
}

#[tokio::test]
async fn sqlite_invalid_text_is_a_reject() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("core.db");
    let file = Connection::open(&path).unwrap();
    file.pragma_update(None, "journal_mode", "wal").unwrap();
    file.execute_batch(
        "CREATE TABLE t (id INTEGER NOT NULL UNIQUE, name TEXT NOT NULL UNIQUE, k BLOB NOT NULL, n REAL NOT NULL, PRIMARY KEY (k, n));
         INSERT INTO t VALUES (1, 'a', x'00', 0.5), (2, CAST(x'd5c5' AS TEXT), x'00ff', 0.5), (3, 'b', x'01', 0.5);",
    )
    .unwrap();
    let gate = Gate::fixed_open();
    let source = SqliteSource::new(SqliteConfig::new(path), gate.closed_flag()).unwrap();
    only_the_second_is_a_reject(&all(&source, &gate, "id").await.unwrap());
    assert!(all(&source, &gate, "name").await.is_err());
    source.close().await;
}
