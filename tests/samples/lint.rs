//! scripts/advisories.sh: its output on the advisory database, with a stub of cargo-deny.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use harness::workspace;
use tempfile::TempDir;

/// Runs the script with these results of fetch and check. Returns its output and exit code.
fn run_script(fetch: &str, check: &str, has_copy: bool) -> (String, Option<i32>) {
    let folder = TempDir::new().unwrap();
    let program = folder.path().join("cargo-deny");
    let text = format!(
        "#!/bin/sh\ncase \" $* \" in\n*' fetch '*) {fetch} ;;\n*' check '*) {check} ;;\n*) exit 64 ;;\nesac\n"
    );
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    if has_copy {
        let copy = folder.path().join("advisory-dbs/advisory-db-1/.git");
        fs::create_dir_all(&copy).unwrap();
        fs::write(copy.join("FETCH_HEAD"), "").unwrap();
    }
    let done = Command::new(workspace().join("scripts/advisories.sh"))
        .arg(&program)
        .env("CARGO_HOME", folder.path())
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    (report, done.status.code())
}

const REACHED: &str = "exit 0";
const NOT_REACHED: &str = "echo 'fatal: Could not resolve host: example' >&2; exit 1";

#[test]
fn lint_unreachable_advisories_are_reported_and_pass() {
    let (report, code) = run_script(NOT_REACHED, "exit 1", false);
    assert_eq!(code, Some(0), "{report}");
    for part in ["cannot be fetched", "Could not resolve host", "NOT CHECKED"] {
        assert!(report.contains(part), "{part}: {report}");
    }
}

#[test]
fn lint_advisory_that_applies_fails_the_check() {
    let advisory = "echo 'error[vulnerability]: RUSTSEC-2026-9999' >&2; exit 1";
    for (fetch, has_copy) in [(REACHED, false), (NOT_REACHED, true)] {
        let (report, code) = run_script(fetch, advisory, has_copy);
        assert_eq!(code, Some(1), "{report}");
        assert!(
            report.contains("RUSTSEC-2026-9999") && report.contains("an advisory applies"),
            "{report}"
        );
    }
    let (report, code) = run_script(REACHED, "echo 'warning: notice' >&2; exit 0", false);
    assert_eq!(code, Some(0), "{report}");
    assert!(
        report.contains("warning: notice") && report.contains("no advisory applies"),
        "{report}"
    );
}
