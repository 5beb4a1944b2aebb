//! docs/faults.md names the test that injects each fault: every test that it names exists, and every test of this folder is
//! named.

use std::collections::BTreeSet;
use std::fs;

use harness::workspace;

#[test]
fn faults_page_and_fault_tests_name_each_other() {
    let page = fs::read_to_string(workspace().join("docs/faults.md")).unwrap();
    let named: BTreeSet<&str> = page
        .split('`')
        .filter(|word| word.matches("::").count() == 2)
        .collect();
    for test in &named {
        let (file, name) = test.rsplit_once("::").unwrap();
        let file = workspace()
            .join("tests")
            .join(file.replace("::", "/"))
            .with_extension("rs");
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert!(text.contains(&format!("fn {name}()")), "{test} does not exist");
    }
    for file in [
        "disconnect",
        "databases",
        "disks",
        "half_open",
        "nemesis",
        "process",
        "permissions",
    ] {
        let text = fs::read_to_string(workspace().join(format!("tests/faults/{file}.rs"))).unwrap();
        for test in text.split("#[tokio::test").skip(1) {
            let name = test
                .split_once("async fn ")
                .and_then(|(_, rest)| rest.split_once('('))
                .unwrap()
                .0;
            let test = format!("faults::{file}::{name}");
            assert!(
                named.contains(test.as_str()),
                "docs/faults.md does not name {test}"
            );
        }
    }
}
