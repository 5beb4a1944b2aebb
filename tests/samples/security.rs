//! SECURITY.md: each promise names a test, and each named test exists.

use std::fs;

use harness::workspace;

/// Returns the rows of its promise tables, without the heads.
fn promise_rows(page: &str) -> Vec<&str> {
    let tables = page
        .split("\n\n")
        .filter(|block| !block.starts_with("| attacker |"));
    let rows = tables.flat_map(str::lines).filter(|line| line.starts_with("| "));
    rows.filter(|line| !line.starts_with("| promise |")).collect()
}

/// Returns the texts in backquotes that name a test.
fn named_tests(row: &str) -> Vec<(&str, &str)> {
    let quoted = row.split('`').skip(1).step_by(2);
    quoted.filter_map(|text| text.split_once("::")).collect()
}

/// Returns whether a file has a test of that name: a function directly after its attributes.
fn has_test(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    let is_test = |at: usize| {
        let attributes = lines[..at].iter().rev().take_while(|line| line.starts_with("#["));
        // Inside proptest! the attribute is the same.
        attributes
            .clone()
            .any(|line| line.starts_with("#[test") || line.starts_with("#[tokio::test"))
    };
    let plain = format!("fn {name}(");
    let waiting = format!("async fn {name}(");
    (0..lines.len())
        .any(|at| (lines[at].starts_with(&plain) || lines[at].starts_with(&waiting)) && is_test(at))
}

#[test]
fn security_page_names_tests_that_exist() {
    let page = fs::read_to_string(workspace().join("SECURITY.md")).unwrap();
    let rows = promise_rows(&page);
    assert!(rows.len() > 20, "{} promises", rows.len());
    let mut missing = Vec::new();
    for row in rows {
        let tests = named_tests(row);
        if tests.is_empty() {
            missing.push(format!("no test proves: {row}"));
        }
        for (file, name) in tests {
            let text = fs::read_to_string(workspace().join(file)).unwrap_or_default();
            if !has_test(&text, name) {
                missing.push(format!("{file}::{name}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}
