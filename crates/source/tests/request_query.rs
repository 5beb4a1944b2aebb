//! Request queries on both databases: arguments always stay values, and a long answer read in several quanta is the answer of one
//! SELECT.

mod nulls;
mod revoked;

use std::collections::BTreeMap;

use gate::{Gate, Permit};
use schemas::cursor::{Cursor, Scalar};
use source::{
    Argument, ArgumentKind, End, ErrorKind, RequestQuery, RequestQueryReader, Source, SqliteConfig,
    SqliteSource,
};

use crate::postgres::{database, open};
use crate::rows::Taken;

const PG: &str = "CREATE TABLE setl (id bigint PRIMARY KEY, psn_no varchar(30) NOT NULL, day date NOT NULL, \
    at timestamptz NOT NULL, amount numeric(16,2), paid boolean NOT NULL); \
    INSERT INTO setl SELECT i, 'p' || i % 100, date '2026-01-01' + i % 10, \
    timestamptz '2026-01-01 00:00:00Z' + i * interval '1 s', i / 100.0, i % 2 = 0 FROM generate_series(1, 50000) i;";
const LITE: &str = "CREATE TABLE setl (id INTEGER PRIMARY KEY, psn_no TEXT NOT NULL, day DATE NOT NULL, \
    at TEXT NOT NULL, amount DECIMAL(16,2), paid BOOLEAN NOT NULL); \
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000) \
    INSERT INTO setl SELECT i, 'p' || (i % 100), date('2026-01-01', '+' || (i % 10) || ' days'), \
    strftime('%Y-%m-%dT%H:%M:%SZ', '2026-01-01', '+' || i || ' seconds'), i / 100.0, i % 2 = 0 FROM n;";

/// Both sources over the same rows, with what must outlive them.
async fn both(gate: &Gate) -> Vec<(&'static str, Box<dyn Source>, Box<dyn std::any::Any>)> {
    let db = database(PG).await;
    // Request queries do not read pg_stat_activity: SELECT is the only privilege that the account needs.
    let (postgres, _) = open(&db, "GRANT SELECT ON setl TO $role", gate).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("core.db");
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute_batch(LITE)
        .unwrap();
    let sqlite = SqliteSource::new(SqliteConfig::new(&path), gate.closed_flag()).unwrap();
    vec![
        ("postgres", Box::new(postgres), Box::new(db)),
        ("sqlite", Box::new(sqlite), Box::new(dir)),
    ]
}

fn request_query(sql: &str, arguments: &[(ArgumentKind, Option<Scalar>)], order: &[&str]) -> RequestQuery {
    let named = (1..).zip(arguments).map(|(number, (kind, value))| Argument {
        name: format!("a{number}"),
        kind: *kind,
        value: value.clone(),
        stored_as: None,
    });
    RequestQuery {
        name: "setl.asked".into(),
        sql: sql.into(),
        arguments: named.collect(),
        order: order.iter().map(ToString::to_string).collect(),
        money: vec![],
        types: BTreeMap::new(),
        zone: None,
    }
}

fn text(text: &str) -> Option<Scalar> {
    Some(Scalar::Text(text.to_owned()))
}

/// Reads a whole answer, `limit` rows at a time. The first column is the order.
async fn all(reader: &mut dyn RequestQueryReader, limit: usize, permit: &Permit) -> Taken {
    let mut taken = Taken::default();
    let mut after: Option<Cursor> = None;
    loop {
        let quantum = reader
            .read(after.as_ref(), limit, permit, &mut taken)
            .await
            .unwrap();
        match quantum.end {
            End::Drained => return taken,
            End::Limit => assert!(quantum.rows > 0, "a quantum at its limit goes forward"),
            End::Revoked => panic!("revoked"),
        }
        let last = taken.rows.last().unwrap()[0].parse().unwrap();
        after = Some(Cursor(vec![Scalar::Int(last)]));
    }
}

async fn ids(source: &dyn Source, request_query: &RequestQuery, permit: &Permit) -> Vec<i64> {
    let mut reader = source.open_request_query(request_query, permit).await.unwrap();
    all(reader.as_mut(), 100_000, permit).await.ids()
}

#[tokio::test]
async fn request_query_binds_every_argument_type() {
    use ArgumentKind as K;
    let gate = Gate::fixed_open();
    let permit = gate.permit().await;
    for (name, source, _kept) in both(&gate).await {
        for (condition, kind, value, expected) in [
            ("psn_no = $1", K::Text, text("p7"), 500),
            ("id <= $1", K::Integer, Some(Scalar::Int(12)), 12),
            ("id <= $1", K::Integer, text("12"), 12),
            ("amount <= $1", K::Decimal, text("0.30"), 30),
            ("amount <= $1", K::Decimal, Some(Scalar::Int(1)), 100),
            ("day = $1", K::Date, text("2026-01-03"), 5_000),
            ("at <= $1", K::Timestamp, text("2026-01-01T00:01:00Z"), 60),
            ("paid = $1", K::Boolean, text("true"), 25_000),
            ("psn_no = $1", K::Text, None, 0),
            ("$1 IS NULL AND id < 3", K::Date, None, 2),
        ] {
            let sql = format!("SELECT id FROM setl WHERE {condition} -- as asked;");
            let asked = request_query(&sql, &[(kind, value)], &["id"]);
            let found = ids(source.as_ref(), &asked, &permit).await;
            assert_eq!(found.len(), expected, "{name}: {condition}");
        }
    }
}

/// Regression: arguments that become SQL. In every position and type they stay values, or never reach the source.
#[tokio::test]
async fn request_query_injection_stays_a_value() {
    let gate = Gate::fixed_open();
    let permit = gate.permit().await;
    for (name, source, _kept) in both(&gate).await {
        let before = source.driver_counts().statements;
        for injection in [
            "'; DROP TABLE setl; --",
            "x' OR '1'='1",
            "$2",
            "?1) UNION SELECT 1 --",
            "\\'; --",
        ] {
            for kind in [
                ArgumentKind::Integer,
                ArgumentKind::Decimal,
                ArgumentKind::Date,
                ArgumentKind::Timestamp,
                ArgumentKind::Boolean,
            ] {
                let asked = request_query(
                    "SELECT id FROM setl WHERE $1 IS NULL",
                    &[(kind, text(injection))],
                    &["id"],
                );
                let error = source.open_request_query(&asked, &permit).await.err().unwrap();
                assert_eq!(error.kind, ErrorKind::Refused, "{name} {kind:?}");
                assert!(!error.to_string().contains(injection), "{error}");
            }
        }
        assert_eq!(
            source.driver_counts().statements,
            before,
            "{name}: the source was touched"
        );
        for injection in [
            "'; DROP TABLE setl; --",
            "x' OR '1'='1",
            "$2",
            "?1) UNION SELECT 1 --",
        ] {
            let sql = "SELECT id FROM setl WHERE psn_no = $1 OR psn_no = $2";
            let arguments = [
                (ArgumentKind::Text, text(injection)),
                (ArgumentKind::Text, text("p7")),
            ];
            assert_eq!(
                ids(source.as_ref(), &request_query(sql, &arguments, &["id"]), &permit)
                    .await
                    .len(),
                500
            );
            // A text that is returned is the same text.
            let echo = request_query("SELECT $1 AS echo", &[(ArgumentKind::Text, text(injection))], &[]);
            let mut reader = source.open_request_query(&echo, &permit).await.unwrap();
            let mut taken = Taken::default();
            reader.read(None, 10, &permit, &mut taken).await.unwrap();
            assert!(taken.rows[0][0].contains(injection), "{name}: {:?}", taken.rows);
        }
    }
}

#[tokio::test]
async fn request_query_in_quanta_is_one_answer() {
    let gate = Gate::fixed_open();
    let permit = gate.permit().await;
    for (name, source, _kept) in both(&gate).await {
        let sql = "SELECT id, amount, psn_no FROM setl WHERE id > $2 AND psn_no <> $1";
        let arguments = [
            (ArgumentKind::Text, text("p7")),
            (ArgumentKind::Integer, Some(Scalar::Int(100))),
        ];
        let asked = request_query(sql, &arguments, &["id"]);
        let expected: Vec<i64> = (101..=50_000).filter(|id| id % 100 != 7).collect();
        for limit in [999, 7_000, 49_401, 100_000] {
            let mut reader = source.open_request_query(&asked, &permit).await.unwrap();
            assert!(reader.schema().key.is_empty() && reader.schema().columns.len() == 3);
            let taken = all(reader.as_mut(), limit, &permit).await;
            assert!(
                taken.ids() == expected,
                "{name} at {limit}: {} rows",
                taken.rows.len()
            );
        }
    }
}

#[tokio::test]
async fn request_query_without_order_is_one_quantum() {
    let gate = Gate::fixed_open();
    let permit = gate.permit().await;
    for (name, source, _kept) in both(&gate).await {
        let asked = request_query(
            "SELECT paid FROM setl WHERE id <= $1",
            &[(ArgumentKind::Integer, Some(Scalar::Int(10)))],
            &[],
        );
        let mut reader = source.open_request_query(&asked, &permit).await.unwrap();
        let mut taken = Taken::default();
        let whole = reader.read(None, 10, &permit, &mut taken).await.unwrap();
        assert_eq!((whole.rows, whole.end), (10, End::Drained), "{name}");
        let cut = reader
            .read(None, 9, &permit, &mut Taken::default())
            .await
            .unwrap();
        assert_eq!((cut.rows, cut.end), (9, End::Limit), "{name}");
        let somewhere = Cursor(vec![Scalar::Int(1)]);
        let error = reader
            .read(Some(&somewhere), 9, &permit, &mut Taken::default())
            .await
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::Refused, "{name}");
    }
}

#[tokio::test]
async fn request_query_invalid_or_not_unique_is_refused() {
    let gate = Gate::fixed_open();
    let permit = gate.permit().await;
    for (name, source, _kept) in both(&gate).await {
        for (sql, order, wanted) in [
            ("SELECT id FROM setl WHERE id = $1", "id", "argument"),
            ("SELECT id FROM nowhere", "id", "nowhere"),
            ("SELECT id FROM setl", "day", "order names day"),
            ("SELECT id, id FROM setl", "id", "two columns"),
            ("DELETE FROM setl", "id", "query setl.asked"),
        ] {
            let error = source
                .open_request_query(&request_query(sql, &[], &[order]), &permit)
                .await
                .err()
                .unwrap();
            assert!(error.to_string().contains(wanted), "{name}: {error}");
        }
        assert_eq!(
            ids(
                source.as_ref(),
                &request_query("SELECT id FROM setl", &[], &["id"]),
                &permit
            )
            .await
            .len(),
            50_000
        );
        let mut reader = source
            .open_request_query(&request_query("SELECT day FROM setl", &[], &["day"]), &permit)
            .await
            .unwrap();
        let error = reader
            .read(None, 10, &permit, &mut Taken::default())
            .await
            .unwrap_err();
        assert!(error.to_string().contains("not unique"), "{name}: {error}");
    }
}

/// An account that may write is refused, as for feeds.
#[tokio::test]
async fn request_query_of_a_writable_account_is_refused() {
    let db = database(PG).await;
    let gate = Gate::fixed_open();
    let (source, _) = open(&db, "GRANT SELECT, UPDATE ON setl TO $role", &gate).await;
    let asked = request_query("SELECT id FROM setl", &[], &["id"]);
    let error = source
        .open_request_query(&asked, &gate.permit().await)
        .await
        .err()
        .unwrap();
    assert!(error.to_string().contains("may write"), "{error}");
}

/// The lookup serves later requests of the kind: one statement each.
#[tokio::test]
async fn request_query_is_looked_up_once() {
    let db = database(PG).await;
    let gate = Gate::fixed_open();
    let permit = gate.permit().await;
    let (source, _) = open(&db, "GRANT SELECT ON setl TO $role", &gate).await;
    let ask = |person: &str| {
        let sql = "SELECT id FROM setl WHERE psn_no = $1";
        request_query(sql, &[(ArgumentKind::Text, text(person))], &["id"])
    };
    assert_eq!(ids(&source, &ask("p1"), &permit).await.len(), 500);
    let before = source.driver_counts().statements;
    for person in ["p2", "p3", "p4"] {
        assert_eq!(ids(&source, &ask(person), &permit).await.len(), 500);
    }
    assert_eq!(source.driver_counts().statements, before + 3);
    // A changed column is detected, and looked up again.
    db.execute("ALTER TABLE setl ALTER COLUMN id TYPE numeric").await;
    let mut reader = source.open_request_query(&ask("p5"), &permit).await.unwrap();
    let error = reader
        .read(None, 10, &permit, &mut Taken::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Database, "{error}");
    assert_eq!(ids(&source, &ask("p5"), &permit).await.len(), 500);
}

/// The core writes Shanghai time without zone; 08:00 of the first of February is 00:00 UTC.
const LOCAL: &str = "CREATE TABLE visit (id bigint PRIMARY KEY, local timestamp NOT NULL, instant timestamptz NOT NULL, \
    day date NOT NULL); INSERT INTO visit SELECT i, t, t AT TIME ZONE 'Asia/Shanghai', t::date \
    FROM generate_series(1, 48) i, LATERAL (SELECT timestamp '2026-01-31 00:30' + i * interval '1 hour') x(t)";

fn visits(sql: &str, arguments: &[(ArgumentKind, Option<Scalar>)], zone: Option<&str>) -> RequestQuery {
    RequestQuery {
        zone: zone.map(str::to_owned),
        ..request_query(
            &format!("SELECT id, instant FROM visit WHERE {sql}"),
            arguments,
            &["id"],
        )
    }
}

#[tokio::test]
async fn postgres_argument_time_is_compared_in_the_columns_type() {
    use ArgumentKind::{Date, Timestamp};
    let gate = Gate::fixed_open();
    let permit = gate.permit().await;
    let db = database(LOCAL).await;
    let (source, _) = open(&db, "GRANT SELECT ON visit TO $role", &gate).await;
    let shanghai = Some("Asia/Shanghai");
    let at = || (Timestamp, text("2026-02-01T08:00:00+08:00"));
    let day = || (Date, text("2026-01-31"));
    for (sql, argument, zone, wanted) in [
        ("local < $1", at(), shanghai, 31),
        ("local < $1::timestamptz", at(), shanghai, 31),
        ("local < $1::timestamp", at(), shanghai, 31),
        ("instant < $1", at(), None, 31),
        ("instant < $1", at(), shanghai, 31),
        ("local AT TIME ZONE 'Asia/Shanghai' < $1", at(), None, 31),
        ("day = $1", day(), None, 23),
        ("local::date = $1", day(), shanghai, 23),
        ("instant::date = $1", day(), shanghai, 23),
        ("instant < $1::date + 1", day(), shanghai, 23),
    ] {
        let asked = visits(sql, &[argument], zone);
        assert_eq!(
            ids(&source, &asked, &permit).await.len(),
            wanted,
            "{sql} in {zone:?}"
        );
    }
    for (sql, argument, zone, wanted) in [
        ("local < $1", at(), None, "zone ="),
        ("local < $1::timestamptz", at(), None, "zone ="),
        ("date_trunc('day', $1) > local", at(), None, "zone ="),
        ("day <= $1", at(), shanghai, "declare the argument as date"),
        ("local <= $1", day(), None, "column::date"),
        ("instant <= $1", day(), shanghai, "column::date"),
        ("instant < $1::date + 1", day(), None, "zone ="),
        ("local < $1", at(), Some("Nowhere/Town"), "time zone"),
    ] {
        let asked = visits(sql, &[argument], zone);
        let error = source
            .open_request_query(&asked, &permit)
            .await
            .err()
            .expect(sql)
            .to_string();
        assert!(error.contains(wanted), "{sql} in {zone:?}: {error}");
    }
    source.close().await;
}

#[tokio::test]
async fn postgres_kind_in_a_zone_gives_times_in_utc() {
    let gate = Gate::fixed_open();
    let permit = gate.permit().await;
    let db = database(LOCAL).await;
    db.execute("INSERT INTO visit VALUES (0, '-infinity', '-infinity', '-infinity')")
        .await;
    let (source, _) = open(&db, "GRANT SELECT ON visit TO $role", &gate).await;
    let mut texts = Vec::new();
    for zone in [Some("Asia/Shanghai"), None, Some("Europe/Berlin")] {
        let asked = visits("id < 3", &[], zone);
        let mut reader = source.open_request_query(&asked, &permit).await.unwrap();
        let taken = all(reader.as_mut(), 1, &permit).await;
        texts.push(taken.rows.iter().map(|row| row[1].clone()).collect::<Vec<_>>());
    }
    assert_eq!(
        texts[0],
        ["-infinity", "2026-01-30 17:30:00+00", "2026-01-30 18:30:00+00"]
    );
    assert!(texts.iter().all(|other| *other == texts[0]), "{texts:?}");
    source.close().await;
}
