//! The tests of the alert rules: every rule has cases in which it fires and clears. `make test-alerts` runs them.

use std::collections::BTreeMap;
use std::fs;

use harness::workspace;
use serde_yaml_ng::Value;

fn read_shipped(name: &str) -> Value {
    let text = fs::read_to_string(workspace().join("deploy").join(name)).unwrap();
    serde_yaml_ng::from_str(&text).unwrap()
}

/// Returns for each check of a case in order whether the alert fires; panics if another one fires.
fn firing(case: &Value, alert: &str) -> Vec<bool> {
    let checks = case["promql_expr_test"].as_sequence().unwrap();
    let fires = checks.iter().map(|check| {
        assert_eq!(check["expr"], "ALERTS{alertstate=\"firing\"}", "{alert}");
        let samples = check["exp_samples"].as_sequence().cloned().unwrap_or_default();
        for sample in &samples {
            let labels = sample["labels"].as_str().unwrap();
            assert!(labels.contains(&format!("alertname=\"{alert}\"")), "{labels}");
        }
        !samples.is_empty()
    });
    fires.collect()
}

#[test]
fn alert_rules_each_have_a_case_that_fires_and_clears() {
    let rules = read_shipped("slacktide.rules.yml");
    let rules = rules["groups"][0]["rules"].as_sequence().unwrap();
    let tests = read_shipped("slacktide.rules.test.yml");
    assert_eq!(tests["rule_files"][0], "slacktide.rules.yml");
    let mut cases: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for case in tests["tests"].as_sequence().unwrap() {
        if let Some((alert, _)) = case["name"].as_str().unwrap().split_once(": ") {
            cases.entry(alert).or_default().push(case);
        }
    }
    for rule in rules {
        let alert = rule["alert"].as_str().unwrap();
        let cases = cases.remove(alert).unwrap_or_default();
        let is_complete = cases.iter().any(|case| {
            let fires = firing(case, alert);
            let is_quiet_at_the_ends = !fires[0] && !fires[fires.len() - 1];
            is_quiet_at_the_ends && fires.contains(&true)
        });
        assert!(
            is_complete,
            "{alert}: no case in slacktide.rules.test.yml fires and clears"
        );
        // Each alternative of an expression has its own case.
        let alternatives = rule["expr"].as_str().unwrap().split(" or ").count();
        assert!(
            cases.len() >= alternatives,
            "{alert}: {} cases of {alternatives}",
            cases.len()
        );
    }
    assert!(cases.is_empty(), "cases of no rule: {:?}", cases.keys());
}
