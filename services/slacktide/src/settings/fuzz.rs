//! Fuzz tests: files and variables of any content are read or refused without a panic.
//!
//! TOML's grammar refuses random bytes, so the shipped samples are changed as well: characters replaced,
//! inserted and cut off; any part of the tree replaced; any key overridden. Accepted files pass through every
//! rule and are rendered.

use std::path::{Path, PathBuf};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use runtime::config::{self, Loaded, overrides};
use serde::Serialize;
use toml::{Table, Value};

use super::file::Validate;
use super::{CommercialFile, PartyFile, SocialFile};

/// The samples, and the other files that are read as TOML.
const FILES: [&str; 11] = [
    "config/social.toml",
    "config/commercial.toml",
    "config/admin.toml",
    "config/auditor.toml",
    "config/one-machine/social.toml",
    "config/one-machine/commercial.toml",
    "config/two-insurers/social.toml",
    "config/two-insurers/insurer-a.toml",
    "config/feeds/setl.toml",
    "config/kinds/setl_by_person.toml",
    "nats/streams/data.toml",
];

fn samples() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |name: &&str| std::fs::read_to_string(root.join(name)).unwrap_or_default();
    FILES.iter().map(read).collect()
}

fn read_as<T: Validate + Serialize>(text: &str, variables: &[(String, String)]) {
    let path = Path::new("file.toml");
    let overrides = overrides::from_variables(variables.iter().cloned());
    let loaded = match config::parse::<T>(path, text, &overrides) {
        Err(error) => return drop(error.to_string()),
        Ok(value) => Loaded {
            value,
            path: PathBuf::from(path),
            overrides,
        },
    };
    for violation in loaded.value.violations() {
        drop(violation.with_location(path, text));
    }
    let _ = config::show::show(&loaded);
}

/// Reads the text as every kind of file.
fn read_all_kinds(text: &str, variables: &[(String, String)]) {
    read_as::<SocialFile>(text, variables);
    read_as::<CommercialFile>(text, variables);
    read_as::<PartyFile>(text, variables);
    let _ = toml::from_str::<nats::topology::spec::StreamSpec>(text);
    let _ = toml::from_str::<nats::topology::spec::ConsumerSpec>(text);
}

/// Strings that some key accepts and others do not.
const TEXTS: &[&str] = &[
    "",
    " ",
    "0s",
    "18446744073709551615d",
    "1e400",
    "250ms",
    "-1",
    "00:00-24:00",
    "Mon-Sun 25:61",
    "postgres",
    "sqlite",
    "SELECT",
    "nats://",
    "postgres://a:b@/c?d=%",
    "\u{0}",
    "漢\u{202e}",
    "AAAA",
    "data.>",
    "60%",
    "../../..",
];

/// Any TOML value, including values that break arithmetic, names and dates.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        select(TEXTS).prop_map(|text| Value::String(text.to_owned())),
        "\\PC{0,30}".prop_map(Value::String),
        any::<i64>().prop_map(Value::Integer),
        select(vec![i64::MIN, -1, 0, 1, i64::MAX]).prop_map(Value::Integer),
        select(vec![f64::NAN, f64::INFINITY, -0.0, 1e308, -1.0]).prop_map(Value::Float),
        any::<bool>().prop_map(Value::Boolean),
        Just(Value::Table(Table::new())),
        Just(Value::Array(Vec::new())),
    ];
    leaf.prop_recursive(2, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::Array),
            vec(("[a-z_]{1,8}", inner), 0..3).prop_map(|all| Value::Table(all.into_iter().collect())),
        ]
    })
}

/// Collects the paths of all nodes of a tree except its root.
fn paths(tree: &Value, here: &[String], found: &mut Vec<Vec<String>>) {
    let mut go = |name: String, inner: &Value| {
        let path = [here, &[name]].concat();
        paths(inner, &path, found);
        found.push(path);
    };
    match tree {
        Value::Table(table) => table.iter().for_each(|(name, inner)| go(name.clone(), inner)),
        Value::Array(list) => list
            .iter()
            .enumerate()
            .for_each(|(at, inner)| go(at.to_string(), inner)),
        _ => {}
    }
}

fn part<'a>(tree: &'a mut Value, path: &[String]) -> Option<&'a mut Value> {
    path.iter().try_fold(tree, |here, name| match here {
        Value::Table(table) => table.get_mut(name),
        Value::Array(list) => list.get_mut(name.parse::<usize>().ok()?),
        _ => None,
    })
}

fn tree(text: &str) -> Option<(Value, Vec<Vec<String>>)> {
    let tree = Value::Table(text.parse().ok()?);
    let mut found = Vec::new();
    paths(&tree, &[], &mut found);
    Some((tree, found))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn fuzz_any_text_is_read_or_refused(text in prop_oneof!["\\PC{0,200}", "[a-z_.\\[\\]=\"'#{}\\n0-9-]{0,200}"]) {
        read_all_kinds(&text, &[]);
    }

    #[test]
    fn fuzz_changed_characters_are_read_or_refused(
        which in any::<Index>(), changes in vec((any::<Index>(), 0_usize..4, 0_usize..30, "\\PC{0,6}"), 1..6),
    ) {
        let all = samples();
        let mut text: Vec<char> = all[which.index(all.len())].chars().collect();
        for (position, change, length, new) in &changes {
            let start = position.index(text.len() + 1);
            let end = (start + length).min(text.len());
            match change {
                0 => drop(text.splice(start..start, new.chars())),
                1 => drop(text.splice(start..end, new.chars())),
                2 => drop(text.drain(start..end)),
                _ => text.truncate(start.max(1)),
            }
        }
        read_all_kinds(&String::from_iter(text), &[]);
    }

    #[test]
    fn fuzz_replaced_nodes_are_read_or_refused(
        which in any::<Index>(), changes in vec((any::<Index>(), value()), 1..3),
    ) {
        let all = samples();
        let Some((mut tree, paths)) = tree(&all[which.index(all.len())]) else {
            return Err(TestCaseError::fail("a sample is not TOML"));
        };
        for (at, new) in changes {
            if let Some(part) = part(&mut tree, &paths[at.index(paths.len())]) {
                *part = new;
            }
        }
        if let Ok(text) = toml::to_string(&tree) {
            read_all_kinds(&text, &[]);
        }
    }

    #[test]
    fn fuzz_any_overrides_are_read_or_refused(
        which in any::<Index>(), known in any::<Index>(), new in value(), name in "[A-Za-z0-9_]{0,30}", text in "\\PC{0,40}",
    ) {
        let all = samples();
        let sample = &all[which.index(all.len())];
        let Some((_, paths)) = tree(sample) else {
            return Err(TestCaseError::fail("a sample is not TOML"));
        };
        let known = format!("SLACKTIDE_{}", paths[known.index(paths.len())].join("__").to_uppercase());
        for value in [new.to_string(), text] {
            read_all_kinds(sample, &[(known.clone(), value.clone()), (format!("SLACKTIDE_{name}"), value)]);
        }
    }
}

/// Dropping a tree as deep as its text is long would overflow the stack.
#[test]
fn fuzz_deep_nesting_is_refused() {
    let many = 30_000;
    for text in [
        format!("a = {}", "[".repeat(many)),
        format!("a = {}", "{ a = ".repeat(many)),
        format!("a{} = 1", ".a".repeat(many)),
        format!("[a{}]", ".a".repeat(many)),
        format!("[[a{}]]", ".a".repeat(many)),
    ] {
        read_all_kinds(&text, &[]);
    }
    let deep = format!("SLACKTIDE_SOCIAL{}", "__A".repeat(many));
    for sample in samples() {
        read_all_kinds(&sample, &[(deep.clone(), "1".to_owned())]);
    }
    let value = format!("{}1{}", "[".repeat(many), "]".repeat(many));
    read_all_kinds(&samples()[0], &[("SLACKTIDE_SOCIAL__NAME".to_owned(), value)]);
}

#[test]
fn fuzz_samples_exist_and_are_read() {
    let all = samples();
    assert!(
        all.iter()
            .all(|text| tree(text).is_some_and(|(_, paths)| paths.len() > 3))
    );
    let parse = config::parse::<SocialFile>(Path::new("file.toml"), &all[0], &[]);
    assert!(parse.is_ok(), "{parse:?}");
}
