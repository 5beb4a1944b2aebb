//! Every package that is built into the program that runs as root, compared with the list in docs/idle-helper.md.
//!
//! The list is made from the workspace's manifests and Cargo.lock, without asking a registry. Cargo.lock also names
//! packages that are not built: for other systems, and for features that no program enables. Those are listed here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde::Deserialize;

use super::metadata;

/// A program with a list of its packages.
pub(super) struct Program {
    /// Its package.
    pub(super) name: &'static str,
    /// The page with the list.
    pub(super) page: &'static str,
    /// Packages that Cargo.lock names below the program's and that are not built on Linux with the features in use.
    pub(super) not_built: &'static [(&'static str, &'static str)],
}

const PROGRAM: Program = Program {
    name: "slacktide-idle-helper",
    page: "docs/idle-helper.md",
    not_built: &[
        ("windows-sys", "of rustix and errno, for Windows"),
        ("indexmap", "of toml, for the order of keys"),
    ],
};

#[derive(Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    #[serde(default)]
    dependencies: Vec<String>,
}

/// Returns the names of all packages below the program's, with the program.
pub(super) fn packages(program: &Program) -> BTreeSet<String> {
    let text = fs::read_to_string(harness::workspace().join("Cargo.lock")).unwrap();
    let lock: Lock = toml::from_str(&text).unwrap();
    // Cargo.lock does not mark the dependencies of tests, so those of our own packages are taken from their manifests.
    let own: BTreeMap<String, Vec<String>> = metadata()
        .packages
        .into_iter()
        .map(|package| {
            let built = package.dependencies.into_iter();
            let built = built.filter(|dependency| dependency.kind.as_deref() != Some("dev"));
            (package.name, built.map(|dependency| dependency.name).collect())
        })
        .collect();
    let mut found = BTreeSet::new();
    let mut next = vec![program.name.to_owned()];
    while let Some(entry) = next.pop() {
        // `name`, or `name version` where the lock has several versions.
        let mut words = entry.split(' ');
        let (name, version) = (words.next().unwrap(), words.next());
        if program.not_built.iter().any(|(not, _)| *not == name) || !found.insert(name.to_owned()) {
            continue;
        }
        let locked: Vec<&Locked> = lock
            .package
            .iter()
            .filter(|package| {
                package.name == name && version.is_none_or(|version| package.version == version)
            })
            .collect();
        assert!(!locked.is_empty(), "{entry} is not in Cargo.lock");
        match own.get(name) {
            Some(dependencies) => {
                for dependency in dependencies {
                    let resolved = locked[0].dependencies.iter();
                    let resolved = resolved.filter(|entry| entry.split(' ').next() == Some(dependency));
                    next.extend(resolved.cloned());
                }
            }
            None => next.extend(locked.iter().flat_map(|package| package.dependencies.clone())),
        }
    }
    found
}

/// Returns the names in the list of the program's page.
pub(super) fn documented(program: &Program) -> BTreeSet<String> {
    let text = fs::read_to_string(harness::workspace().join(program.page)).unwrap();
    let (_, section) = text.split_once("## What is built into it").unwrap();
    let list = section.split("```").nth(1).unwrap();
    let lines = list.lines().skip(1);
    lines
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .collect()
}

#[test]
fn root_program_packages_are_those_of_its_page() {
    let (packages, documented) = (packages(&PROGRAM), documented(&PROGRAM));
    assert!(
        packages.contains("priority") && packages.contains("libc"),
        "{packages:?}"
    );
    let added: Vec<_> = packages.difference(&documented).collect();
    assert!(
        added.is_empty(),
        "{added:?} are new in the program that runs as root: review them, then add them to docs/idle-helper.md"
    );
    let removed: Vec<_> = documented.difference(&packages).collect();
    assert!(
        removed.is_empty(),
        "{removed:?} are no longer in the program: remove them from docs/idle-helper.md"
    );
}

#[test]
fn root_program_has_no_runtime_and_no_network_library() {
    let packages = packages(&PROGRAM);
    for name in [
        "tokio",
        "async-nats",
        "hyper",
        "rustls",
        "tracing",
        "clap",
        "schemas",
        "runtime",
    ] {
        assert!(!packages.contains(name), "{name}");
    }
}
