//! Shipped files for operation: systemd units, Prometheus alert rules, a Grafana dashboard.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use harness::{idle_helper, run, slacktide, workspace};
use serde_yaml_ng::Value;

use super::metrics::documented;

fn read_shipped(name: &str) -> String {
    fs::read_to_string(workspace().join("deploy").join(name)).unwrap()
}

/// Returns every metric that an expression names.
fn metric_names(expression: &str) -> BTreeSet<String> {
    expression
        .split(|sign: char| !sign.is_ascii_alphanumeric() && sign != '_')
        .filter(|word| word.starts_with("slacktide_"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn alert_rules_are_complete_and_use_existing_metrics() {
    let rules: Value = serde_yaml_ng::from_str(&read_shipped("slacktide.rules.yml")).unwrap();
    let documented = documented();
    let rules = rules["groups"][0]["rules"].as_sequence().unwrap();
    let mut alerts = BTreeSet::new();
    for rule in rules {
        let alert = rule["alert"].as_str().unwrap();
        assert!(alerts.insert(alert), "{alert} is there twice");
        let expression = rule["expr"].as_str().unwrap();
        let used = metric_names(expression);
        assert!(
            !used.is_empty() || expression.starts_with("up{"),
            "{alert} uses no metric"
        );
        for name in used {
            assert!(
                documented.contains_key(&name),
                "{alert} uses {name}, which no agent reports"
            );
        }
        for text in ["summary", "description"] {
            assert!(rule["annotations"][text].is_string(), "{alert} has no {text}");
        }
        assert!(
            matches!(rule["labels"]["severity"].as_str(), Some("page" | "ticket")),
            "{alert} has no severity"
        );
    }
    assert!(alerts.len() > 10, "{alerts:?}");

    let scrape: Value = serde_yaml_ng::from_str(&read_shipped("prometheus.yml")).unwrap();
    assert_eq!(scrape["rule_files"][0], "slacktide.rules.yml");
    // The jobs of the rules, at the addresses of the samples.
    let jobs = scrape["scrape_configs"].as_sequence().unwrap();
    let samples = ["social", "commercial", "gateway", "front"];
    assert_eq!(jobs.len(), samples.len());
    for (job, sample) in jobs.iter().zip(samples) {
        assert!(job["job_name"].as_str().unwrap().starts_with("slacktide"));
        let sample = fs::read_to_string(workspace().join(format!("config/{sample}.toml"))).unwrap();
        let target = job["static_configs"][0]["targets"][0].as_str().unwrap();
        assert!(sample.contains(&format!("listen = \"{target}\"")), "{target}");
    }
}

#[test]
fn dashboard_parses_and_uses_existing_metrics() {
    let dashboard: serde_json::Value = serde_json::from_str(&read_shipped("grafana-dashboard.json")).unwrap();
    let documented = documented();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    let mut used = BTreeSet::new();
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        assert!(
            ids.insert(panel["id"].as_u64().unwrap()),
            "{title}: its id is not unique"
        );
        if panel["type"] == "row" {
            continue;
        }
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{title} has no query");
        for target in targets {
            let expression = target["expr"].as_str().unwrap();
            let names = metric_names(expression);
            assert!(!names.is_empty(), "{title} uses no metric");
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
            for name in names {
                let series = name.strip_suffix("_bucket").unwrap_or(&name).to_owned();
                assert!(
                    documented.contains_key(&series),
                    "{title} uses {name}, which no agent reports"
                );
                used.insert(series);
            }
        }
    }
    assert!(used.len() > 20, "{used:?}");
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let names: Vec<&str> = variables.iter().map(|v| v["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["datasource", "lane"]);
}

/// Returns the value of a line `key=value` of a unit.
fn unit_value<'a>(unit: &'a str, key: &str) -> &'a str {
    let found: Vec<&str> = unit
        .lines()
        .filter_map(|line| line.strip_prefix(key)?.strip_prefix('='))
        .collect();
    let [value] = found.as_slice() else {
        panic!("{key} is there {} times", found.len())
    };
    value
}

#[tokio::test]
async fn systemd_units_match_the_agents_and_their_exit_codes() {
    for agent in ["social", "commercial", "gateway", "front"] {
        let unit = read_shipped(&format!("slacktide-{agent}.service"));
        assert_eq!(unit_value(&unit, "Type"), "notify");
        assert!(unit_value(&unit, "WatchdogSec").ends_with('s'));
        assert_eq!(unit_value(&unit, "Restart"), "on-failure");
        let not: Vec<u8> = unit_value(&unit, "RestartPreventExitStatus")
            .split(' ')
            .map(|code| code.parse().unwrap())
            .collect();
        assert_eq!(
            not,
            [
                runtime::exit::Exit::Usage.code(),
                runtime::exit::Exit::Denied.code()
            ]
        );
        assert_eq!(unit_value(&unit, "LimitCORE"), "0");

        // The text comes from the program itself: only the file is missing here.
        let words: Vec<&str> = unit_value(&unit, "ExecStart").split(' ').collect();
        assert_eq!(words[0], "/usr/bin/slacktide");
        let ended = run(
            "slacktide",
            slacktide().args(&words[1..]),
            Duration::from_secs(30),
        )
        .await;
        assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains(words[words.len() - 1]), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn systemd_unit_of_the_helper_starts_the_program() {
    let unit = read_shipped("slacktide-idle.service");
    assert_eq!(unit_value(&unit, "Restart"), "on-failure");
    let not = [
        runtime::exit::Exit::Usage.code(),
        runtime::exit::Exit::Denied.code(),
    ];
    assert_eq!(
        unit_value(&unit, "RestartPreventExitStatus"),
        not.map(|code| code.to_string()).join(" ")
    );
    let words: Vec<&str> = unit_value(&unit, "ExecStart").split(' ').collect();
    let program = idle_helper();
    assert_eq!(
        std::path::Path::new(words[0]).file_name(),
        std::path::Path::new(program.get_program()).file_name()
    );
    // Only the file is missing here.
    let ended = run("helper", idle_helper().args(&words[1..]), Duration::from_secs(30)).await;
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains(words[words.len() - 1]), "{}", ended.stderr);
}
