//! Schema changes that are applied automatically, under names and in modes that the store's operator chose.

use super::databases::{Kind, OPEN, feed, grant_select};
use crate::pipeline::site::Site;
use crate::quarantine::commands::{ids, list};

const CORE: &str = "CREATE TABLE wide (id int PRIMARY KEY, updated_at timestamptz NOT NULL DEFAULT now(), \
     deleted boolean NOT NULL DEFAULT false, code varchar(3)); CREATE INDEX ON wide (updated_at, id); \
     INSERT INTO wide (id, code) VALUES (1, 'a'), (2, 'b'), (3, 'c'); \
     CREATE TABLE past (LIKE wide INCLUDING ALL); INSERT INTO past SELECT * FROM wide";

/// Changes during a run: an added column, an int to bigint, a varchar to text.
const CHANGE: &str = "ALTER TABLE wide ALTER id TYPE bigint, ALTER code TYPE text, ADD COLUMN extra numeric(10,2); \
     INSERT INTO wide (id, code, extra) VALUES (3000000000, 'longer', 1.25)";

async fn assert_change_is_applied(kind: Kind, name: &str) {
    let mut site = Site::start(name, 3, OPEN).await;
    site.core.execute(CORE).await;
    grant_select(&site).await;
    let claim = feed(
        "claim",
        "SELECT id, updated_at, deleted, name FROM claim",
        "id",
        true,
    );
    let wide = feed("wide", "SELECT * FROM wide", "id", true);
    let past = feed("past", "SELECT * FROM past", "id", true);
    site.links.feeds = Some(claim + &wide + &past);
    let (head, schema, at) = match kind {
        Kind::Postgres => (
            format!("kind = \"postgres\"\nurl = {{ value = \"{}\" }}", site.store.url),
            "schema = \"ours\"\n",
            "ours.",
        ),
        Kind::Sqlite => ("kind = \"sqlite\"\npath = \"store.db\"".to_owned(), "", ""),
    };
    if kind == Kind::Postgres {
        kind.execute(&site, "CREATE SCHEMA ours").await;
    }
    site.links.store = Some(format!(
        "{head}\n[store.feed.wide]\n{schema}table = \"Wide\"\nhistory = \"Wide all\"\nmode = \"both\"\n\
         columns = {{ code = \"Code\" }}\n[store.feed.past]\nmode = \"history\""
    ));
    let (social, poller) = (site.social("social"), site.poller("poller"));
    let rows = format!("SELECT id || '|' || \"Code\" FROM {at}\"Wide\" ORDER BY id");
    kind.wait_lines(&site, "rows under other names", &rows, &["1|a", "2|b", "3|c"])
        .await;
    let kept = "SELECT id || '|' || code FROM past_history ORDER BY id";
    kind.wait_lines(&site, "a history", kept, &["1|a", "2|b", "3|c"])
        .await;
    kind.wait_lines(
        &site,
        "claims",
        "SELECT name FROM claim ORDER BY id",
        &["person 1", "person 2", "person 3"],
    )
    .await;
    for none in ["past", "claim_history"] {
        let output = kind
            .lines(&site, &format!("SELECT CAST(count(*) AS text) FROM {none}"))
            .await;
        assert!(output[0].contains(none), "{none} is there: {output:?}");
    }

    site.core.execute(CHANGE).await;
    let rows = format!(
        "SELECT id || '|' || \"Code\" || '|' || coalesce(CAST(extra AS text), '-') FROM {at}\"Wide\" ORDER BY id"
    );
    let wider = ["1|a|-", "2|b|-", "3|c|-", "3000000000|longer|1.25"];
    kind.wait_lines(&site, "wider columns", &rows, &wider).await;

    site.core
        .execute("UPDATE wide SET deleted = true, updated_at = now() WHERE id = 2")
        .await;
    kind.wait_lines(
        &site,
        "a deleted row to go",
        &rows,
        &[wider[0], wider[2], wider[3]],
    )
    .await;
    let versions = format!(
        "SELECT id || '|' || CASE WHEN _slacktide_deleted THEN 'deleted' ELSE 'kept' END FROM {at}\"Wide all\" \
         WHERE id = 2 ORDER BY _slacktide_number"
    );
    kind.wait_lines(&site, "both versions", &versions, &["2|kept", "2|deleted"])
        .await;

    // A constraint of the store's owner refuses one row, and only this one.
    let rule = format!(
        "CREATE UNIQUE INDEX {}one_code ON {at}\"Wide\" (\"Code\")",
        if kind == Kind::Sqlite { at } else { "" }
    );
    kind.execute(&site, &rule).await;
    site.core
        .execute("INSERT INTO wide (id, code) VALUES (4, 'a'), (5, 'e')")
        .await;
    kind.wait_lines(
        &site,
        "the other row",
        &rows,
        &[wider[0], wider[2], "5|e|-", wider[3]],
    )
    .await;
    assert_eq!(ids(&list(&site, "poller.toml").await, "row").len(), 1);
    social.stop().await;
    poller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn schema_safe_change_is_applied_to_renamed_postgres_tables() {
    assert_change_is_applied(Kind::Postgres, "change_pg").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn schema_safe_change_is_applied_to_renamed_sqlite_tables() {
    assert_change_is_applied(Kind::Sqlite, "change_sqlite").await;
}
