//! Modules form no cycles, except those of a module with its own descendants, checked on the source of every crate of the
//! product.
//!
//! A part that can be read alone can be tested and moved alone. The compiler accepts any cycle of modules, so this test
//! reads the paths in the source.
//!
//! | module | what |
//! |---|---|
//! | `source` | the modules of a crate, and which module uses which |
//! | `graph` | PURE: cycles in that graph |

mod graph;
mod source;

use std::collections::BTreeMap;

use crate::dependencies::{Package, packages};

/// Crates that are not part of the product.
const NOT_PRODUCT: &[&str] = &["harness", "flow", "bench"];

/// Returns the cycles of a crate's libraries and programs, described.
fn cycles(package: &Package) -> Vec<String> {
    let mut cycles = Vec::new();
    for root in package.product_roots() {
        let graph = source::graph(root);
        assert!(!graph.is_empty(), "{}: no module was read", root.display());
        for cycle in graph::forbidden_cycles(&graph) {
            cycles.push(format!(
                "  a cycle of {} modules:\n{}",
                cycle.len(),
                graph::describe(&cycle, &graph)
            ));
        }
    }
    cycles
}

#[test]
fn module_cycles_are_of_ancestors_only() {
    let found: BTreeMap<String, Vec<String>> = packages()
        .iter()
        .filter(|package| !NOT_PRODUCT.contains(&package.name.as_str()))
        .map(|package| (package.name.clone(), cycles(package)))
        .collect();
    assert!(
        found.contains_key("gate") && found.contains_key("slacktide"),
        "the crates were not read: {found:?}"
    );
    let mut violations = Vec::new();
    for (name, cycles) in &found {
        eprintln!("{name}: {} cycles of modules", cycles.len());
        if !cycles.is_empty() {
            violations.push(format!("{name}:\n{}", cycles.join("\n")));
        }
    }
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}
