//! Metrics of the agents: names and documentation match, and no metric contains personal data.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use harness::workspace;

use super::commands::WHO;
use crate::gate_config::STOP_FILE_GATE;
use crate::pipeline::reconcile::with_reconciliation;
use crate::pipeline::site::{Agent, Site};

/// By name: type and labels.
type Names = BTreeMap<String, (String, BTreeSet<String>)>;

/// Returns the metrics of the page's tables.
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
            assert!(twice.is_none(), "{name} is documented twice");
        }
    }
    names
}

/// Returns the metrics of an exposition: type and labels by name.
fn reported(text: &str) -> Names {
    let mut names = Names::new();
    for line in text.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            let twice = names.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new()));
            assert!(twice.is_none(), "the lines of {name} are not adjacent");
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

async fn metrics_page(agent: &Agent) -> String {
    agent.page("/metrics").await.unwrap().body
}

/// Returns the value of a sample by its full name.
fn sample_value(text: &str, sample: &str) -> f64 {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {sample} in\n{text}"))
        .parse()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_and_their_page_match_and_name_no_person() {
    let site = Site::start("operate_metrics", 100, STOP_FILE_GATE).await;
    let social = site.social_with("social", |text| {
        with_reconciliation(text).replace(
            "tombstone = \"deleted\"",
            "tombstone = \"deleted\"\nperson = \"name\"",
        )
    });
    let poller = site.poller("poller");
    site.wait_until_equal().await;
    let (is_equal, output) = site
        .command(&["reconcile", "run", "claim", "--config", "poller.toml"])
        .await;
    assert!(is_equal, "{output}");
    poller
        .wait_status(
            "the comparison to be shown",
            "/comparisons/insurer-a.claim/is_balanced",
            |is_balanced| *is_balanced == true,
        )
        .await;
    // A row that the store refuses, a row that is held, a closed gate.
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
    let (is_ok, output) = site.command(&[&hold[..], &WHO].concat()).await;
    assert!(is_ok, "{output}");
    harness::until(
        "the agent to apply the hold",
        crate::pipeline::site::DEADLINE,
        async || social.process.stderr().contains("hold.begins"),
    )
    .await;
    site.core
        .execute(
            "INSERT INTO claim (id, name, amount) VALUES (7700017700017, 'Refused Person', 99887766554.00), \
             (7700027700027, 'Held Person', 1.00), (7700037700037, 'Other Person', 2.00)",
        )
        .await;
    poller
        .wait_status(
            "a row in quarantine",
            "/quarantine/insurer-a.claim/row/count",
            |count| *count == 1,
        )
        .await;
    fs::write(site.file("stop"), "").unwrap();
    social
        .wait_status("the gate to close", "/gate/state", |state| state == "closed")
        .await;

    let (bureau, insurer) = (metrics_page(&social).await, metrics_page(&poller).await);
    let mut found = reported(&bureau);
    for (name, (kind, labels)) in reported(&insurer) {
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
    // The tests of gateway and front compare theirs with the page.
    let of_agents =
        |name: &&String| !name.starts_with("slacktide_gateway_") && !name.starts_with("slacktide_front_");
    for name in documented.keys().filter(of_agents) {
        assert!(
            found.contains_key(name),
            "docs/metrics.md has {name}, and no agent reports it"
        );
    }

    let lane = "{lane=\"insurer-a.claim\"}";
    for (text, name, wanted) in [
        (&bureau, "slacktide_exchange_connected".to_owned(), 1.0),
        (&bureau, "slacktide_gate_state{state=\"closed\"}".to_owned(), 1.0),
        (&bureau, format!("slacktide_lane_rows_total{lane}"), 102.0),
        (&bureau, format!("slacktide_lane_withheld_rows_total{lane}"), 1.0),
        (
            &bureau,
            format!("slacktide_lane_withheld_outstanding_rows{lane}"),
            1.0,
        ),
        (
            &bureau,
            "slacktide_driver_rows_while_closed_total".to_owned(),
            0.0,
        ),
        (&insurer, "slacktide_exchange_connected".to_owned(), 1.0),
        (&insurer, format!("slacktide_quarantined_rows_total{lane}"), 1.0),
        (&insurer, "slacktide_poll_failing".to_owned(), 0.0),
    ] {
        assert_eq!(
            sample_value(text, &name).to_bits(),
            f64::to_bits(wanted),
            "{name}"
        );
    }
    let numbers = |name: &str| sample_value(&insurer, &format!("{name}{lane}"));
    assert_eq!(
        numbers("slacktide_frontier").to_bits(),
        sample_value(&bureau, &format!("slacktide_lane_number{lane}")).to_bits()
    );
    // Numbers too long to match a measured value by coincidence.
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
