//! compose.yml as Docker reads it: merges applied, variables of `.env` filled in.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use harness::workspace;
use serde_yaml_ng::Value;

pub(super) type Env = BTreeMap<String, String>;

/// Returns the file with the variables of a folder's `.env`, or their defaults. A variable without both is an error, as with `:?`.
pub(super) fn read(folder: &Path) -> Value {
    let text = fs::read_to_string(workspace().join("compose.yml")).unwrap();
    let env = fs::read_to_string(folder.join(".env")).unwrap();
    let known: Env = env
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut filled = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("${") {
        let (inside, behind) = after.split_once('}').unwrap();
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside.split_once(":?").map_or(inside, |(name, _)| name), None),
        };
        assert!(
            default.is_some() || inside.contains(":?"),
            "{name} may be missing without a word: write ${{{name}:?…}}, or ${{{name}:-default}}"
        );
        filled.push_str(before);
        let value = known.get(name).map(String::as_str).or(default);
        filled.push_str(value.unwrap_or_else(|| panic!("{name} is not in .env")));
        rest = behind;
    }
    filled.push_str(rest);
    let mut value: Value = serde_yaml_ng::from_str(&filled).unwrap();
    // Once for each level: what a service merges has merges of its own.
    for _ in 0..2 {
        value.apply_merge().unwrap();
    }
    value
}

pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        other => panic!("no text: {other:?}"),
    }
}

pub(super) fn list(value: &Value) -> Vec<String> {
    value.as_sequence().into_iter().flatten().map(text).collect()
}

pub(super) fn names(value: &Value) -> Vec<String> {
    value
        .as_mapping()
        .into_iter()
        .flatten()
        .map(|(name, _)| text(name))
        .collect()
}

/// Returns a folder or file that a service mounts: secrets are in `folder`, the others in the workspace.
pub(super) fn mounted(from: &str, folder: &Path) -> PathBuf {
    if from.starts_with("secrets/") {
        folder.join(from)
    } else {
        workspace().join(from)
    }
}

/// Returns the environment of a service; files of secrets are in `folder`.
pub(super) fn env(compose: &Value, service: &str, folder: &Path) -> Env {
    let secrets = &compose["secrets"];
    let table = &compose["services"][service]["environment"];
    names(table)
        .into_iter()
        .map(|name| {
            let mut value = text(&table[name.as_str()]);
            for secret in list(&compose["services"][service]["secrets"]) {
                let file = folder.join(text(&secrets[secret.as_str()]["file"]));
                value = value.replace(
                    &format!("\"/run/secrets/{secret}\""),
                    &format!("\"{}\"", file.display()),
                );
            }
            // Folders that are mounted.
            for mount in list(&compose["services"][service]["volumes"]) {
                if let Some((from, to)) = mount.trim_end_matches(":ro").split_once(':')
                    && let Some(from) = from.strip_prefix("./")
                {
                    let from = mounted(from, folder).display().to_string();
                    value = value.replace(&format!("{to}/"), &format!("{from}/"));
                }
            }
            assert!(
                !value.contains("/run/secrets/") || name.ends_with("_FILE"),
                "{service}: {value} is no secret of it"
            );
            (name, value)
        })
        .collect()
}
