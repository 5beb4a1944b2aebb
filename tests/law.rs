//! The dependency law, over `cargo metadata`: schemas <- crates <- nats <- services.
//!
//! The services never know each other nor the transport: they see the exchange port, and the binary composes them. So
//! every edge inside the workspace is listed here, and a crate that is not listed is refused until somebody has
//! placed it. Libraries that would let a part reach around its neighbours are named too.

use cargo_metadata::{DependencyKind, MetadataCommand};
use std::collections::BTreeMap;

/// What each crate of the workspace may depend on there.
const EDGES: &[(&str, &[&str])] = &[
    ("schemas", &[]),
    ("exchange", &["schemas"]),
    // Configuration is read by the runtime, so the parts that have some take its lengths of time from there.
    ("runtime", &["schemas"]),
    // How a PostgreSQL server is reached, the same for both sides; it knows nothing of the product.
    ("servers", &[]),
    ("gate", &["schemas", "runtime"]),
    // It runs as root in a process of its own: it knows nothing of the product.
    ("priority", &[]),
    ("source", &["schemas", "gate", "runtime", "servers"]),
    ("store", &["schemas", "runtime", "servers"]),
    // Every decision about data requests, without IO; its configuration has lengths of time.
    ("requests", &["schemas", "runtime"]),
    ("nats", &["schemas", "exchange"]),
    (
        "social",
        &["schemas", "exchange", "gate", "source", "requests", "runtime"],
    ),
    (
        "commercial",
        &["schemas", "exchange", "store", "requests", "runtime"],
    ),
    ("audit", &["schemas", "exchange", "runtime"]),
    // What an insurer's own programs ask with: it stands where a service does.
    ("slacktide-client", &["schemas", "exchange", "requests", "nats"]),
    ("slacktide", PARTS),
    // What tests the product may see all of it; what starts servers for it sees none.
    ("harness", &[]),
    ("flow", TESTED),
    ("bench", TESTED),
];

const PARTS: &[&str] = &[
    "schemas",
    "exchange",
    "gate",
    "priority",
    "source",
    "store",
    "runtime",
    "servers",
    "requests",
    "nats",
    "social",
    "commercial",
    "audit",
    "slacktide-client",
];

const TESTED: &[&str] = &[
    "schemas",
    "exchange",
    "gate",
    "priority",
    "source",
    "store",
    "runtime",
    "servers",
    "requests",
    "nats",
    "social",
    "commercial",
    "audit",
    "slacktide-client",
    "harness",
];

/// Libraries that only these may name.
const RESERVED: &[(&str, &[&str])] = &[
    ("async-nats", &["nats"]),
    // The binary makes the demo's core with rusqlite; the harness and the tests speak for the other side.
    ("rusqlite", &["source", "store", "slacktide", "flow", "bench"]),
    (
        "tokio-postgres",
        &["servers", "source", "store", "harness", "flow", "bench"],
    ),
];

/// Libraries that these may name in their own tests, for another: a program that writes into the outbox.
const IN_TESTS: &[(&str, &[&str])] = &[("rusqlite", &["commercial"])];

/// What a crate may not name at all: messages and decisions have no IO.
const FORBIDDEN: &[(&str, &[&str])] = &[("schemas", IO), ("requests", IO)];

const IO: &[&str] = &["tokio", "axum", "rusqlite", "tokio-postgres", "async-nats"];

/// The one crate that any other may use for its own tests.
const FOR_TESTS: &str = "harness";

struct Edge {
    from: String,
    to: String,
    for_tests: bool,
    inside: bool,
}

fn breach(edge: &Edge) -> Option<String> {
    let Edge { from, to, .. } = edge;
    let listed = |table: &[(&str, &'static [&'static str])], key: &str| {
        table.iter().find(|(name, _)| *name == key).map(|(_, list)| *list)
    };
    if edge.inside {
        let Some(allowed) = listed(EDGES, from) else {
            return Some(format!("{from} has no place in the law"));
        };
        let tests_itself = edge.for_tests && to == FOR_TESTS;
        if !allowed.contains(&to.as_str()) && !tests_itself {
            return Some(format!("{from} must not depend on {to}"));
        }
    }
    let speaks_for_another =
        edge.for_tests && listed(IN_TESTS, to).is_some_and(|users| users.contains(&from.as_str()));
    if !speaks_for_another && listed(RESERVED, to).is_some_and(|users| !users.contains(&from.as_str())) {
        return Some(format!("{from} must not name {to}"));
    }
    if listed(FORBIDDEN, from).is_some_and(|names| names.contains(&to.as_str())) {
        return Some(format!("{from} must not name {to}"));
    }
    None
}

/// Every edge from a crate of the workspace; a crate without any still has one to itself, so that it must be placed.
fn edges() -> Vec<Edge> {
    let manifest = harness::workspace().join("Cargo.toml");
    let metadata = MetadataCommand::new()
        .manifest_path(manifest)
        .no_deps()
        .exec()
        .expect("cargo tells what the workspace is made of");
    let inside: BTreeMap<_, _> = metadata
        .packages
        .iter()
        .map(|package| (package.name.to_string(), package))
        .collect();
    let mut edges = Vec::new();
    for (from, package) in &inside {
        for dependency in &package.dependencies {
            edges.push(Edge {
                from: from.clone(),
                to: dependency.name.clone(),
                for_tests: dependency.kind == DependencyKind::Development,
                inside: inside.contains_key(&dependency.name),
            });
        }
        assert!(
            EDGES.iter().any(|(name, _)| name == from),
            "{from} has no place in the law"
        );
    }
    edges
}

#[test]
fn the_workspace_keeps_the_law() {
    let edges = edges();
    let found = |from: &str, to: &str| edges.iter().any(|edge| edge.from == from && edge.to == to);
    assert!(
        found("social", "exchange") && found("nats", "async-nats"),
        "the edges were not read"
    );
    let breaches: Vec<_> = edges.iter().filter_map(breach).collect();
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn the_law_sees_a_breach() {
    let edge = |from: &str, to: &str, for_tests, inside| {
        breach(&Edge {
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
        "newcomer has no place in the law"
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
    // The harness is for tests, and tests have no other privilege.
    assert!(inside("source", "harness").is_some());
    assert!(edge("source", "harness", true, true).is_none());
    assert!(edge("social", "store", true, true).is_some());
    assert!(edge("social", "rusqlite", true, false).is_some());
    assert!(outside("source", "rusqlite").is_none());
    assert!(edge("commercial", "rusqlite", true, false).is_none());
    assert!(outside("commercial", "rusqlite").is_some());
}
