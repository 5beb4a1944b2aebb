//! Tables of the receiver: computed, hidden, refused and ignored rows; clashing names.

use std::collections::BTreeMap;

use harness::Postgres;
use schemas::column::ColumnType;
use schemas::value::Value;
use store::{ErrorKind, FeedOptions, Options, Outcome, PendingChanges, PostgresStore, Store};
use store_testing::conformance::Receiver;
use store_testing::samples::{Chain, lane, schema};

use crate::postgres::Database;
use crate::sqlite::File;

pub(crate) async fn postgres() -> Database {
    Database(Postgres::shared().await.database("tables").await)
}

pub(crate) fn sqlite() -> File {
    File {
        dir: tempfile::tempdir().unwrap(),
    }
}

pub(crate) async fn both() -> Vec<(&'static str, Box<dyn Receiver>)> {
    vec![
        ("postgres", Box::new(postgres().await)),
        ("sqlite", Box::new(sqlite())),
    ]
}

/// The table `setl` is adopted.
pub(crate) fn adopting() -> Options {
    let own = FeedOptions {
        table: Some("setl".to_owned()),
        ..FeedOptions::default()
    };
    Options {
        schema: Some("public".to_owned()),
        feeds: BTreeMap::from([(lane().feed, own)]),
        ..Options::default()
    }
}

pub(crate) const TEXT: ColumnType = ColumnType::Text { max: None };

pub(crate) fn named() -> Chain {
    Chain::new(
        lane(),
        schema(&["id"], &[("id", ColumnType::Int8), ("name", TEXT)]),
        0,
    )
}

pub(crate) fn row(id: i64, name: &str) -> Vec<Value<'_>> {
    vec![Value::Int(id), Value::Text(name)]
}

pub(crate) async fn lines(receiver: &dyn Receiver, sql: &str) -> Vec<String> {
    let rows = receiver.texts(sql).await.unwrap();
    let line = |row: Vec<Option<String>>| {
        let cells = row
            .into_iter()
            .map(|cell| cell.unwrap_or_else(|| "null".to_owned()));
        cells.collect::<Vec<_>>().join(":")
    };
    rows.into_iter().map(line).collect()
}

pub(crate) async fn table(receiver: &dyn Receiver) -> Vec<String> {
    lines(
        receiver,
        "SELECT CAST(id AS TEXT), name, CAST(_slacktide_number AS TEXT) FROM setl ORDER BY id",
    )
    .await
}

/// Returns ordinals and reasons of the quarantined rows.
pub(crate) async fn kept(receiver: &dyn Receiver) -> Vec<String> {
    let own = receiver.own("quarantine");
    let sql = format!(
        "SELECT CAST(ordinal AS TEXT), reason FROM {own} WHERE ended IS NULL ORDER BY number, ordinal"
    );
    lines(receiver, &sql).await
}

pub(crate) async fn prepared(
    receiver: &dyn Receiver,
    options: Options,
) -> std::sync::Arc<dyn PendingChanges> {
    let store = receiver.with(options);
    store.prepare().await.unwrap();
    store
}

pub(crate) fn quarantined(outcomes: &[Outcome]) -> Vec<u64> {
    let count = |outcome: &Outcome| match outcome {
        Outcome::Stored { quarantined, .. } => *quarantined,
        other => panic!("{other:?}"),
    };
    outcomes.iter().map(count).collect()
}

/// What a trigger may do to one row, selected by a value of it.
const TRIGGER: &str = "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF TG_OP <> 'DELETE' AND NEW.name LIKE 'raise %' THEN RAISE EXCEPTION 'HUSH %', NEW.name USING ERRCODE = substr(NEW.name, 7), CONSTRAINT = 'HUSH'; END IF;
    IF TG_OP <> 'DELETE' AND NEW.name = 'missing' THEN EXECUTE 'SELECT * FROM no_such_' || NEW.name; END IF;
    IF TG_OP = 'DELETE' THEN RETURN CASE WHEN OLD.name = 'stays' THEN NULL ELSE OLD END; END IF;
    IF NEW.name = 'skip' THEN RETURN NULL; END IF;
    IF NEW.name = 'old' AND TG_OP = 'UPDATE' THEN RETURN OLD; END IF;
    RETURN NEW; END $$;
    CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON setl FOR EACH ROW EXECUTE FUNCTION guard()";

#[tokio::test(flavor = "multi_thread")]
async fn postgres_trigger_refuses_single_rows_with_any_code() {
    let receiver = postgres().await;
    let store = prepared(&receiver, Options::default()).await;
    let mut columns = schema(
        &["id"],
        &[
            ("id", ColumnType::Int8),
            ("name", TEXT),
            ("gone", ColumnType::Bool),
        ],
    );
    columns.tombstone = Some("gone".to_owned());
    let mut chain = Chain::new(lane(), columns, 0);
    let row = |id, name, gone| vec![Value::Int(id), Value::Text(name), Value::Bool(gone)];
    store
        .store(
            &lane(),
            &[chain.next(&[row(1, "a", false), row(2, "stays", false), row(3, "c", false)])],
        )
        .await
        .unwrap();
    receiver.execute(TRIGGER).await.unwrap();
    let names = [
        "raise P0001",
        "raise 42501",
        "raise 40001",
        "raise 53100",
        "raise 57014",
        "raise 08006",
        "raise ZZ999",
        "raise XX000",
        "raise 42P10",
        "missing",
        "skip",
    ];
    let mut rows: Vec<_> = (10..).zip(names).map(|(id, name)| row(id, name, false)).collect();
    rows.push(row(1, "old", false));
    rows.push(row(2, "", true));
    rows.push(row(3, "good", false));
    rows.push(row(4, "new", false));
    let outcomes = store.store(&lane(), &[chain.next(&rows)]).await.unwrap();
    assert_eq!(quarantined(&outcomes), [13]);
    assert_eq!(
        table(&receiver).await,
        ["1:a:1", "2:stays:1", "3:good:2", "4:new:2"]
    );
    let reasons = kept(&receiver).await.join("\n");
    for name in ["P0001", "42501", "40001", "ZZ999", "left the row out"] {
        assert!(reasons.contains(name), "{name}: {reasons}");
    }
    let report = store.reports().await.unwrap().remove(0);
    assert!(
        !reasons.contains("HUSH") && report.shared_blocked_reason().is_none(),
        "{reasons}"
    );
}

/// Errors of the account, the disk or other transactions are waited out everywhere.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_environment_error_in_trigger_refuses_no_row() {
    let receiver = postgres().await;
    let db = &receiver.0;
    let name = db.name();
    let role = db
        .role(
            "writer",
            &format!(
                "GRANT CREATE ON DATABASE \"{name}\" TO $role; GRANT CREATE, USAGE ON SCHEMA public TO $role"
            ),
        )
        .await;
    let store = PostgresStore::new(&db.url_as(&role), "public").unwrap();
    store.prepare().await.unwrap();
    let mut chain = named();
    store.store(&lane(), &[chain.next(&[row(1, "a")])]).await.unwrap();
    receiver
        .execute(
            "CREATE TABLE theirs (id bigint); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN INSERT INTO theirs VALUES (NEW.id); RETURN NEW; END $$; \
             CREATE TRIGGER note BEFORE INSERT ON setl FOR EACH ROW EXECUTE FUNCTION note()",
        )
        .await
        .unwrap();
    let next = chain.next(&[row(2, "b")]);
    let error = store
        .store(&lane(), std::slice::from_ref(&next))
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied, "{error}");
    assert!(error.remedy.contains("trigger"), "{error}");
    db.execute(&format!("GRANT INSERT ON theirs TO {role}")).await;
    assert_eq!(quarantined(&store.store(&lane(), &[next]).await.unwrap()), [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_identity_and_generated_columns_are_skipped() {
    let receiver = postgres().await;
    receiver
        .execute(
            "CREATE TABLE setl (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text, \
             twice text GENERATED ALWAYS AS (name || name) STORED)",
        )
        .await
        .unwrap();
    let store = prepared(&receiver, adopting()).await;
    let columns = [("id", ColumnType::Int8), ("name", TEXT), ("twice", TEXT)];
    let mut chain = Chain::new(lane(), schema(&["id"], &columns), 0);
    let row = |id, name| vec![Value::Int(id), Value::Text(name), Value::Text("sent")];
    for chunk in [
        chain.next(&[row(7, "a"), row(8, "b")]),
        chain.next(&[row(7, "c")]),
    ] {
        assert_eq!(quarantined(&store.store(&lane(), &[chunk]).await.unwrap()), [0]);
    }
    let there = lines(&receiver, "SELECT id::text, name, twice FROM setl ORDER BY id").await;
    assert_eq!(there, ["7:c:cc", "8:b:bb"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_unfit_tables_are_refused_by_name() {
    let cases = [
        (
            "CREATE TABLE setl (id bigint PRIMARY KEY, name bigint GENERATED ALWAYS AS IDENTITY)",
            ["\"name\"", "SET GENERATED BY DEFAULT"],
        ),
        (
            "CREATE TABLE setl (id bigint GENERATED ALWAYS AS (length(name)) STORED PRIMARY KEY, name text)",
            ["\"id\"", "columns = {"],
        ),
        (
            "CREATE TABLE setl (id bigint PRIMARY KEY, name text); CREATE RULE away AS ON INSERT TO setl DO INSTEAD NOTHING",
            ["rule", "trigger"],
        ),
    ];
    for (made, words) in cases {
        let receiver = postgres().await;
        receiver.execute(made).await.unwrap();
        let store = prepared(&receiver, adopting()).await;
        let error = store
            .store(&lane(), &[named().next(&[row(1, "a")])])
            .await
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::Refused, "{error}");
        let reason = error.to_string();
        assert!(words.iter().all(|word| reason.contains(word)), "{reason}");
        assert_eq!(lines(&receiver, "SELECT count(*)::text FROM setl").await, ["0"]);
        let report = store.reports().await.unwrap().remove(0);
        assert!(
            report.refused.is_some() && !report.shared_blocked_reason().unwrap().contains("setl "),
            "{report:?}"
        );
    }
}

/// A policy that refuses a row quarantines it; one that hides rows is an error before anything is stored.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_policies_refuse_rows_and_never_hide_them() {
    for (policy, is_hidden) in [
        ("USING (true) WITH CHECK (id < 100)", false),
        ("USING (id < 100)", true),
    ] {
        let receiver = postgres().await;
        let db = &receiver.0;
        let name = db.name();
        let grants = format!(
            "GRANT CREATE ON DATABASE \"{name}\" TO $role; GRANT CREATE, USAGE ON SCHEMA public TO $role"
        );
        let role = db.role("secured", &grants).await;
        db.execute(&format!(
            "CREATE TABLE setl (id bigint PRIMARY KEY, name text); ALTER TABLE setl OWNER TO {role}; \
             ALTER TABLE setl ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY p ON setl {policy}"
        ))
        .await;
        let store = PostgresStore::new(&db.url_as(&role), "public")
            .unwrap()
            .with_options(adopting());
        store.prepare().await.unwrap();
        let mut chain = named();
        let done = store
            .store(&lane(), &[chain.next(&[row(1, "a"), row(100, "b"), row(2, "c")])])
            .await;
        if is_hidden {
            let error = done.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Refused, "{error}");
            assert!(error.to_string().contains("policies of"), "{error}");
            assert_eq!(db.number("SELECT count(*) FROM setl").await, 0);
        } else {
            assert_eq!(quarantined(&done.unwrap()), [1]);
            let outcomes = store
                .store(&lane(), &[chain.next(&[row(1, "d"), row(3, "e")])])
                .await
                .unwrap();
            assert_eq!(quarantined(&outcomes), [0]);
            assert_eq!(table(&receiver).await, ["1:d:2", "2:c:1", "3:e:2"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_trigger_refuses_single_rows_in_every_way() {
    for way in ["ABORT", "FAIL", "ROLLBACK", "IGNORE"] {
        for when in ["BEFORE", "AFTER"] {
            let receiver = sqlite();
            let store = prepared(&receiver, Options::default()).await;
            let mut chain = named();
            store.store(&lane(), &[chain.next(&[row(1, "a")])]).await.unwrap();
            let raise = match way {
                "IGNORE" => "RAISE(IGNORE)".to_owned(),
                way => format!("RAISE({way}, 'HUSH')"),
            };
            let (insert, update) = ("INSERT", "UPDATE");
            for (at, on) in [insert, update].iter().enumerate() {
                let made = format!(
                    "CREATE TABLE IF NOT EXISTS log (id); CREATE TRIGGER t{at} {when} {on} ON setl WHEN new.name = 'bad' \
                     BEGIN INSERT INTO log VALUES (new.id); SELECT {raise}; END"
                );
                receiver.execute(&made).await.unwrap();
            }
            let rows = [row(1, "bad"), row(2, "b"), row(3, "bad"), row(4, "d")];
            let outcomes = store.store(&lane(), &[chain.next(&rows)]).await.unwrap();
            let case = format!("{way} {when}");
            // Ignoring the row after it was written leaves it in the table.
            if (way, when) == ("IGNORE", "AFTER") {
                assert_eq!(quarantined(&outcomes), [0], "{case}");
                continue;
            }
            assert_eq!(quarantined(&outcomes), [2], "{case}");
            assert_eq!(table(&receiver).await, ["1:a:1", "2:b:2", "4:d:2"], "{case}");
            assert_eq!(
                lines(&receiver, "SELECT CAST(count(*) AS TEXT) FROM log").await,
                ["0"],
                "{case}"
            );
            let reasons = kept(&receiver).await;
            assert!(
                reasons.len() == 2 && !reasons.concat().contains("HUSH"),
                "{case}: {reasons:?}"
            );
            let report = store.reports().await.unwrap().remove(0);
            assert_eq!(report.to, 2, "{case}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_conflict_clauses_and_generated_columns_lose_nothing() {
    for clause in ["REPLACE", "IGNORE", "FAIL", "ROLLBACK"] {
        let receiver = sqlite();
        receiver
            .execute(&format!(
                "CREATE TABLE setl (id INTEGER PRIMARY KEY, name TEXT UNIQUE ON CONFLICT {clause}, \
                 note TEXT NOT NULL ON CONFLICT {clause} DEFAULT 'theirs', twice TEXT AS (name || name) STORED, \
                 thrice TEXT AS (name || name || name))"
            ))
            .await
            .unwrap();
        let store = prepared(&receiver, adopting()).await;
        let columns = [
            ("id", ColumnType::Int8),
            ("name", TEXT),
            ("note", TEXT),
            ("twice", TEXT),
            ("thrice", TEXT),
        ];
        let mut chain = Chain::new(lane(), schema(&["id"], &columns), 0);
        let row = |id, name, note| {
            vec![
                Value::Int(id),
                Value::Text(name),
                note,
                Value::Text("sent"),
                Value::Null,
            ]
        };
        let given = Value::Text("ours");
        let rows = [
            row(1, "a", given),
            row(2, "a", given),
            row(3, "c", Value::Null),
            row(4, "d", given),
        ];
        let outcomes = store.store(&lane(), &[chain.next(&rows)]).await.unwrap();
        assert_eq!(quarantined(&outcomes), [2], "{clause}");
        let there = lines(
            &receiver,
            "SELECT name, note, twice, thrice FROM setl ORDER BY id",
        )
        .await;
        assert_eq!(there, ["a:ours:aa:aaa", "d:ours:dd:ddd"], "{clause}");
    }
}

/// Names that a database equates or reserves are reported with the remedy before anything is stored; the remedy
/// works.
#[tokio::test(flavor = "multi_thread")]
async fn store_clashing_names_are_reported_and_mapped() {
    let long = |end: &str| format!("{}{end}", "n".repeat(63));
    let cases = [
        ("both", "ctid".to_owned(), "note".to_owned()),
        ("both", "OID".to_owned(), "note".to_owned()),
        ("both", "_rowid_".to_owned(), "note".to_owned()),
        ("both", long("1"), long("2")),
        ("sqlite", "Note".to_owned(), "note".to_owned()),
    ];
    for (which, one, other) in cases {
        for (name, receiver) in both()
            .await
            .into_iter()
            .filter(|(name, _)| [*name, "both"].contains(&which))
        {
            let receiver = receiver.as_ref();
            let store = prepared(receiver, Options::default()).await;
            let columns = [
                ("id", ColumnType::Int8),
                (one.as_str(), TEXT),
                (other.as_str(), TEXT),
            ];
            let mut chain = Chain::new(lane(), schema(&["id"], &columns), 0);
            let chunk = chain.next(&[vec![Value::Int(1), Value::Text("x"), Value::Text("y")]]);
            let outcomes = store.store(&lane(), std::slice::from_ref(&chunk)).await.unwrap();
            let [Outcome::Stopped { reason }] = outcomes.as_slice() else {
                panic!("{name} {one}: {outcomes:?}");
            };
            assert!(
                reason.contains("columns = {") && reason.contains("[store.feed.setl]"),
                "{reason}"
            );
            let own = FeedOptions {
                columns: BTreeMap::from([
                    (one.clone(), "first".to_owned()),
                    (other.clone(), "second".to_owned()),
                ]),
                ..FeedOptions::default()
            };
            let mapped = Options {
                schema: Some("public".to_owned()),
                feeds: BTreeMap::from([(lane().feed, own)]),
                ..Options::default()
            };
            let store = prepared(receiver, mapped).await;
            assert_eq!(
                quarantined(&store.store(&lane(), &[chunk]).await.unwrap()),
                [0],
                "{name} {one}"
            );
            assert_eq!(
                lines(receiver, "SELECT first, second FROM setl").await,
                ["x:y"],
                "{name} {one}"
            );
        }
    }
}
