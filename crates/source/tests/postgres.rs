//! PostgreSQL.

use std::time::Duration;

use gate::Gate;
use harness::{Db, Postgres, until};
use schemas::column::ColumnType;
use source::{CursorSetBy, End, ErrorKind, FeedReader, Fence, PostgresConfig, PostgresSource, Source};

use crate::rows::{Taken, drain, feed};

pub(crate) const SOON: Duration = Duration::from_secs(20);
pub(crate) const SETL: &str =
    "CREATE TABLE setl (id bigint PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), amount numeric(16,2));
    CREATE INDEX setl_at ON setl (at, id);";
pub(crate) const READER: &str =
    "GRANT SELECT ON ALL TABLES IN SCHEMA public TO $role; GRANT pg_read_all_stats TO $role;";

pub(crate) async fn database(sql: &str) -> Db {
    let db = Postgres::shared().await.database("source").await;
    db.execute(sql).await;
    db
}

pub(crate) async fn open(db: &Db, grants: &str, gate: &Gate) -> (PostgresSource, String) {
    let role = db.role("reader", grants).await;
    let mut config = PostgresConfig::new(db.url_as(&role));
    config.statement_timeout = Duration::from_secs(30);
    (PostgresSource::new(config, gate.closed_flag()).unwrap(), role)
}

async fn below(reader: &mut dyn FeedReader, gate: &Gate) -> Fence {
    reader.fence(&gate.permit().await).await.unwrap().fence.unwrap()
}

pub(crate) fn setl() -> source::FeedDefinition {
    feed(
        "SELECT id, at, amount FROM setl",
        &["at", "id"],
        CursorSetBy::Transaction,
    )
}

/// Regression: rows with equal cursor values in two chunks are lost at a restart.
#[tokio::test]
async fn rows_with_equal_cursor_prefix_are_read_once() {
    let db = database(&format!("{SETL} INSERT INTO setl SELECT i, '2026-01-01'::timestamptz + (i % 3) * interval '1 s', i / 100.0 FROM generate_series(1, 1000) i;")).await;
    let gate = Gate::fixed_open();
    let (source, _) = open(&db, READER, &gate).await;
    let permit = gate.permit().await;
    let mut reader = source.open_feed(&setl(), &permit).await.unwrap();
    assert_eq!(
        reader.schema().columns[2].kind,
        ColumnType::Decimal {
            precision: Some(16),
            scale: Some(2)
        }
    );
    assert!(!reader.schema().columns[0].nullable && reader.schema().columns[2].nullable);
    let fence = below(reader.as_mut(), &gate).await;
    for limit in [1, 7, 333, 1000, 5000] {
        let mut ids = drain(reader.as_mut(), &["at", "id"], &fence, limit, &permit)
            .await
            .ids();
        assert_eq!(ids.len(), 1000);
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 1000);
    }
    assert!(!source.own_backends().is_empty());
    source.close().await;
    assert!(source.own_backends().is_empty());
}

/// Regression: NULL `xact_start` must not permit reading.
#[tokio::test]
async fn postgres_account_privileges_are_checked() {
    let db = database(SETL).await;
    let gate = Gate::fixed_open();
    let permit = gate.permit().await;
    let refusal = async |grants: &str| {
        let (source, role) = open(&db, grants, &gate).await;
        (source.open_feed(&setl(), &permit).await.err().unwrap(), role)
    };
    let (error, role) = refusal("GRANT SELECT ON setl TO $role").await;
    assert_eq!(error.kind, ErrorKind::Refused);
    assert!(
        error
            .remedy
            .contains(&format!("GRANT pg_read_all_stats TO \"{role}\";")),
        "{error}"
    );
    let (error, role) = refusal("GRANT pg_read_all_stats TO $role").await;
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(
        error
            .remedy
            .contains(&format!("GRANT SELECT ON \"public\".\"setl\" TO \"{role}\";")),
        "{error}"
    );
    let (error, _) = refusal(&format!("{READER} GRANT INSERT ON setl TO $role")).await;
    assert!(
        error.kind == ErrorKind::Refused && error.to_string().contains("may write"),
        "{error}"
    );
    let root = PostgresSource::new(PostgresConfig::new(&db.url), gate.closed_flag()).unwrap();
    assert!(
        root.open_feed(&setl(), &permit)
            .await
            .err()
            .unwrap()
            .to_string()
            .contains("superuser")
    );
    let grants = source::postgres::grants(&db.url, &setl(), "r").await.unwrap();
    assert_eq!(
        grants,
        [
            "GRANT USAGE ON SCHEMA \"public\" TO \"r\";",
            "GRANT SELECT ON \"public\".\"setl\" TO \"r\";",
            "GRANT pg_read_all_stats TO \"r\";",
        ]
    );
}

#[tokio::test]
async fn postgres_invalid_feed_is_refused_with_its_location() {
    let db = database(&format!(
        "{SETL} CREATE TABLE t (id bigint, at timestamptz); INSERT INTO t VALUES (1, NULL)"
    ))
    .await;
    let gate = Gate::fixed_open();
    let permit = gate.permit().await;
    let (source, _) = open(&db, READER, &gate).await;
    for (sql, cursor, wanted) in [
        ("SELECT id,\n at FRM setl", "at id", "sql line 2"),
        ("SELECT id, at FROM nowhere", "at id", "nowhere"),
        ("SELECT id, at, colour FROM setl", "at id", "colour"),
        ("SELECT id FROM setl", "at id", "cursor names at"),
        ("SELECT id, at FROM setl", "at", "not unique"),
        (
            "SELECT id, at FROM t UNION ALL SELECT id, at FROM t",
            "at id",
            "null",
        ),
        ("DELETE FROM setl RETURNING id, at", "at id", "syntax"),
    ] {
        let cursor: Vec<&str> = cursor.split(' ').collect();
        let error = source
            .open_feed(&feed(sql, &cursor, CursorSetBy::Transaction), &permit)
            .await
            .err();
        let error = error.unwrap_or_else(|| panic!("{sql}"));
        assert!(
            error.kind == ErrorKind::Refused && error.to_string().contains(wanted),
            "{sql}: {error}"
        );
    }
    let unreachable = PostgresSource::new(
        PostgresConfig::new("postgres://x@127.0.0.1:1/x"),
        gate.closed_flag(),
    )
    .unwrap();
    assert_eq!(
        unreachable.open_feed(&setl(), &permit).await.err().unwrap().kind,
        ErrorKind::Unreachable
    );
}

/// Regression: an open transaction while paused; objects left in the source.
#[tokio::test]
async fn postgres_revoked_permit_stops_the_statement() {
    let db = database(&format!("{SETL} INSERT INTO setl SELECT i, '2026-01-01'::timestamptz + i * interval '1 s', 1 FROM generate_series(1, 200) i;")).await;
    // It sleeps until the statement timeout: only the gate stops it earlier.
    let sql = "SELECT id, at, pg_sleep(3600)::text AS s FROM setl";
    let objects = "SELECT count(*) FROM pg_class";
    let before = db.number(objects).await;
    let (gate, script) = Gate::scripted();
    script.open();
    let (source, role) = open(&db, READER, &gate).await;
    let permit = gate.permit().await;
    let mut reader = source
        .open_feed(&feed(sql, &["at", "id"], CursorSetBy::Transaction), &permit)
        .await
        .unwrap();
    let mut taken = Taken::default();
    let read = reader.read(None, &Fence::Open, 200, &permit, &mut taken);
    let sleeping =
        format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{role}' AND state = 'active'");
    let closed = async {
        until("the statement to run", SOON, async || {
            db.number(&sleeping).await == 1
        })
        .await;
        script.close("business");
    };
    let both = async { tokio::join!(read, closed) };
    let (quantum, ()) = tokio::time::timeout(SOON, both)
        .await
        .expect("the gate stops the statement");
    assert_eq!(quantum.unwrap().end, End::Revoked);
    let busy = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = '{role}' AND (state <> 'idle' OR xact_start IS NOT NULL)"
    );
    // At once, unless a session had to be dropped on a busy machine.
    until("the account to rest", SOON, async || db.number(&busy).await == 0).await;
    assert_eq!(
        (
            source.driver_counts().rows_while_closed,
            source.driver_counts().statements_while_closed
        ),
        (0, 0)
    );
    assert_eq!(db.number(objects).await, before);
    script.open();
    let permit = gate.permit().await;
    assert!(reader.fence(&permit).await.unwrap().fence.is_some());
}

#[tokio::test]
async fn postgres_timeout_is_reported_and_session_reopened() {
    let db = database(&format!(
        "{SETL} INSERT INTO setl (id, at) VALUES (1, '2026-01-01')"
    ))
    .await;
    let gate = Gate::fixed_open();
    let role = db.role("reader", READER).await;
    let mut config = PostgresConfig::new(db.url_as(&role));
    // Long enough to open a feed on a machine under load.
    config.statement_timeout = Duration::from_secs(2);
    let hurried = PostgresSource::new(config.clone(), gate.closed_flag()).unwrap();
    let permit = gate.permit().await;
    let sql = "SELECT id, at, pg_sleep(3600)::text AS s FROM setl";
    let mut slow = hurried
        .open_feed(&feed(sql, &["at", "id"], CursorSetBy::Transaction), &permit)
        .await
        .unwrap();
    let error = slow
        .read(None, &Fence::Open, 10, &permit, &mut Taken::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::TimedOut, "{error}");
    config.statement_timeout = Duration::from_secs(30);
    let source = PostgresSource::new(config, gate.closed_flag()).unwrap();
    let mut reader = source.open_feed(&setl(), &permit).await.unwrap();
    db.execute(&format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'"
    ))
    .await;
    until("the session to be opened again", SOON, async || {
        reader.fence(&permit).await.is_ok()
    })
    .await;
    assert_eq!(
        drain(reader.as_mut(), &["at", "id"], &Fence::Open, 1, &permit)
            .await
            .ids(),
        [1]
    );
}

#[tokio::test]
async fn postgres_cursor_index_is_read_as_a_range() {
    let db = database(&format!("{SETL} INSERT INTO setl SELECT i, '2026-01-01'::timestamptz + i * interval '1 s', 1 FROM generate_series(1, 50000) i; ANALYZE setl;")).await;
    let keyset = source::keyset::Keyset {
        dialect: source::keyset::Dialect::Postgres,
        sql: "SELECT id, at, amount FROM setl".into(),
        select: vec!["feed.\"id\"".into()],
        cursor: [("at", "timestamptz"), ("id", "int8")]
            .map(|(name, cast)| source::keyset::CursorColumn {
                name: name.into(),
                cast: cast.into(),
            })
            .into(),
        only: None,
        own_parameters: 0,
        fence_zone: None,
    };
    let client = db.connect().await;
    let read = keyset.read(true, source::keyset::Bound::Below);
    client
        .batch_execute(&format!(
            "SET plan_cache_mode = force_custom_plan; PREPARE q(text, text, text, text) AS {read}"
        ))
        .await
        .unwrap();
    let plan = client
        .query(
            "EXPLAIN EXECUTE q('2026-01-01 05:00:00+00', '18000', '2026-02-01T00:00:00Z', '1001')",
            &[],
        )
        .await
        .unwrap();
    let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
    let plan = plan.join("\n");
    assert!(plan.contains("setl_at") && !plan.contains("Sort"), "{plan}");
    let range = plan.lines().find(|line| line.contains("Index Cond")).unwrap();
    assert!(range.contains("ROW(") && range.contains("at <"), "{plan}");
}

#[tokio::test]
async fn postgres_types_and_local_time_fences() {
    let db = database(
        "CREATE TYPE mood AS ENUM ('ok');
         CREATE TABLE t (id int PRIMARY KEY, at timestamp NOT NULL DEFAULT now(), day date NOT NULL, u uuid, j jsonb,
            l int[], m mood, i interval, c char(4), n numeric, z timestamptz, b bytea, f real, x bool);
         INSERT INTO t VALUES (1, DEFAULT, '2026-01-02', '00000000-0000-0000-0000-000000000001', '{\"a\": 1}',
            '{1,2}', 'ok', '1 day 2 hours', 'ab', 'NaN', '2026-01-01 00:00:00.5+08', '\\x00ff', 0.1, true);",
    )
    .await;
    let gate = Gate::fixed_open();
    let (source, _) = open(&db, READER, &gate).await;
    let permit = gate.permit().await;
    let sql = "SELECT * FROM t";
    let mut reader = source
        .open_feed(&feed(sql, &["at", "id"], CursorSetBy::Transaction), &permit)
        .await
        .unwrap();
    assert_eq!(
        reader.schema().columns[5].kind,
        ColumnType::Other {
            native: "integer[]".into()
        }
    );
    let mut taken = Taken::default();
    let fence = below(reader.as_mut(), &gate).await;
    reader.read(None, &fence, 10, &permit, &mut taken).await.unwrap();
    let row = &taken.rows[0][2..];
    assert_eq!(
        row[..11].join("|"),
        "2026-01-02|00000000-0000-0000-0000-000000000001|{\"a\": 1}|{1,2}|ok|P1DT2H|ab  |NaN|2025-12-31 16:00:00.5+00|Bytes([0, 255])|Float(0.10000000149011612)"
    );
    assert_eq!(row[11], "Bool(true)");
    // A day set by the application, with a lag; the whole day is readable.
    let mut reader = source
        .open_feed(&feed(sql, &["day", "id"], CursorSetBy::Application), &permit)
        .await
        .unwrap();
    assert_eq!(reader.fence(&permit).await.unwrap().fence, None);
    assert_eq!(
        drain(reader.as_mut(), &["day", "id"], &Fence::Open, 1, &permit)
            .await
            .ids(),
        [1]
    );
}
