//! The sample feeds, all at once: from tables of those names into a store.

use std::fs;

use harness::{until, workspace};

use crate::pipeline::site::{DEADLINE, Site};

struct Feed {
    name: String,
    columns: Vec<String>,
    /// Creates the table, with a row for each of three keys.
    sql: String,
}

fn feed(text: &str) -> Feed {
    let table: toml::Table = text.parse().unwrap();
    let feed = &table["feed"][0];
    let strings = |key: &str| -> Vec<String> {
        let list = feed
            .get(key)
            .and_then(|list| list.as_array())
            .cloned()
            .unwrap_or_default();
        list.iter().map(|one| one.as_str().unwrap().to_owned()).collect()
    };
    let (name, sql) = (
        feed["name"].as_str().unwrap().to_owned(),
        feed["sql"].as_str().unwrap(),
    );
    let (select, from) = sql
        .trim()
        .strip_prefix("SELECT")
        .unwrap()
        .split_once("FROM")
        .unwrap();
    assert_eq!(from.trim(), name, "the table is named as the kind");
    let columns: Vec<String> = select.split(',').map(|column| column.trim().to_owned()).collect();
    let (key, money, cursor) = (strings("key"), strings("money"), strings("cursor"));
    for column in key.iter().chain(&money).chain(&cursor) {
        assert!(columns.contains(column), "{name}: {column} is not selected");
    }
    assert_eq!(
        cursor,
        [vec!["updt_time".to_owned()], key.clone()].concat(),
        "{name}"
    );
    let declared = |column: &String| {
        let kind = match column.as_str() {
            "updt_time" => "timestamptz NOT NULL DEFAULT now()",
            _ if money.contains(column) => "numeric(16,2)",
            _ if key.contains(column) => "text NOT NULL",
            _ => "text",
        };
        format!("{column} {kind}")
    };
    let value = |column: &String| match column.as_str() {
        "updt_time" => "now()".to_owned(),
        _ if money.contains(column) => "g * 10.01".to_owned(),
        _ => format!("'{column} ' || g"),
    };
    let list = |each: &dyn Fn(&String) -> String| columns.iter().map(each).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "CREATE TABLE {name} ({}, PRIMARY KEY ({})); INSERT INTO {name} ({}) SELECT {} FROM generate_series(1, 3) g;",
        list(&declared),
        key.join(", "),
        columns.join(", "),
        list(&value),
    );
    Feed { name, columns, sql }
}

#[tokio::test(flavor = "multi_thread")]
async fn sample_feeds_move_their_tables() {
    let mut site = Site::start("ready_made", 1, "mode = \"open\"").await;
    let (mut feeds, mut text) = (Vec::new(), String::new());
    for entry in fs::read_dir(workspace().join("config/feeds")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let one = fs::read_to_string(&path).unwrap();
            feeds.push(feed(&one));
            text.push_str(&one);
        }
    }
    assert_eq!(feeds.len(), 16);
    for feed in &feeds {
        let grant = format!("GRANT SELECT ON {} TO {}", feed.name, site.reader);
        site.core.execute(&format!("{}; {grant}", feed.sql)).await;
    }
    site.links.feeds = Some(text);
    let (social, poller) = (site.social("social"), site.poller("poller"));
    for feed in &feeds {
        let sum = format!(
            "SELECT count(*) || ' ' || coalesce(sum(hashtextextended(concat_ws('|', {}), 0)), 0) FROM {}",
            feed.columns.join(", "),
            feed.name
        );
        let core: String = site.core.query(&sum).await[0].get(0);
        assert!(core.starts_with("3 "));
        until(&format!("{} in the store", feed.name), DEADLINE, async || {
            let stored = site.store.connect().await.query_one(&sum, &[]).await;
            let stored: String = stored
                .map_err(|error| format!("{error}; {}", social.process.stderr()))?
                .get(0);
            if stored == core { Ok(()) } else { Err(stored) }
        })
        .await;
    }
    site.assert_evidence_valid().await;
    social.stop().await;
    poller.stop().await;
}
