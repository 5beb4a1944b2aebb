//! The modules of the crate depend on each other in one direction.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

type Graph = BTreeMap<String, BTreeSet<String>>;

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path
            .file_name()
            .is_some_and(|name| name != "tests.rs" && name != "lib.rs")
        {
            found.push(path);
        }
    }
}

/// Returns the modules at the top that a source text names: `a` for `crate::a::b`. Comments and unit tests are left
/// out.
fn named(text: &str) -> BTreeSet<String> {
    let product = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let code = product
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let is_word = |sign: char| sign.is_ascii_alphanumeric() || sign == '_';
    code.flat_map(|line| line.split("crate::").skip(1))
        .map(|rest| rest.chars().take_while(|sign| is_word(*sign)).collect())
        .collect()
}

/// Returns a module that depends on itself through others.
fn cycle(graph: &Graph) -> Option<String> {
    let reached = |from: &String| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(module) = next.pop() {
            for to in graph.get(module).into_iter().flatten() {
                if seen.insert(to) {
                    next.push(to);
                }
            }
        }
        seen
    };
    graph
        .keys()
        .find(|module| reached(module).contains(module))
        .cloned()
}

#[test]
fn store_modules_have_no_cycle() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut graph = Graph::new();
    for file in &files {
        let inside = file.strip_prefix(&root).unwrap();
        let top = Path::new(inside.iter().next().unwrap()).with_extension("");
        let module = top.to_str().unwrap().to_owned();
        graph
            .entry(module)
            .or_default()
            .extend(named(&std::fs::read_to_string(file).unwrap()));
    }
    let modules: BTreeSet<String> = graph.keys().cloned().collect();
    for (module, named) in &mut graph {
        named.retain(|name| name != module && modules.contains(name));
    }
    assert!(
        graph["bookkeeping"].contains("record"),
        "the modules were not read: {graph:?}"
    );
    assert_eq!(cycle(&graph), None, "{graph:#?}");
}

#[test]
fn module_cycle_is_found() {
    let graph = |edges: &[(&str, &str)]| {
        let mut graph = Graph::new();
        for (from, to) in edges {
            graph
                .entry((*from).to_owned())
                .or_default()
                .insert((*to).to_owned());
        }
        graph
    };
    assert_eq!(cycle(&graph(&[("a", "b"), ("b", "c"), ("a", "c")])), None);
    assert_eq!(
        cycle(&graph(&[("a", "b"), ("b", "c"), ("c", "a")])),
        Some("a".to_owned())
    );
    let text =
        "use crate::port::{Store, Outcome};\n// crate::naming\n#[cfg(test)]\nmod tests { use crate::merge; }";
    assert_eq!(named(text), BTreeSet::from(["port".to_owned()]));
}
