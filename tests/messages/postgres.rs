//! PostgreSQL on both sides.

use harness::until;

use super::listening::{Heard, MARKER};
use crate::path::site::{Agent, Links, PATIENCE, Site};

const OPEN: &str = "mode = \"open\"";

/// A view that speaks while it is read, one that fails, one whose cast fails, and comments.
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

/// The store's owner has rules and triggers, and each says why.
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

/// Waits until so many rows are in quarantine.
async fn refused(site: &Site, rows: i64) {
    until("rows in quarantine", PATIENCE, async || {
        let kept = site
            .store
            .number("SELECT count(*) FROM slacktide.quarantine")
            .await;
        if kept == rows { Ok(()) } else { Err(kept) }
    })
    .await;
}

/// Waits until an agent's status page has a text.
async fn shows(agent: &Agent, text: &str) {
    until(&format!("{text:?} on the status page"), PATIENCE, async || {
        let page = agent.page("/status").await.ok_or("no answer")?.body;
        if page.contains(text) { Ok(()) } else { Err(page) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_postgres_hold_a_value_that_nobody_hears() {
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
    site.agree().await;
    site.store.execute(&planted(STORE)).await;
    // Trigger, trigger that poses as a constraint, check, cast, and one of two with the same name.
    site.core
        .execute(&format!(
            "UPDATE claim SET name = '{MARKER}' || CASE WHEN id IN (15, 16) THEN '' ELSE id::text END, \
             updated_at = now() WHERE id BETWEEN 11 AND 30"
        ))
        .await;
    refused(&site, 5).await;
    shows(&social, "a function or trigger raised an error (SQLSTATE P0001)").await;
    shows(
        &social,
        "a text does not read as the column's type (SQLSTATE 22P02)",
    )
    .await;

    let heard = Heard::of(&site, &[&social, &poller]).await;
    heard.has(
        "quarantine list --config poller.toml",
        "a function or trigger raised an error (SQLSTATE P0001)",
    );
    heard.has(
        "quarantine list --config poller.toml",
        "a check constraint is violated (SQLSTATE 23514), constraint \"short\"",
    );
    heard.has(
        "quarantine list --config poller.toml",
        "a unique constraint is violated (SQLSTATE 23505), constraint \"once\"",
    );
    heard.has("quarantine list --config poller.toml", "SQLSTATE 22P02");
    // The filter let everything pass that may be written at all.
    heard.has("log", "\"level\":\"DEBUG\"");
    heard.has("stream data", "\"feed\":\"claim\"");
    heard.has("stream receipts", "insurer-a");
    heard.has_no_marker();
    social.stop().await;
    poller.stop().await;
}
