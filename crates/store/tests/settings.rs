//! Settings of a role or a database change no value: each pinned setting is tried with another value.

use harness::{Db, Postgres};
use schemas::column::ColumnType;
use schemas::name::Lane;
use schemas::value::Value;
use servers::settings::{BOTH, DEMANDED_OF_STORE, STORE};
use store::{ErrorKind, FeedOptions, Options, Outcome, PostgresStore, Store};
use store_testing::samples::{Chain, lane, schema};

/// The setting of a hostile role.
fn hostile(name: &str) -> &'static str {
    harness::hostile_setting(name).unwrap_or_else(|| match name {
        "lc_monetary" => "C.utf8",
        "search_path" => "",
        "row_security" => "off",
        other => panic!("{other} is pinned; add the value of a hostile role here"),
    })
}

fn native(name: &str) -> ColumnType {
    ColumnType::Other {
        native: name.to_owned(),
    }
}

/// Stores rows with every kind of text, and one that its type refuses.
async fn stored(db: &Db, role: &str, feed: &str) -> Vec<Outcome> {
    let lane = Lane {
        feed: feed.parse().unwrap(),
        ..lane()
    };
    let table = format!("public.adopted_{feed}");
    db.execute(&format!(
        "CREATE TABLE {table} (id int PRIMARY KEY, paid money, x xml); ALTER TABLE {table} OWNER TO {role}"
    ))
    .await;
    let adopted = FeedOptions {
        table: Some(format!("adopted_{feed}")),
        ..FeedOptions::default()
    };
    let other = Lane {
        feed: format!("{feed}-own").parse().unwrap(),
        ..lane.clone()
    };
    let options = Options {
        schema: Some("public".to_owned()),
        feeds: [(other.feed.clone(), adopted)].into(),
        ..Options::default()
    };
    let store = PostgresStore::new(&db.url_as(role), "public")
        .unwrap()
        .with_options(options);
    store.prepare().await.unwrap();
    let columns = [
        ("id", ColumnType::Int4),
        ("marks", native("int4[]")),
        ("names", native("text[]")),
        ("day", ColumnType::Date),
        ("at", ColumnType::TimestampTz),
        ("took", ColumnType::Interval),
        ("rate", ColumnType::Float8),
        ("raw", ColumnType::Bytes),
        ("note", ColumnType::Text { max: None }),
        ("days", native("daterange")),
    ];
    let row = |id| {
        vec![
            Value::Int(id),
            Value::Text("{1,NULL,3}"),
            Value::Text("{a,NULL,\"NULL\"}"),
            Value::Text("2026-02-03"),
            Value::Text("2026-02-03 04:05:06"),
            Value::Text("P-1Y2M3DT-4H5M6S"),
            Value::Float(0.1 + 0.2),
            Value::Text("\\x00ff"),
            Value::Text("it\\'s 張 \\n"),
            Value::Text("[2026-02-03,2026-03-04)"),
        ]
    };
    let mut chain = Chain::new(lane.clone(), schema(&["id"], &columns), 0);
    let chunks = [chain.next(&[row(1), row(4_000_000_000)]), chain.next(&[row(2)])];
    let mut outcomes = store.store(&lane, &chunks).await.unwrap();
    let columns = [
        ("id", ColumnType::Int4),
        (
            "paid",
            ColumnType::Decimal {
                precision: None,
                scale: None,
            },
        ),
        ("x", native("xml")),
    ];
    let mut chain = Chain::new(other.clone(), schema(&["id"], &columns), 0);
    let money = [Value::Int(1), Value::Text("1234.50"), Value::Text("<a/><b/>")];
    outcomes.extend(
        store
            .store(&other, &[chain.next(&[money.to_vec()])])
            .await
            .unwrap(),
    );
    outcomes
}

/// Returns the tables' contents as a session without settings prints them.
async fn texts(db: &Db, feed: &str) -> Vec<Option<String>> {
    let sql =
        format!("SELECT t::text || o::text FROM public.\"{feed}\" t, public.adopted_{feed} o ORDER BY t.id");
    db.query(&sql).await.iter().map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_hostile_settings_change_no_value() {
    let db = Postgres::shared().await.database("settings").await;
    let name = db.name();
    let role = db
        .role(
            "hostile",
            &format!(
                "GRANT CREATE ON DATABASE \"{name}\" TO $role; GRANT CREATE, USAGE ON SCHEMA public TO $role"
            ),
        )
        .await;
    let outcomes = stored(&db, &role, "plain").await;
    let wanted = texts(&db, "plain").await;
    assert!(
        wanted.len() == 2 && wanted.iter().all(Option::is_some),
        "{wanted:?}"
    );
    let refused = outcomes
        .iter()
        .filter(|one| matches!(one, Outcome::Stored { quarantined: 1, .. }));
    assert_eq!(refused.count(), 1, "{outcomes:?}");
    let pinned = BOTH.iter().chain(STORE).map(|one| one.name);
    for (at, setting) in pinned.chain(["search_path", "row_security"]).enumerate() {
        for (way, of) in [("role", role.clone()), ("database", format!("\"{name}\""))] {
            db.execute(&format!(
                "ALTER {way} {of} SET {setting} = '{}'",
                hostile(setting)
            ))
            .await;
            let feed = format!("h{at}_{way}");
            let got = stored(&db, &role, &feed).await;
            db.execute(&format!("ALTER {way} {of} RESET {setting}")).await;
            assert_eq!(got, outcomes, "{way} sets {setting}");
            assert_eq!(texts(&db, &feed).await, wanted, "{way} sets {setting}");
        }
    }
}

/// A setting that only a superuser can change back is an error that names it.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_role_that_bypasses_triggers_is_refused() {
    let db = Postgres::shared().await.database("replica").await;
    let name = db.name();
    let role = db
        .role(
            "replica",
            &format!("GRANT CREATE ON DATABASE \"{name}\" TO $role"),
        )
        .await;
    for demand in DEMANDED_OF_STORE {
        db.execute(&format!("ALTER ROLE {role} SET {} = 'replica'", demand.name))
            .await;
        let store = PostgresStore::new(&db.url_as(&role), "public").unwrap();
        let error = store.prepare().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Denied, "{error}");
        assert!(error.to_string().contains(demand.name), "{error}");
    }
}
