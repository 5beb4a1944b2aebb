//! The dependency rules between crates, checked on `cargo metadata`: schemas <- crates <- nats <- services.
//!
//! The services do not depend on each other nor on the transport: they use the exchange port, and the binary composes them. So
//! every dependency inside the workspace is listed here, and a crate that is not listed is refused. Libraries with which a
//! crate could bypass its neighbours are listed too.

mod root_program;
mod verify_program;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

/// Dependencies of each crate inside the workspace that are allowed.
const EDGES: &[(&str, &[&str])] = &[
    ("schemas", &[]),
    ("exchange", &["schemas"]),
    // The conformance suite and an exchange in memory, for tests.
    ("exchange-testing", &["schemas", "exchange"]),
    // The runtime reads configuration, so crates that have some use its duration type.
    ("runtime", &["schemas"]),
    // How a PostgreSQL server is reached, the same for both sides; it does not depend on the product.
    ("servers", &[]),
    ("gate", &["schemas", "runtime"]),
    // It uses what the gate publishes: samples, verdicts and the pure law.
    ("recordings", &["schemas", "gate"]),
    // What the agent and the root helper share. It depends on no other part, so the helper does not either.
    ("priority", &[]),
    // A program of its own that runs as root.
    ("slacktide-idle-helper", &["priority"]),
    ("source", &["schemas", "gate", "runtime", "servers"]),
    ("store", &["schemas", "reconciliation", "runtime", "servers"]),
    // The suite that every store passes, and sample chunks: only tests use it.
    ("store-testing", &["reconciliation", "schemas", "store"]),
    // What feeds and answers withhold, without IO.
    ("disclosure", &["schemas"]),
    // Compares core and store by digests, without IO.
    ("reconciliation", &["schemas"]),
    // Every decision about data requests, without IO; its configuration uses durations.
    (
        "requests",
        &["schemas", "disclosure", "reconciliation", "runtime"],
    ),
    // An agent's own status, published through the port.
    ("reporting", &["schemas", "exchange", "runtime"]),
    ("nats", &["schemas", "exchange"]),
    // Spans; the context that a message carries is the port's.
    ("traces", &["exchange", "runtime"]),
    // The other transport: the interface that the gateway serves, and its client.
    ("web", &["schemas", "exchange"]),
    (
        "social",
        &[
            "schemas",
            "exchange",
            "gate",
            "recordings",
            "source",
            "disclosure",
            "reconciliation",
            "requests",
            "runtime",
            "traces",
        ],
    ),
    (
        "commercial",
        &["schemas", "exchange", "store", "requests", "runtime", "traces"],
    ),
    // The rules of evidence, shared by the auditor's commands and the offline program; it does not depend on the exchange.
    ("verification", &["schemas"]),
    ("audit", &["schemas", "exchange", "verification"]),
    // A program of its own, for those who trust neither side.
    ("slacktide-verify", &["schemas", "verification"]),
    // Pages over the exchange port; the binary mounts them in the gateway.
    ("slacktide-console", &["schemas", "exchange", "requests"]),
    // The server of the interface of `web`; the binary gives it the transports.
    (
        "gateway",
        &["schemas", "exchange", "requests", "runtime", "traces", "web"],
    ),
    // The library with which an insurer's own programs send requests, on the level of a service.
    (
        "slacktide-client",
        &["schemas", "exchange", "requests", "nats", "web"],
    ),
    ("slacktide", PARTS),
    // Tests of the product may depend on all of it; the harness depends on none of it.
    ("harness", &[]),
    ("flow", TESTED),
    ("bench", TESTED),
];

const PARTS: &[&str] = &[
    "schemas",
    "exchange",
    "gate",
    "recordings",
    "priority",
    "source",
    "store",
    "runtime",
    "servers",
    "disclosure",
    "reconciliation",
    "requests",
    "reporting",
    "nats",
    "web",
    "traces",
    "verification",
    "social",
    "commercial",
    "audit",
    "gateway",
    "slacktide-console",
    "slacktide-client",
];

const TESTED: &[&str] = &[
    "schemas",
    "exchange",
    "gate",
    "recordings",
    "priority",
    "source",
    "store",
    "runtime",
    "servers",
    "disclosure",
    "reconciliation",
    "requests",
    "reporting",
    "nats",
    "web",
    "traces",
    "social",
    "commercial",
    "audit",
    "gateway",
    "slacktide-console",
    "slacktide-client",
    "verification",
    "exchange-testing",
    "harness",
];

/// Libraries that only these crates may depend on.
const RESERVED: &[(&str, &[&str])] = &[
    ("async-nats", &["nats"]),
    ("opentelemetry", &["traces"]),
    ("opentelemetry_sdk", &["traces"]),
    ("opentelemetry-otlp", &["traces"]),
    // The binary creates the demo's core with rusqlite; the harness and the tests act as the other side.
    ("rusqlite", &["source", "store", "slacktide", "flow", "bench"]),
    (
        "tokio-postgres",
        &["servers", "source", "store", "harness", "flow", "bench"],
    ),
];

/// Libraries that these crates may use in their own tests, to act as another program that writes into the outbox.
const IN_TESTS: &[(&str, &[&str])] = &[("rusqlite", &["commercial"])];

/// Libraries that a crate may not depend on at all: messages and decisions have no IO.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("schemas", IO),
    ("disclosure", IO),
    ("reconciliation", IO),
    ("requests", IO),
    ("verification", IO),
];

const IO: &[&str] = &["tokio", "axum", "rusqlite", "tokio-postgres", "async-nats"];

/// The crates that any other may use in its own tests, and no part of the product outside of them.
const FOR_TESTS: &[&str] = &["harness", "exchange-testing", "store-testing"];

struct Edge {
    from: String,
    to: String,
    for_tests: bool,
    inside: bool,
}

fn violation(edge: &Edge) -> Option<String> {
    let Edge { from, to, .. } = edge;
    let listed = |table: &[(&str, &'static [&'static str])], key: &str| {
        table.iter().find(|(name, _)| *name == key).map(|(_, list)| *list)
    };
    if edge.inside {
        let Some(allowed) = listed(EDGES, from) else {
            return Some(format!("{from} is not listed in the dependency rules"));
        };
        let tests_itself = edge.for_tests && FOR_TESTS.contains(&to.as_str());
        if !allowed.contains(&to.as_str()) && !tests_itself {
            return Some(format!("{from} must not depend on {to}"));
        }
    }
    let is_allowed_in_tests =
        edge.for_tests && listed(IN_TESTS, to).is_some_and(|users| users.contains(&from.as_str()));
    if !is_allowed_in_tests && listed(RESERVED, to).is_some_and(|users| !users.contains(&from.as_str())) {
        return Some(format!("{from} must not name {to}"));
    }
    if listed(FORBIDDEN, from).is_some_and(|names| names.contains(&to.as_str())) {
        return Some(format!("{from} must not name {to}"));
    }
    None
}

/// Returns the packages of the workspace.
///
/// The metadata are read as plain JSON: a library for them would enable a feature of serde_json that the product does not, so that
/// Cargo would compile the whole workspace once for the programs and once more for the tests.
pub(crate) fn packages() -> Vec<Package> {
    metadata().packages
}

/// Returns every dependency of the workspace's crates, and asserts that each crate is listed, also one without dependencies.
fn edges() -> Vec<Edge> {
    let inside: BTreeMap<_, _> = packages()
        .into_iter()
        .map(|package| (package.name, package.dependencies))
        .collect();
    let mut edges = Vec::new();
    for (from, dependencies) in &inside {
        for dependency in dependencies {
            edges.push(Edge {
                from: from.clone(),
                to: dependency.name.clone(),
                for_tests: dependency.kind.as_deref() == Some("dev"),
                inside: inside.contains_key(&dependency.name),
            });
        }
        assert!(
            EDGES.iter().any(|(name, _)| name == from),
            "{from} is not listed in the dependency rules"
        );
    }
    edges
}

fn metadata() -> Metadata {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let listed = Command::new(cargo)
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--manifest-path",
        ])
        .arg(harness::workspace().join("Cargo.toml"))
        .output()
        .expect("cargo runs");
    assert!(
        listed.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&listed.stderr)
    );
    serde_json::from_slice(&listed.stdout).expect("cargo metadata prints JSON")
}

/// What is used of the output of `cargo metadata`.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

/// A crate of the workspace.
#[derive(Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    dependencies: Vec<Dependency>,
    targets: Vec<Target>,
}

impl Package {
    /// Returns the root files of its library and programs.
    pub(crate) fn product_roots(&self) -> impl Iterator<Item = &Path> {
        let is_product = |target: &&Target| target.kind.iter().any(|kind| kind == "lib" || kind == "bin");
        self.targets
            .iter()
            .filter(is_product)
            .map(|target| target.src_path.as_path())
    }
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `None` for a normal dependency, else `dev` or `build`.
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
    src_path: PathBuf,
}

#[test]
fn workspace_dependencies_are_all_allowed() {
    let edges = edges();
    let found = |from: &str, to: &str| edges.iter().any(|edge| edge.from == from && edge.to == to);
    assert!(
        found("social", "exchange") && found("nats", "async-nats"),
        "the edges were not read"
    );
    let violations: Vec<_> = edges.iter().filter_map(violation).collect();
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn test_crates_are_no_part_of_the_product() {
    let product: Vec<&str> = PARTS
        .iter()
        .copied()
        .chain(["slacktide", "slacktide-idle-helper", "slacktide-verify"])
        .collect();
    for test_crate in FOR_TESTS {
        let users: Vec<Edge> = edges()
            .into_iter()
            .filter(|edge| edge.to == *test_crate)
            .collect();
        assert!(
            users.iter().any(|edge| edge.for_tests),
            "no crate uses {test_crate}"
        );
        let of_product = users
            .iter()
            .find(|edge| !edge.for_tests && product.contains(&edge.from.as_str()));
        assert!(
            of_product.is_none(),
            "{} contains {test_crate}",
            of_product.map_or("", |edge| &edge.from)
        );
    }
}

#[test]
fn dependency_rules_detect_each_violation() {
    let edge = |from: &str, to: &str, for_tests, inside| {
        violation(&Edge {
            from: from.into(),
            to: to.into(),
            for_tests,
            inside,
        })
    };
    let inside = |from, to| edge(from, to, false, true);
    let outside = |from, to| edge(from, to, false, false);
    assert_eq!(
        inside("social", "commercial").unwrap(),
        "social must not depend on commercial"
    );
    assert_eq!(
        inside("social", "nats").unwrap(),
        "social must not depend on nats"
    );
    assert_eq!(
        inside("exchange", "nats").unwrap(),
        "exchange must not depend on nats"
    );
    assert_eq!(
        inside("newcomer", "schemas").unwrap(),
        "newcomer is not listed in the dependency rules"
    );
    assert_eq!(
        outside("commercial", "async-nats").unwrap(),
        "commercial must not name async-nats"
    );
    assert_eq!(
        outside("social", "tokio-postgres").unwrap(),
        "social must not name tokio-postgres"
    );
    assert_eq!(
        outside("schemas", "tokio").unwrap(),
        "schemas must not name tokio"
    );
    // The harness is for tests; tests have no other privilege.
    assert!(inside("source", "harness").is_some());
    assert!(edge("source", "harness", true, true).is_none());
    assert!(inside("commercial", "exchange-testing").is_some());
    assert!(inside("slacktide", "exchange-testing").is_some());
    assert!(edge("commercial", "exchange-testing", true, true).is_none());
    assert!(inside("commercial", "store-testing").is_some());
    assert!(edge("commercial", "store-testing", true, true).is_none());
    assert!(edge("social", "store", true, true).is_some());
    assert!(edge("social", "rusqlite", true, false).is_some());
    assert!(outside("source", "rusqlite").is_none());
    assert!(edge("commercial", "rusqlite", true, false).is_none());
    assert!(outside("commercial", "rusqlite").is_some());
}

/// The demo is one of the commands: it uses the product, and only the dispatch of the commands names it.
#[test]
fn product_imports_nothing_from_the_demo() {
    let root = harness::workspace().join("services/slacktide/src");
    let of_demo = [root.join("demo"), root.join("demo.rs")];
    let mut folders = vec![root.clone()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of the sources") {
            let path = entry.expect("readable").path();
            if of_demo.contains(&path) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let text = std::fs::read_to_string(&path).expect("a source");
            assert!(
                !text.contains("crate::demo"),
                "{} imports from the demo",
                path.display()
            );
        }
    }
    assert!(files > 50, "{files} files");
}
