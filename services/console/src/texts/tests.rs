//! Both languages are complete, and every key is used.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::*;

/// Keys whose last part is a value of another program; the sources name their beginning.
const BY_VALUE: &[&str] = &[
    "state.",
    "role.",
    "party.",
    "page.",
    "gate.state.",
    "order.",
    "request.state.",
];

fn keys(files: &[&'static str]) -> BTreeMap<&'static str, BTreeSet<String>> {
    let mut keys = BTreeMap::new();
    for (key, text) in lines(files) {
        let placeholders = text.split('{').skip(1).filter_map(|part| part.split_once('}'));
        let names = placeholders.map(|(name, _)| name.to_owned()).collect();
        assert!(keys.insert(key, names).is_none(), "{key} is there twice");
        assert!(!text.is_empty(), "{key} has no text");
    }
    keys
}

/// Returns the sources and templates of the crate in one text.
fn sources() -> String {
    let mut text = String::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src"), root.join("templates")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path != root.join("src/texts/tests.rs") {
                let source = std::fs::read_to_string(path).unwrap();
                let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
                code.for_each(|line| {
                    text.push_str(line);
                    text.push('\n');
                });
            }
        }
    }
    text
}

#[test]
fn texts_of_both_languages_have_the_same_keys() {
    let (en, zh) = (keys(&EN), keys(&ZH));
    for (key, names) in &en {
        assert_eq!(zh.get(key), Some(names), "{key}");
    }
    assert_eq!(
        en.len(),
        zh.len(),
        "{:?}",
        zh.keys().filter(|key| !en.contains_key(*key)).collect::<Vec<_>>()
    );
}

#[test]
fn texts_are_each_used() {
    let sources = sources();
    for key in keys(&EN).keys() {
        let is_by_value = BY_VALUE
            .iter()
            .any(|start| key.starts_with(start) && sources.contains(start));
        assert!(
            is_by_value || sources.contains(&format!("\"{key}\"")),
            "{key} is used nowhere"
        );
    }
}

#[test]
fn texts_used_by_the_sources_exist() {
    let (sources, keys) = (sources(), keys(&EN));
    for call in ["texts.get(\"", "texts.with(\""] {
        for (position, _) in sources.match_indices(call) {
            let key = sources[position + call.len()..].split('"').next().unwrap();
            assert!(keys.contains_key(key), "{key} has no text");
        }
    }
}

#[test]
fn texts_in_chinese_are_chinese() {
    let english: BTreeMap<&str, &str> = lines(&EN).collect();
    // Names and units that are the same in both.
    const SAME: &[&str] = &["app.name"];
    for (key, text) in lines(&ZH) {
        let is_chinese = text
            .chars()
            .any(|character| ('\u{4e00}'..='\u{9fff}').contains(&character));
        assert!(
            is_chinese || SAME.contains(&key) || english[key] != text,
            "{key} = {text}"
        );
    }
}

#[test]
fn texts_placeholders_are_replaced_once() {
    let texts = Texts(Language::En);
    let text = texts.with("age.ago", &[("age", "{age}")]);
    assert_eq!(text, "{age} ago");
}

#[test]
fn language_is_the_first_known_of_the_header() {
    assert_eq!(Language::accepted("zh-CN,zh;q=0.9,en;q=0.8"), Language::Zh);
    assert_eq!(Language::accepted("fr, EN-us"), Language::En);
    assert_eq!(Language::accepted(""), Language::En);
    assert_eq!(Language::accepted("é,zh"), Language::Zh);
}
