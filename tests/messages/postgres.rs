//! PostgreSQL on both sides.

use harness::until;

use super::output::{AgentOutput, MARKER};
use crate::pipeline::site::{Agent, DEADLINE, Links, Site};

const OPEN: &str = "mode = \"open\"";

/// Views that raise notices, fail, or fail in a cast; and comments.
const CORE: &str = "
    CREATE FUNCTION speak(name text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
        RAISE NOTICE 'reads %', name; RAISE WARNING 'reads %', name USING DETAIL = name, HINT = name;
        RETURN name; END $$;
    CREATE FUNCTION fail(name text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
        IF name NOT LIKE 'person%' THEN
            RAISE EXCEPTION 'cannot read %', name USING DETAIL = name, HINT = name, COLUMN = name, CONSTRAINT = name,
                DATATYPE = name, TABLE = name, SCHEMA = name; END IF;
        RETURN name; END $$;
    CREATE VIEW spoken AS SELECT id, updated_at, deleted, speak(name) AS name, amount, memo FROM claim;
    CREATE VIEW failing AS SELECT id, updated_at, fail(name) AS name FROM claim;
    CREATE VIEW casting AS SELECT id, updated_at, CASE WHEN name LIKE 'person%' THEN 0 ELSE name::integer END AS n FROM claim;
    COMMENT ON TABLE claim IS '$marker'; COMMENT ON COLUMN claim.name IS '$marker';
    GRANT SELECT ON spoken, failing, casting TO $reader;";

/// Constraints and triggers of the store's owner that repeat values in their messages.
const STORE: &str = "
    CREATE FUNCTION speak() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE NOTICE 'stores %', new.name; RAISE WARNING 'stores %', new.name USING DETAIL = new.name, HINT = new.name;
        IF new.id = 11 THEN RAISE EXCEPTION 'refuses %', new.name USING DETAIL = new.name, HINT = new.name,
            COLUMN = new.name, CONSTRAINT = new.name, TABLE = new.name, SCHEMA = new.name; END IF;
        IF new.id = 12 THEN RAISE EXCEPTION 'refuses %', new.name USING ERRCODE = '23505', CONSTRAINT = new.name; END IF;
        RETURN new; END $$;
    CREATE TRIGGER speak BEFORE INSERT OR UPDATE ON claim FOR EACH ROW EXECUTE FUNCTION speak();
    CREATE FUNCTION fill() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING '$marker'; RETURN ''; END $$;
    ALTER TABLE claim ADD COLUMN filled text DEFAULT fill();
    ALTER TABLE claim ADD CONSTRAINT short CHECK (id <> 13 OR length(name) < 10) NOT VALID;
    ALTER TABLE claim ADD COLUMN number int GENERATED ALWAYS AS (CASE WHEN id = 14 AND name LIKE 'HUSH%' THEN name::int END) STORED;
    CREATE UNIQUE INDEX once ON claim (name) WHERE id IN (15, 16);
    COMMENT ON TABLE claim IS '$marker'; COMMENT ON COLUMN claim.name IS '$marker'";

fn feed(name: &str, columns: &str, relation: &str, more: &str) -> String {
    format!(
        "[[feed]]\nname = \"{name}\"\nsql = \"SELECT {columns} FROM {relation}\"\ncursor = [\"updated_at\", \"id\"]\n\
         cursor_set_by = \"transaction\"\nlag = \"300ms\"\nkey = [\"id\"]\n{more}recipients = [\"insurer-a\"]\n"
    )
}

/// Waits until this many rows are in quarantine.
async fn wait_quarantined(site: &Site, rows: i64) {
    until("rows in quarantine", DEADLINE, async || {
        let kept = site
            .store
            .number("SELECT count(*) FROM slacktide.quarantine")
            .await;
        if kept == rows { Ok(()) } else { Err(kept) }
    })
    .await;
}

/// Waits until an agent's status page contains a text.
async fn wait_page_text(agent: &Agent, text: &str) {
    until(&format!("{text:?} on the status page"), DEADLINE, async || {
        let page = agent.page("/status").await.ok_or("no answer")?.body;
        if page.contains(text) { Ok(()) } else { Err(page) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_messages_with_a_value_are_not_recorded() {
    let mut site = Site::start("messages", 40, OPEN).await;
    let feeds = [
        feed(
            "claim",
            "id, updated_at, deleted, name, amount, memo",
            "spoken",
            "money = [\"amount\"]\ntombstone = \"deleted\"\n",
        ),
        feed("failing", "id, updated_at, name", "failing", ""),
        feed("casting", "id, updated_at, n", "casting", ""),
    ];
    site.links = Links {
        feeds: Some(feeds.concat()),
        env: vec![(
            "SLACKTIDE_LOG".into(),
            "trace,tokio_postgres::connection=trace".into(),
        )],
        ..Links::default()
    };
    let planted = |sql: &str| sql.replace("$marker", MARKER).replace("$reader", &site.reader);
    site.core.execute(&planted(CORE)).await;
    let (social, poller) = (site.social("social"), site.poller("poller"));
    site.wait_until_equal().await;
    site.store.execute(&planted(STORE)).await;
    // A trigger, a trigger that raises a constraint's code, a check, a cast, and one of two rows with the same name.
    site.core
        .execute(&format!(
            "UPDATE claim SET name = '{MARKER}' || CASE WHEN id IN (15, 16) THEN '' ELSE id::text END, \
             updated_at = now() WHERE id BETWEEN 11 AND 30"
        ))
        .await;
    wait_quarantined(&site, 5).await;
    wait_page_text(&social, "a function or trigger raised an error (SQLSTATE P0001)").await;
    wait_page_text(
        &social,
        "a text does not read as the column's type (SQLSTATE 22P02)",
    )
    .await;

    let output = AgentOutput::collect(&site, &[&social, &poller]).await;
    output.assert_contains(
        "quarantine list --config poller.toml",
        "a function or trigger raised an error (SQLSTATE P0001)",
    );
    output.assert_contains(
        "quarantine list --config poller.toml",
        "a check constraint is violated (SQLSTATE 23514), constraint \"short\"",
    );
    output.assert_contains(
        "quarantine list --config poller.toml",
        "a unique constraint is violated (SQLSTATE 23505), constraint \"once\"",
    );
    output.assert_contains("quarantine list --config poller.toml", "SQLSTATE 22P02");
    // The log level passes everything that may be written at all.
    output.assert_contains("log", "\"level\":\"DEBUG\"");
    output.assert_contains("stream data", "\"feed\":\"claim\"");
    output.assert_contains("stream receipts", "insurer-a");
    output.assert_no_marker();
    social.stop().await;
    poller.stop().await;
}
