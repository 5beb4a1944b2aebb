//! The sample kinds of requests, used as their page describes: appended to a feed's file, asked, and answered from a real table.

use std::fs;

use harness::{run, slacktide, workspace};
use serde_json::{Value, json};

use crate::pipeline::site::DEADLINE;
use crate::requests::request_site::{INSURERS, RequestSite};

/// A table of settlements with the columns of the feed and the kinds. Three kinds of treatment, of which the last has fewer
/// than ten settlements; 40 persons.
const SETL: &str = "INSERT INTO setl (setl_id, mdtrt_id, psn_no, begndate, enddate, med_type, fixmedins_name,
        medfee_sumamt, fund_pay_sumamt, psn_cash_pay)
     SELECT 'S' || lpad(g::text, 6, '0'), 'M' || g, '3101000000' || lpad((g % 40)::text, 4, '0'),
        date '2026-01-01' + (g % 60), date '2026-01-03' + (g % 60),
        CASE WHEN g <= 5 THEN '99' WHEN g % 2 = 0 THEN '11' ELSE '21' END, 'hospital ' || g % 7,
        g * 10.01, g * 7.03, g * 2.98 FROM generate_series(1, 400) g";

fn sample(path: &str) -> String {
    fs::read_to_string(workspace().join("config").join(path)).unwrap()
}

/// Returns a bureau's table, after the feed that ships with the kinds.
fn table(feed: &str) -> String {
    let feed: toml::Table = feed.parse().unwrap();
    let feed = &feed["feed"][0];
    let money: Vec<&str> = feed["money"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one.as_str())
        .collect();
    let select = feed["sql"]
        .as_str()
        .unwrap()
        .trim()
        .strip_prefix("SELECT")
        .unwrap();
    let columns: Vec<String> = select
        .split_once("FROM")
        .unwrap()
        .0
        .split(',')
        .map(str::trim)
        .map(|column| {
            let kind = match column {
                "updt_time" => "timestamptz NOT NULL DEFAULT now()",
                "setl_id" => "text PRIMARY KEY",
                _ if column.ends_with("date") => "date",
                _ if money.contains(&column) => "numeric(16,2)",
                _ => "text",
            };
            format!("{column} {kind}")
        })
        .collect();
    format!("CREATE TABLE setl ({})", columns.join(", "))
}

async fn result(site: &RequestSite, id: &str) -> Value {
    site.json(&[
        "request",
        "result",
        id,
        "--format",
        "json",
        "--config",
        "insurer-a.toml",
    ])
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn sample_kinds_answer_as_documented() {
    let feed = sample("feeds/setl.toml");
    let mut site = RequestSite::start("ready_kinds", 1, "mode = \"open\"").await;
    site.kinds.clone_from(&feed);
    let mut files = 0;
    for entry in fs::read_dir(workspace().join("config/kinds")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            site.kinds.push_str(&fs::read_to_string(path).unwrap());
            files += 1;
        }
    }
    assert_eq!(files, 2, "a new file is asked here too");
    let grant = format!("GRANT SELECT ON setl TO {}", site.reader());
    site.core
        .execute(&format!("{}; {SETL}; {grant}", table(&feed)))
        .await;

    site.write_social("bureau", harness::free_port());
    let doctor = async || {
        let mut doctor = slacktide();
        doctor.args(["doctor", "--config"]).arg(site.file("bureau.toml"));
        run("doctor", &mut doctor, DEADLINE).await
    };
    // The indexes of the samples are missing: the feed's, and one for each kind.
    let found = doctor().await.stdout;
    let run_it = |line: &str| {
        line.split_once("run: CREATE INDEX")
            .map(|(_, rest)| format!("CREATE INDEX{rest}"))
    };
    let statements: Vec<String> = found.lines().filter_map(run_it).collect();
    assert_eq!(statements.len(), 3, "{found}");
    for statement in &statements {
        site.core.execute(statement).await;
    }
    let output = doctor().await;
    let kinds: Vec<&str> = output
        .stdout
        .lines()
        .filter(|line| line.contains("kind setl."))
        .collect();
    assert!(
        kinds.len() == 2 && kinds.iter().all(|line| line.trim_start().starts_with("ok")),
        "{}{}",
        output.stdout,
        output.stderr
    );

    let (social, commercial) = (site.bureau().await, site.commercial(INSURERS[0], "insurer-a"));
    let person = ["psn_no=31010000000007", "from=2026-01-01", "to=2026-03-31"];
    let one = site.ask(INSURERS[0], "setl.by_person", &person, &[]).await;
    let month = ["from=2026-01-01", "to=2026-01-31"];
    let reckoning = ["--purpose", "02", "--basis", "03"];
    let sums = site.ask(INSURERS[0], "setl.sums", &month, &reckoning).await;
    for id in [&one, &sums] {
        site.wait_state(INSURERS[0], id, "stored_by_insurer").await;
    }

    let one = result(&site, &one).await;
    let rows = one["rows"].as_array().unwrap();
    let there = |name: &str| {
        let columns = one["columns"].as_array().unwrap();
        columns.iter().position(|column| column == name).unwrap()
    };
    assert_eq!(rows.len(), 10, "{one}");
    for (row, at) in rows.iter().zip((7..).step_by(40)) {
        assert_eq!(row[there("setl_id")], format!("S{at:06}"));
        let number = row[there("psn_no")].as_str().unwrap();
        assert!(number.ends_with("0007") && !number.contains("3101"), "{number}");
    }
    // The same sums computed by the test.
    let by_hand = site
        .core
        .query(
            "SELECT med_type, count(*), sum(medfee_sumamt)::text, sum(fund_pay_sumamt)::text FROM setl
             WHERE begndate BETWEEN '2026-01-01' AND '2026-01-31' GROUP BY med_type HAVING count(*) >= 10 ORDER BY 1",
        )
        .await;
    let by_hand: Vec<Value> = by_hand
        .iter()
        .map(|row| {
            json!([
                row.get::<_, String>(0),
                row.get::<_, i64>(1),
                row.get::<_, String>(2),
                row.get::<_, String>(3)
            ])
        })
        .collect();
    let mut sums = result(&site, &sums).await["rows"].as_array().unwrap().clone();
    sums.sort_by_key(ToString::to_string);
    assert_eq!((sums.len(), &sums), (2, &by_hand));
    social.stop().await;
    commercial.stop().await;
}
