//! scripts/advisories.sh: what the lint says of the advisory database, with a cargo-deny that answers as it is told to.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use harness::workspace;
use tempfile::TempDir;

/// What the script writes, and its exit code, where fetching and checking end like this.
fn checked(fetch: &str, check: &str, has_copy: bool) -> (String, Option<i32>) {
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
    let told = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    (told, done.status.code())
}

const REACHED: &str = "exit 0";
const NOT_REACHED: &str = "echo 'fatal: Could not resolve host: example' >&2; exit 1";

#[test]
fn lint_unreachable_advisories_are_said_and_pass() {
    let (told, code) = checked(NOT_REACHED, "exit 1", false);
    assert_eq!(code, Some(0), "{told}");
    for part in ["cannot be fetched", "Could not resolve host", "NOT CHECKED"] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn lint_advisory_that_applies_fails_the_check() {
    let advisory = "echo 'error[vulnerability]: RUSTSEC-2026-9999' >&2; exit 1";
    for (fetch, has_copy) in [(REACHED, false), (NOT_REACHED, true)] {
        let (told, code) = checked(fetch, advisory, has_copy);
        assert_eq!(code, Some(1), "{told}");
        assert!(
            told.contains("RUSTSEC-2026-9999") && told.contains("an advisory applies"),
            "{told}"
        );
    }
    let (told, code) = checked(REACHED, "echo 'warning: notice' >&2; exit 0", false);
    assert_eq!(code, Some(0), "{told}");
    assert!(
        told.contains("warning: notice") && told.contains("no advisory applies"),
        "{told}"
    );
}
