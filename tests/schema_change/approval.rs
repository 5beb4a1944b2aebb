//! A change that could lose data: the lane waits, status shows why, and the documented command continues it.

use harness::until;

use super::databases::{Kind, OPEN, feed, grant_select, lane, wait_stopped};
use crate::pipeline::site::{DEADLINE, Site};
use crate::quarantine::commands::actions;

fn table(name: &str) -> String {
    format!(
        "CREATE TABLE {name} (id bigint PRIMARY KEY, updated_at timestamptz NOT NULL DEFAULT now(), amount int, \
         note text UNIQUE); CREATE INDEX ON {name} (updated_at, id); \
         INSERT INTO {name} (id, amount, note) SELECT g, g * 10, 'note ' || g FROM generate_series(1, 3) g;"
    )
}

const ALL: &str = "SELECT id, updated_at, amount, note FROM ";

fn feeds(keyed: &str, gone: &str) -> Option<String> {
    let claim = feed(
        "claim",
        "SELECT id, updated_at, deleted, name FROM claim",
        "id",
        true,
    );
    let paid = feed("paid", &format!("{ALL}paid"), "id", false);
    let keyed = feed("keyed", &format!("{ALL}keyed"), keyed, false);
    Some(claim + &paid + &keyed + &feed("gone", gone, "id", false))
}

fn count_accept_lines(output: &str, feed: &str) -> usize {
    output
        .lines()
        .filter(|line| line.contains("accept-change") && line.contains(&format!("feed {feed} has changed")))
        .count()
}

async fn assert_change_needs_approval(kind: Kind, name: &str) {
    let mut site = Site::start(name, 3, OPEN).await;
    for name in ["paid", "keyed", "gone"] {
        site.core.execute(&table(name)).await;
    }
    grant_select(&site).await;
    if kind == Kind::Sqlite {
        site.links.store = Some("kind = \"sqlite\"\npath = \"store.db\"".to_owned());
    }
    site.links.feeds = feeds("id", &format!("{ALL}gone"));
    let (social, poller) = (site.social("social"), site.poller("poller"));
    let rows = |table: &str| format!("SELECT id || '|' || amount || '|' || note FROM {table} ORDER BY id");
    let first = ["1|10|note 1", "2|20|note 2", "3|30|note 3"];
    for table in ["paid", "keyed", "gone"] {
        kind.wait_lines(&site, table, &rows(table), &first).await;
    }

    // The core changes a type; the bureau changes another feed's key and removes a column from a third feed.
    social.stop().await;
    site.core
        .execute("ALTER TABLE paid ALTER amount TYPE text USING 'x' || amount; UPDATE paid SET updated_at = now(); \
                  UPDATE gone SET amount = 11, updated_at = now() WHERE id = 1; UPDATE claim SET name = 'new', updated_at = now()")
        .await;
    site.links.feeds = feeds("note", "SELECT id, updated_at, amount FROM gone");
    let social = site.social("social");
    let changed = "feed definition changed";
    wait_stopped(&site, "social.toml", "gone", &[changed, "--accept"]).await;
    wait_stopped(&site, "social.toml", "keyed", &[changed]).await;
    let why = [
        "--recipient",
        "insurer-a",
        "--actor",
        "li.na",
        "--reason",
        "agreed",
        "--config",
        "social.toml",
    ];
    for (feed, how) in [
        ("gone", ["--accept"].as_slice()),
        ("keyed", &["--from", "beginning"]),
    ] {
        let rewind = ["feed", "rewind", feed];
        let (is_ok, output) = site.command(&[rewind.as_slice(), how, &why].concat()).await;
        assert!(is_ok, "{output}");
    }

    let accept = "slacktide feed accept-change";
    wait_stopped(
        &site,
        "poller.toml",
        "paid",
        &["feed paid", "\"amount\"", "integer", "text", accept],
    )
    .await;
    wait_stopped(
        &site,
        "poller.toml",
        "gone",
        &["feed gone", "\"note\" is no longer sent", accept],
    )
    .await;
    wait_stopped(
        &site,
        "poller.toml",
        "keyed",
        &["feed keyed", "[\"id\"]", "[\"note\"]", accept],
    )
    .await;
    // The bureau's operator sees it too, and no other lane waits.
    wait_stopped(&site, "social.toml", "paid", &["at the receiver", "\"amount\""]).await;
    kind.wait_lines(
        &site,
        "another lane",
        "SELECT name FROM claim ORDER BY id",
        &["new", "new", "new"],
    )
    .await;
    let (_, output) = site.command(&["doctor", "--config", "poller.toml"]).await;
    for feed in ["paid", "gone", "keyed"] {
        assert_eq!(
            count_accept_lines(&output, feed),
            1,
            "doctor on {feed}:\n{output}"
        );
        assert_eq!(
            count_accept_lines(&poller.process.stderr(), feed),
            1,
            "{}",
            poller.process.stderr()
        );
        let accept = ["feed", "accept-change", feed, "--config", "poller.toml"];
        let (is_ok, output) = site.command(&[accept.as_slice(), &["--dry-run"]].concat()).await;
        assert!(is_ok && output.contains("nothing was changed"), "{output}");
        let why = ["--actor", "wang.fang", "--reason", "agreed by telephone"];
        let (is_ok, output) = site.command(&[accept.as_slice(), &why].concat()).await;
        assert!(is_ok && output.contains("accepted"), "{output}");
        let (is_ok, output) = site.command(&[accept.as_slice(), &why].concat()).await;
        assert!(!is_ok && output.contains("has no pending change"), "{output}");
    }

    let retyped = ["1|x10|note 1", "2|x20|note 2", "3|x30|note 3"];
    kind.wait_lines(&site, "the new type", &rows("paid"), &retyped)
        .await;
    kind.wait_lines(&site, "the new key", &rows("keyed"), &first)
        .await;
    let gone = "SELECT id || '|' || amount || '|' || coalesce(note, '-') FROM gone ORDER BY id";
    kind.wait_lines(
        &site,
        "the dropped column",
        gone,
        &["1|11|-", "2|20|note 2", "3|30|note 3"],
    )
    .await;
    for feed in ["paid", "gone", "keyed"] {
        until("no lane to wait", DEADLINE, async || {
            let lane = lane(&site, "poller.toml", feed).await;
            if lane["state"] == "caught_up" || lane["state"] == "flowing" {
                Ok(())
            } else {
                Err(lane.to_string())
            }
        })
        .await;
    }
    let accepted = actions(&site).await;
    assert_eq!(
        accepted
            .iter()
            .filter(|action| *action == "change.accept")
            .count(),
        3
    );
    // The former table is kept next to the new one.
    let before = match kind {
        Kind::Postgres => {
            "SELECT CAST(table_name AS text) FROM information_schema.tables WHERE table_name LIKE 'keyed_before%'"
        }
        Kind::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'keyed_before%'",
    };
    let before = until("the table of the old key", DEADLINE, async || {
        let before = kind.lines(&site, before).await;
        if before.len() == 1 {
            Ok(before)
        } else {
            Err(format!("{before:?}"))
        }
    })
    .await;
    assert_eq!(kind.lines(&site, &rows(&before[0])).await, first);
    social.stop().await;
    poller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn schema_lossy_change_waits_for_approval_in_postgres() {
    assert_change_needs_approval(Kind::Postgres, "asks_pg").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn schema_lossy_change_waits_for_approval_in_sqlite() {
    assert_change_needs_approval(Kind::Sqlite, "asks_sqlite").await;
}
