//! Questions, asked of both databases: arguments are values whatever they say, and a long answer read in several
//! quanta is the answer of one SELECT.

use std::collections::BTreeMap;

use gate::{Gate, Permit};
use harness::until;
use schemas::cursor::{Cursor, Scalar};
use source::{
    Argument, ArgumentKind, End, ErrorKind, Question, QuestionReader, Source, SqliteConfig, SqliteSource,
};

use crate::postgres::{SOON, database, open};
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

/// Both sources over the same rows, and what has to live as long.
async fn both(gate: &Gate) -> Vec<(&'static str, Box<dyn Source>, Box<dyn std::any::Any>)> {
    let db = database(PG).await;
    // Questions ask nobody's activity: to read is all that the account needs.
    let (postgres, _) = open(&db, "GRANT SELECT ON setl TO $role", gate).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("core.db");
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute_batch(LITE)
        .unwrap();
    let sqlite = SqliteSource::new(SqliteConfig::new(&path), gate.shut_flag()).unwrap();
    vec![
        ("postgres", Box::new(postgres), Box::new(db)),
        ("sqlite", Box::new(sqlite), Box::new(dir)),
    ]
}

fn question(sql: &str, arguments: &[(ArgumentKind, Option<Scalar>)], order: &[&str]) -> Question {
    let named = (1..).zip(arguments).map(|(number, (kind, value))| Argument {
        name: format!("a{number}"),
        kind: *kind,
        value: value.clone(),
    });
    Question {
        name: "setl.asked".into(),
        sql: sql.into(),
        arguments: named.collect(),
        order: order.iter().map(ToString::to_string).collect(),
        money: vec![],
        types: BTreeMap::new(),
    }
}

fn text(text: &str) -> Option<Scalar> {
    Some(Scalar::Text(text.to_owned()))
}

/// Reads all of an answer, `limit` rows at a time; the first column is the order.
async fn all(reader: &mut dyn QuestionReader, limit: usize, permit: &Permit) -> Taken {
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

async fn ids(source: &dyn Source, question: &Question, permit: &Permit) -> Vec<i64> {
    let mut reader = source.open_question(question, permit).await.unwrap();
    all(reader.as_mut(), 100_000, permit).await.ids()
}

#[tokio::test]
async fn every_type_of_argument_is_bound_as_what_it_is() {
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
            let asked = question(&sql, &[(kind, value)], &["id"]);
            let found = ids(source.as_ref(), &asked, &permit).await;
            assert_eq!(found.len(), expected, "{name}: {condition}");
        }
    }
}

/// Trap: arguments that become SQL. In every place and type they stay values, or never reach the source.
#[tokio::test]
async fn what_looks_like_sql_is_a_value_or_nothing() {
    let gate = Gate::fixed_open();
    let permit = gate.permit().await;
    for (name, source, _kept) in both(&gate).await {
        let before = source.counted().statements;
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
                let asked = question(
                    "SELECT id FROM setl WHERE $1 IS NULL",
                    &[(kind, text(injection))],
                    &["id"],
                );
                let error = source.open_question(&asked, &permit).await.err().unwrap();
                assert_eq!(error.kind, ErrorKind::Refused, "{name} {kind:?}");
                assert!(!error.to_string().contains(injection), "{error}");
            }
        }
        assert_eq!(
            source.counted().statements,
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
                ids(source.as_ref(), &question(sql, &arguments, &["id"]), &permit)
                    .await
                    .len(),
                500
            );
            // A text that is told back is the text.
            let echo = question("SELECT $1 AS told", &[(ArgumentKind::Text, text(injection))], &[]);
            let mut reader = source.open_question(&echo, &permit).await.unwrap();
            let mut taken = Taken::default();
            reader.read(None, 10, &permit, &mut taken).await.unwrap();
            assert!(taken.rows[0][0].contains(injection), "{name}: {:?}", taken.rows);
        }
    }
}

#[tokio::test]
async fn several_quanta_are_the_answer_of_one_select() {
    let gate = Gate::fixed_open();
    let permit = gate.permit().await;
    for (name, source, _kept) in both(&gate).await {
        let sql = "SELECT id, amount, psn_no FROM setl WHERE id > $2 AND psn_no <> $1";
        let arguments = [
            (ArgumentKind::Text, text("p7")),
            (ArgumentKind::Integer, Some(Scalar::Int(100))),
        ];
        let asked = question(sql, &arguments, &["id"]);
        let expected: Vec<i64> = (101..=50_000).filter(|id| id % 100 != 7).collect();
        for limit in [999, 7_000, 49_401, 100_000] {
            let mut reader = source.open_question(&asked, &permit).await.unwrap();
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
async fn without_an_order_it_is_one_quantum_and_equal_rows_are_rows() {
    let gate = Gate::fixed_open();
    let permit = gate.permit().await;
    for (name, source, _kept) in both(&gate).await {
        let asked = question(
            "SELECT paid FROM setl WHERE id <= $1",
            &[(ArgumentKind::Integer, Some(Scalar::Int(10)))],
            &[],
        );
        let mut reader = source.open_question(&asked, &permit).await.unwrap();
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
async fn an_order_that_is_not_unique_and_a_question_that_does_not_fit_are_refused() {
    let gate = Gate::fixed_open();
    let permit = gate.permit().await;
    for (name, source, _kept) in both(&gate).await {
        for (sql, order, told) in [
            ("SELECT id FROM setl WHERE id = $1", "id", "argument"),
            ("SELECT id FROM nowhere", "id", "nowhere"),
            ("SELECT id FROM setl", "day", "order names day"),
            ("SELECT id, id FROM setl", "id", "two columns"),
            ("DELETE FROM setl", "id", "question setl.asked"),
        ] {
            let error = source
                .open_question(&question(sql, &[], &[order]), &permit)
                .await
                .err()
                .unwrap();
            assert!(error.to_string().contains(told), "{name}: {error}");
        }
        assert_eq!(
            ids(
                source.as_ref(),
                &question("SELECT id FROM setl", &[], &["id"]),
                &permit
            )
            .await
            .len(),
            50_000
        );
        let mut reader = source
            .open_question(&question("SELECT day FROM setl", &[], &["day"]), &permit)
            .await
            .unwrap();
        let error = reader
            .read(None, 10, &permit, &mut Taken::default())
            .await
            .unwrap_err();
        assert!(error.to_string().contains("not unique"), "{name}: {error}");
    }
}

/// An account that may write is refused here as for feeds.
#[tokio::test]
async fn an_account_that_may_write_asks_nothing() {
    let db = database(PG).await;
    let gate = Gate::fixed_open();
    let (source, _) = open(&db, "GRANT SELECT, UPDATE ON setl TO $role", &gate).await;
    let asked = question("SELECT id FROM setl", &[], &["id"]);
    let error = source
        .open_question(&asked, &gate.permit().await)
        .await
        .err()
        .unwrap();
    assert!(error.to_string().contains("may write"), "{error}");
}

/// What was looked up serves the next request of the kind: one statement each.
#[tokio::test]
async fn a_kind_is_looked_up_once() {
    let db = database(PG).await;
    let gate = Gate::fixed_open();
    let permit = gate.permit().await;
    let (source, _) = open(&db, "GRANT SELECT ON setl TO $role", &gate).await;
    let ask = |person: &str| {
        let sql = "SELECT id FROM setl WHERE psn_no = $1";
        question(sql, &[(ArgumentKind::Text, text(person))], &["id"])
    };
    assert_eq!(ids(&source, &ask("p1"), &permit).await.len(), 500);
    let before = source.counted().statements;
    for person in ["p2", "p3", "p4"] {
        assert_eq!(ids(&source, &ask(person), &permit).await.len(), 500);
    }
    assert_eq!(source.counted().statements, before + 3);
    // A column that changes is noticed, and looked up anew.
    db.execute("ALTER TABLE setl ALTER COLUMN id TYPE numeric").await;
    let mut reader = source.open_question(&ask("p5"), &permit).await.unwrap();
    let error = reader
        .read(None, 10, &permit, &mut Taken::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Database, "{error}");
    assert_eq!(ids(&source, &ask("p5"), &permit).await.len(), 500);
}

/// Traps: an open transaction while paused; a statement that goes on.
#[tokio::test]
async fn a_revoked_permit_ends_the_statement_and_keeps_a_whole_prefix() {
    let db = database(PG).await;
    let (gate, script) = Gate::scripted();
    script.open();
    let (source, role) = open(&db, "GRANT SELECT ON setl TO $role", &gate).await;
    let permit = gate.permit().await;
    let asked = question(
        "SELECT id, pg_sleep(0.02)::text AS s FROM setl WHERE id <= $1",
        &[(ArgumentKind::Integer, Some(Scalar::Int(300)))],
        &["id"],
    );
    let mut reader = source.open_question(&asked, &permit).await.unwrap();
    let active =
        format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{role}' AND state = 'active'");
    let mut taken = Taken::default();
    let read = reader.read(None, 300, &permit, &mut taken);
    let shut = async {
        until("the statement to run", SOON, async || {
            db.number(&active).await == 1
        })
        .await;
        script.shut("business");
    };
    let (quantum, ()) = tokio::join!(read, shut);
    assert_eq!(quantum.unwrap().end, End::Revoked);
    let expected: Vec<i64> = (1..).take(taken.rows.len()).collect();
    assert!(taken.rows.len() < 300 && taken.ids() == expected);
    let open = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = '{role}' AND (state <> 'idle' OR xact_start IS NOT NULL)"
    );
    until("nothing to run or be open", SOON, async || {
        db.number(&open).await == 0
    })
    .await;
    assert_eq!(source.counted().rows_while_shut, 0);
}

/// Trap: NULL cursor values vanish. Rows without a place in the order would be in no quantum: the question is
/// refused, also where the first quantum does not show them and where only a join makes the nulls.
#[tokio::test]
async fn rows_without_a_place_in_the_order_are_told_and_never_lost() {
    let db = database(&format!(
        "{PG} ALTER TABLE setl ADD n integer; UPDATE setl SET n = id WHERE id <> 7;"
    ))
    .await;
    let gate = Gate::fixed_open();
    let permit = gate.permit().await;
    let (source, _) = open(&db, "GRANT SELECT ON setl TO $role", &gate).await;
    let one = [(ArgumentKind::Integer, Some(Scalar::Int(10)))];
    for (sql, order, is_null) in [
        ("SELECT n FROM setl WHERE id <= $1", &["n"][..], true),
        (
            "SELECT paid::int AS p, n FROM setl WHERE id <= $1",
            &["p", "n"],
            true,
        ),
        (
            "SELECT b.id AS n FROM setl a LEFT JOIN setl b ON b.id = a.id AND b.id <> 7 WHERE a.id <= $1",
            &["n"],
            true,
        ),
        (
            "SELECT n FROM setl WHERE id <= $1 AND n IS NOT NULL",
            &["n"],
            false,
        ),
        (
            "SELECT a.id FROM setl a JOIN setl b USING (id) WHERE a.id <= $1",
            &["id"],
            false,
        ),
    ] {
        let asked = question(sql, &one, order);
        let mut reader = source.open_question(&asked, &permit).await.unwrap();
        let (mut after, mut found) = (None, 0);
        let ended = loop {
            let mut taken = Taken::default();
            match reader.read(after.as_ref(), 3, &permit, &mut taken).await {
                Err(error) => break Err(error),
                Ok(quantum) => {
                    found += quantum.rows;
                    if quantum.end == End::Drained {
                        break Ok(found);
                    }
                }
            }
            let last = taken.rows.last().unwrap();
            after = Some(Cursor(
                last.iter().map(|one| Scalar::Int(one.parse().unwrap())).collect(),
            ));
        };
        match ended {
            Ok(found) => assert!(!is_null && found >= 9, "{sql}: {found}"),
            Err(error) => {
                assert!(is_null && error.kind == ErrorKind::Refused, "{sql}: {error}");
                assert!(error.to_string().contains("null"), "{error}");
            }
        }
    }
    // Where the tables say NOT NULL it costs no statement.
    let plain = question("SELECT id FROM setl WHERE id <= $1", &one, &["id"]);
    let mut reader = source.open_question(&plain, &permit).await.unwrap();
    let before = source.counted();
    assert_eq!(all(reader.as_mut(), 4, &permit).await.rows.len(), 10);
    let after = source.counted();
    // Three quanta, and two texts to prepare; each row once, and the one that shows that there is more.
    assert_eq!(after.statements - before.statements, 5);
    assert_eq!(after.rows - before.rows, 12);
}

/// The same for a thread of ours: stopped at once, no lock on the file, no row afterwards.
#[tokio::test]
async fn a_revoked_permit_stops_sqlite_in_the_middle_and_its_prefix_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("core.db");
    let core = rusqlite::Connection::open(&path).unwrap();
    core.execute_batch(&format!("PRAGMA journal_mode = WAL; {LITE}"))
        .unwrap();
    let (gate, script) = Gate::scripted();
    script.open();
    let source = SqliteSource::new(SqliteConfig::new(&path), gate.shut_flag()).unwrap();
    let permit = gate.permit().await;
    // The first rows come at once; behind them one is sought that is not there.
    let sql = "SELECT id FROM setl WHERE id <= $1 OR \
        (SELECT count(*) FROM setl b, setl c, setl d WHERE b.amount < c.amount) = id";
    let asked = question(sql, &[(ArgumentKind::Integer, Some(Scalar::Int(100)))], &["id"]);
    let mut reader = source.open_question(&asked, &permit).await.unwrap();
    let before = source.counted().rows;
    let mut taken = Taken::default();
    let read = reader.read(None, 1_000, &permit, &mut taken);
    let shut = async {
        until("the first rows to come", SOON, async || {
            source.counted().rows >= before + 100
        })
        .await;
        script.shut("business");
    };
    let (quantum, ()) = tokio::join!(read, shut);
    let quantum = quantum.unwrap();
    assert_eq!(quantum.end, End::Revoked);
    let expected: Vec<i64> = (1..).take(taken.rows.len()).collect();
    assert!(taken.ids() == expected && quantum.rows == expected.len() as u64);
    // Nobody reads: a checkpoint can empty the log.
    core.execute_batch("PRAGMA busy_timeout = 0; DELETE FROM setl WHERE id > 49000")
        .unwrap();
    let busy: i64 = core
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
        .unwrap();
    assert_eq!(busy, 0);
    let counted = source.counted();
    assert_eq!((counted.rows_while_shut, counted.statements_while_shut), (0, 0));
    // What goes on behind the prefix has the rest, once the gate is open again.
    script.open();
    let permit = gate.permit().await;
    let asked = question(
        "SELECT id FROM setl WHERE id <= $1",
        &[(ArgumentKind::Integer, Some(Scalar::Int(100)))],
        &["id"],
    );
    let mut reader = source.open_question(&asked, &permit).await.unwrap();
    let after = taken.ids().last().map(|id| Cursor(vec![Scalar::Int(*id)]));
    reader
        .read(after.as_ref(), 1_000, &permit, &mut taken)
        .await
        .unwrap();
    assert_eq!(taken.ids(), (1..=100).collect::<Vec<_>>());
}

/// SQLite sorts nulls first, so that the quantum in which they would be shows them.
#[tokio::test]
async fn rows_without_a_place_in_the_order_are_told_by_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("core.db");
    let core = rusqlite::Connection::open(&path).unwrap();
    core.execute_batch(&format!(
        "{LITE} ALTER TABLE setl ADD n INTEGER; UPDATE setl SET n = id WHERE id <> 8;"
    ))
    .unwrap();
    let gate = Gate::fixed_open();
    let permit = gate.permit().await;
    let source = SqliteSource::new(SqliteConfig::new(&path), gate.shut_flag()).unwrap();
    // In the second order the null comes behind the first quantum: its group is the later one.
    for (sql, order) in [
        ("SELECT n FROM setl WHERE id <= 10", &["n"][..]),
        ("SELECT paid AS p, n FROM setl WHERE id <= 10", &["p", "n"]),
    ] {
        let asked = Question {
            types: [("p".to_owned(), "int8".to_owned())]
                .into_iter()
                .filter(|_| order.len() == 2)
                .collect(),
            ..question(sql, &[], order)
        };
        let mut reader = source.open_question(&asked, &permit).await.unwrap();
        let mut after: Option<Cursor> = None;
        let error = loop {
            let mut taken = Taken::default();
            match reader.read(after.as_ref(), 3, &permit, &mut taken).await {
                Err(error) => break error,
                Ok(quantum) => assert_eq!(quantum.end, End::Limit, "{sql}: called whole"),
            }
            let last = taken.rows.last().unwrap();
            after = Some(Cursor(
                last.iter().map(|one| Scalar::Int(one.parse().unwrap())).collect(),
            ));
        };
        assert_eq!(error.kind, ErrorKind::Refused, "{error}");
    }
}
