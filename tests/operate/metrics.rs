//! What agents count: every name is documented and the reverse, and nothing of a person is in them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use harness::workspace;

use super::told::WHO;
use crate::gates::BY_FILE;
use crate::path::site::{Agent, Site};

/// By name: its type and its labels.
type Names = BTreeMap<String, (String, BTreeSet<String>)>;

/// The tables of the page.
pub(super) fn documented() -> Names {
    let page = fs::read_to_string(workspace().join("docs/metrics.md")).unwrap();
    let mut names = Names::new();
    for line in page.lines().filter(|line| line.starts_with("| `slacktide_")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, name, kind, labels, meaning, _] = cells.as_slice() else {
            // The table of alerts.
            continue;
        };
        let labels = labels.split(", ").filter(|label| !label.is_empty());
        let labels = labels.map(|label| label.trim_matches('`').to_owned()).collect();
        if matches!(*kind, "gauge" | "counter" | "histogram") {
            assert!(!meaning.is_empty(), "{name} has no meaning");
            let name = name.trim_matches('`').to_owned();
            let twice = names.insert(name.clone(), ((*kind).to_owned(), labels));
            assert!(twice.is_none(), "{name} stands there twice");
        }
    }
    names
}

/// What a page of metrics has: names by type, and the labels of each.
fn told(text: &str) -> Names {
    let mut names = Names::new();
    for line in text.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            let twice = names.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new()));
            assert!(twice.is_none(), "the lines of {name} do not stand together");
            continue;
        }
        if line.starts_with('#') {
            continue;
        }
        let (sample, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "no number: {line}");
        let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
        let of = ["_bucket", "_sum", "_count"].iter().find_map(|end| {
            let name = name.strip_suffix(end)?;
            names.contains_key(name).then(|| name.to_owned())
        });
        let (_, known) = names
            .get_mut(of.as_deref().unwrap_or(name))
            .unwrap_or_else(|| panic!("{name} has no type"));
        for label in labels
            .trim_end_matches('}')
            .split("\",")
            .filter(|label| !label.is_empty())
        {
            known.insert(label.split('=').next().unwrap().to_owned());
        }
    }
    names
}

async fn page(agent: &Agent) -> String {
    agent.page("/metrics").await.unwrap().body
}

/// The value of a sample, by its whole name.
fn value(text: &str, sample: &str) -> f64 {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {sample} in\n{text}"))
        .parse()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_is_documented_and_the_reverse_and_nobody_is_named() {
    let site = Site::start("operate_metrics", 100, BY_FILE).await;
    let social = site.social_with("social", |text| {
        text.replace(
            "tombstone = \"deleted\"",
            "tombstone = \"deleted\"\nperson = \"name\"",
        )
    });
    let poller = site.poller("poller");
    site.agree().await;
    // A row that the store refuses, a row that is kept back, a gate that was shut.
    site.store
        .execute("ALTER TABLE claim ADD CONSTRAINT small CHECK (amount < 5000)")
        .await;
    let hold = [
        "hold",
        "add",
        "--person",
        "Held Person",
        "--reason",
        "Secret Reason",
        "--config",
        "social.toml",
    ];
    let (well, said) = site.command(&[&hold[..], &WHO].concat()).await;
    assert!(well, "{said}");
    harness::until("the agent to obey", crate::path::site::PATIENCE, async || {
        social.process.stderr().contains("hold.begins")
    })
    .await;
    site.core
        .execute(
            "INSERT INTO claim (id, name, amount) VALUES (7700017700017, 'Refused Person', 99887766554.00), \
             (7700027700027, 'Held Person', 1.00), (7700037700037, 'Other Person', 2.00)",
        )
        .await;
    poller
        .shows(
            "a row in quarantine",
            "/held/insurer-a.claim/row/count",
            |count| *count == 1,
        )
        .await;
    fs::write(site.file("stop"), "").unwrap();
    social
        .shows("the gate to shut", "/gate/state", |state| state == "shut")
        .await;

    let (bureau, insurer) = (page(&social).await, page(&poller).await);
    let mut found = told(&bureau);
    for (name, (kind, labels)) in told(&insurer) {
        let (before, known) = found
            .entry(name.clone())
            .or_insert((kind.clone(), BTreeSet::new()));
        assert_eq!(*before, kind, "{name} has two types");
        known.extend(labels);
    }
    let documented = documented();
    for (name, of) in &found {
        assert_eq!(documented.get(name), Some(of), "{name} in docs/metrics.md");
        assert!(!name.ends_with("_total") || of.0 == "counter", "{name}");
    }
    for name in documented.keys() {
        assert!(
            found.contains_key(name),
            "docs/metrics.md has {name}, and no agent tells it"
        );
    }

    let lane = "{lane=\"insurer-a.claim\"}";
    for (text, name, wanted) in [
        (&bureau, "slacktide_exchange_connected".to_owned(), 1.0),
        (&bureau, "slacktide_gate_state{state=\"shut\"}".to_owned(), 1.0),
        (&bureau, format!("slacktide_lane_rows_total{lane}"), 102.0),
        (&bureau, format!("slacktide_lane_withheld_rows_total{lane}"), 1.0),
        (&bureau, format!("slacktide_lane_held_back_rows{lane}"), 1.0),
        (&bureau, "slacktide_driver_rows_while_shut_total".to_owned(), 0.0),
        (&insurer, "slacktide_exchange_connected".to_owned(), 1.0),
        (&insurer, format!("slacktide_quarantined_rows_total{lane}"), 1.0),
        (&insurer, "slacktide_poll_troubled".to_owned(), 0.0),
    ] {
        assert_eq!(value(text, &name).to_bits(), f64::to_bits(wanted), "{name}");
    }
    let numbers = |name: &str| value(&insurer, &format!("{name}{lane}"));
    assert_eq!(
        numbers("slacktide_frontier").to_bits(),
        value(&bureau, &format!("slacktide_lane_number{lane}")).to_bits()
    );
    // Numbers so long that no measured one holds them by chance.
    for secret in [
        "Person",
        "7700017700017",
        "7700027700027",
        "99887766554",
        "Secret",
        "li.na",
    ] {
        for text in [&bureau, &insurer] {
            assert!(!text.contains(secret), "{secret} in\n{text}");
        }
    }
    social.stop().await;
    poller.stop().await;
}
