//! PURE: cycles in a graph of modules.
//!
//! A module may use its descendants and they may use it: a parent names its children anyway. Every other cycle is a
//! violation, also one that passes through a parent on its way, such as `a -> a::b -> c -> a`.

use std::collections::{BTreeMap, BTreeSet};

/// The path of a module from the crate's root, which is empty.
pub(super) type Module = Vec<String>;

/// Which modules each module uses, and a path in its source that does.
pub(super) type Graph = BTreeMap<Module, BTreeMap<Module, String>>;

/// Returns the cycles in which no module is the ancestor of all others, each as the set of its modules.
pub(super) fn forbidden_cycles(graph: &Graph) -> Vec<BTreeSet<Module>> {
    let all = graph
        .iter()
        .flat_map(|(from, to)| std::iter::once(from).chain(to.keys()))
        .cloned()
        .collect();
    forbidden_among(graph, &all)
}

fn forbidden_among(graph: &Graph, modules: &BTreeSet<Module>) -> Vec<BTreeSet<Module>> {
    let mut forbidden = Vec::new();
    for mut component in components(graph, modules) {
        let ancestor = component
            .iter()
            .find(|one| component.iter().all(|other| other.starts_with(one)))
            .cloned();
        if component.len() < 2 {
            continue;
        }
        match ancestor {
            None => forbidden.push(component),
            // Cycles through this module are allowed; those among its descendants are still to be judged.
            Some(ancestor) => {
                component.remove(&ancestor);
                forbidden.extend(forbidden_among(graph, &component));
            }
        }
    }
    forbidden
}

/// Returns the strongly connected components: modules that reach each other (Kosaraju's algorithm).
fn components(graph: &Graph, modules: &BTreeSet<Module>) -> Vec<BTreeSet<Module>> {
    let mut users: BTreeMap<&Module, Vec<&Module>> = BTreeMap::new();
    let mut used: BTreeMap<&Module, Vec<&Module>> = BTreeMap::new();
    for (from, to) in graph.iter().filter(|(from, _)| modules.contains(*from)) {
        for to in to.keys().filter(|to| modules.contains(*to) && *to != from) {
            used.entry(from).or_default().push(to);
            users.entry(to).or_default().push(from);
        }
    }
    let mut finished = Vec::new();
    let mut seen = BTreeSet::new();
    for module in modules {
        visit(module, &used, &mut seen, &mut finished);
    }
    let mut seen = BTreeSet::new();
    let mut components = Vec::new();
    for module in finished.into_iter().rev() {
        let mut component = Vec::new();
        visit(module, &users, &mut seen, &mut component);
        if !component.is_empty() {
            components.push(component.into_iter().cloned().collect());
        }
    }
    components
}

/// Appends the modules that are reachable and not yet seen, each after those that it reaches.
fn visit<'a>(
    module: &'a Module,
    next: &BTreeMap<&'a Module, Vec<&'a Module>>,
    seen: &mut BTreeSet<&'a Module>,
    finished: &mut Vec<&'a Module>,
) {
    if !seen.insert(module) {
        return;
    }
    for to in next.get(module).into_iter().flatten() {
        visit(to, next, seen, finished);
    }
    finished.push(module);
}

/// Describes a cycle: its uses between modules of which neither is the other's ancestor.
pub(super) fn describe(cycle: &BTreeSet<Module>, graph: &Graph) -> String {
    let mut lines = Vec::new();
    for (from, to) in graph.iter().filter(|(from, _)| cycle.contains(*from)) {
        let other = |to: &&Module| cycle.contains(*to) && !to.starts_with(from) && !from.starts_with(to);
        for to in to.keys().filter(other) {
            let path = graph[from][to].as_str();
            lines.push(format!(
                "    {} uses {} by {path}",
                from.join("::"),
                to.join("::")
            ));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(path: &str) -> Module {
        path.split("::")
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect()
    }

    fn found(edges: &[(&str, &str)]) -> Vec<BTreeSet<Module>> {
        let mut graph = Graph::new();
        for (from, to) in edges {
            let uses = graph.entry(module(from)).or_default();
            uses.insert(module(to), format!("crate::{to}"));
        }
        forbidden_cycles(&graph)
    }

    #[test]
    fn module_cycle_of_parent_and_child_is_allowed() {
        assert!(found(&[("", "a"), ("a", "")]).is_empty());
        assert!(
            found(&[
                ("a", "a::b"),
                ("a::b", "a"),
                ("a", "a::c"),
                ("a::c", "a"),
                ("a::b", "a::c")
            ])
            .is_empty()
        );
        assert!(found(&[("a", "a::b"), ("a::b", "a::b::c"), ("a::b::c", "a")]).is_empty());
        assert!(found(&[("a", "b"), ("b", "c"), ("a", "c")]).is_empty());
    }

    #[test]
    fn module_cycle_between_siblings_is_found() {
        let expected = vec![BTreeSet::from([module("a"), module("b")])];
        assert_eq!(found(&[("a", "b"), ("b", "a"), ("b", "c")]), expected);
        // Their parent is in the same component, which must not hide it.
        assert_eq!(
            found(&[("", "a"), ("a", ""), ("a", "b"), ("b", "a"), ("b", "")]),
            expected
        );
        assert_eq!(found(&[("a", "b"), ("b", "c"), ("c", "a")]).len(), 1);
        assert_eq!(
            found(&[("a", "b"), ("b", "a"), ("c::d", "c::e"), ("c::e", "c::d")]).len(),
            2
        );
    }

    #[test]
    fn module_cycle_through_a_parent_is_found() {
        let cycles = found(&[("a", "a::b"), ("a::b", "c"), ("c", "a")]);
        assert_eq!(
            cycles,
            [BTreeSet::from([module("a"), module("a::b"), module("c")])]
        );
        assert!(found(&[("a::b", "c"), ("c", "a")]).is_empty());
    }
}
