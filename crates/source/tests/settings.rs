//! Settings of a role or a database change no value: each pinned setting is tested with another value.

use gate::Gate;
use harness::{Db, Postgres};
use servers::settings::{BOTH, SOURCE};
use source::{CursorSetBy, ErrorKind, PostgresConfig, PostgresSource, Source};

use crate::postgres::READER;
use crate::rows::{drain, feed};

/// Returns a hostile value of a setting.
fn hostile(name: &str) -> &'static str {
    harness::hostile_setting(name).unwrap_or_else(|| match name {
        "gin_fuzzy_search_limit" => "10",
        "search_path" => "evil, public",
        other => panic!("{other} is pinned; add a hostile value here"),
    })
}

const TABLE: &str = "CREATE TYPE public.mood AS ENUM ('sad', 'ok'); CREATE SCHEMA evil; CREATE TABLE evil.setl (id bigint);
    GRANT USAGE ON SCHEMA evil TO PUBLIC;
    CREATE TABLE public.setl (id bigint PRIMARY KEY, at timestamptz, day date, took interval, rate float8, raw bytea, marks text[],
    floats float8[], mood public.mood, note text, words text[], span tstzrange, paid money);
    INSERT INTO public.setl SELECT i, '2026-02-03 04:05:06.789+00', '2026-02-03', '-1 year 2 days 3 hours', 0.1::float8 + 0.2, '\\x00ff',
    '{a,NULL,\"NULL\"}', ARRAY[0.1::float8 + 0.2], 'ok', E'it''s \\\\ \\u5f35', '{all,odd}', '[2026-02-03 04:05:06+00,)', 1234.5
    FROM generate_series(1, 2000) i;
    CREATE INDEX setl_words ON public.setl USING gin (words); ANALYZE public.setl;";

const SQL: &str = "SELECT id, at, day, took, rate, raw, marks, floats, mood, note, span, paid, '{1,NULL}'::text[] AS given, \
    'a\\b' AS literal, xmlelement(name x, raw) AS markup FROM public.setl \
    WHERE words @> ARRAY['all'::varchar]::varchar[]::pg_catalog.text[] AND NOT COALESCE(note = NULL, id < 0)";

async fn read(db: &Db, role: &str) -> (String, Vec<Vec<String>>) {
    let gate = Gate::fixed_open();
    let mut config = PostgresConfig::new(db.url_as(role));
    config.statement_timeout = std::time::Duration::from_secs(30);
    let source = PostgresSource::new(config, gate.closed_flag()).unwrap();
    let permit = gate.permit().await;
    let mut feed = feed(SQL, &["id"], CursorSetBy::Application);
    feed.lag = std::time::Duration::ZERO;
    let mut reader = source.open_feed(&feed, &permit).await.unwrap();
    let fence = reader.fence(&permit).await.unwrap().fence.unwrap();
    let taken = drain(reader.as_mut(), &["id"], &fence, 5_000, &permit).await;
    let columns = format!("{:?}", reader.schema().columns);
    source.close().await;
    assert!(taken.rejects.is_empty(), "{:?}", taken.rejects);
    (columns, taken.rows)
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_hostile_settings_change_no_value() {
    let db = Postgres::shared().await.database("settings").await;
    let name = db.name();
    db.execute(TABLE).await;
    let role = db.role("hostile", READER).await;
    let wanted = read(&db, &role).await;
    assert_eq!(wanted.1.len(), 2_000);
    let first = wanted.1[0].join("|");
    for text in [
        "2026-02-03 04:05:06.789+00",
        "P-1Y2DT3H",
        "0.30000000000000004",
        "{a,NULL,\"NULL\"}",
        "{1,NULL}",
        "a\\b",
        "AP8=",
    ] {
        assert!(first.contains(text), "{text} is missing: {first}");
    }
    let pinned = BOTH.iter().chain(SOURCE).map(|one| one.name);
    for setting in pinned.chain(["search_path"]) {
        for (way, of) in [("ROLE", role.clone()), ("DATABASE", format!("\"{name}\""))] {
            let value = match setting {
                "search_path" => hostile(setting).to_owned(),
                _ => format!("'{}'", hostile(setting)),
            };
            db.execute(&format!("ALTER {way} {of} SET {setting} = {value}"))
                .await;
            let got = read(&db, &role).await;
            db.execute(&format!("ALTER {way} {of} RESET {setting}")).await;
            assert!(got == wanted, "{way} sets {setting}: {:?}", got.1.first());
        }
    }
}

/// The database's locale decides the decimals of an amount of money, and no setting of the agent.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_reader_with_a_currency_is_refused_for_money() {
    let db = Postgres::shared().await.database("currency").await;
    db.execute("CREATE TABLE setl (id bigint PRIMARY KEY, paid money)")
        .await;
    let role = db.role("currency", READER).await;
    db.execute(&format!("ALTER ROLE {role} SET lc_monetary = 'C.utf8'"))
        .await;
    let gate = Gate::fixed_open();
    let source = PostgresSource::new(PostgresConfig::new(db.url_as(&role)), gate.closed_flag()).unwrap();
    let permit = gate.permit().await;
    let feed = |sql| feed(sql, &["id"], CursorSetBy::Application);
    assert!(
        source
            .open_feed(&feed("SELECT id FROM setl"), &permit)
            .await
            .is_ok()
    );
    let error = source
        .open_feed(&feed("SELECT id, paid FROM setl"), &permit)
        .await
        .err()
        .unwrap();
    assert_eq!(error.kind, ErrorKind::Refused, "{error}");
    assert!(error.to_string().contains("lc_monetary"), "{error}");
}

/// A setting that only a superuser may reset is an error that names it.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_reader_of_zeroed_pages_is_refused() {
    let db = Postgres::shared().await.database("zeroed").await;
    db.execute("CREATE TABLE setl (id bigint PRIMARY KEY)").await;
    let role = db.role("zeroed", READER).await;
    db.execute(&format!("ALTER ROLE {role} SET zero_damaged_pages = on"))
        .await;
    let gate = Gate::fixed_open();
    let source = PostgresSource::new(PostgresConfig::new(db.url_as(&role)), gate.closed_flag()).unwrap();
    let feed = feed("SELECT id FROM setl", &["id"], CursorSetBy::Application);
    let error = source.open_feed(&feed, &gate.permit().await).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Refused, "{error}");
    assert!(error.to_string().contains("zero_damaged_pages"), "{error}");
}
