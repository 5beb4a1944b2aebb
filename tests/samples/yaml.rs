//! compose.yml as Docker reads it: merges applied, variables of `.env` filled in.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use harness::workspace;
use serde_yaml_ng::Value;

pub(super) type Env = BTreeMap<String, String>;

/// Returns the file with the variables of a folder's `.env`. A variable that is in neither is an error, as with `:?`.
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
        let (name, message) = inside.split_once(":?").unwrap_or((inside, ""));
        assert!(
            !message.is_empty(),
            "{name} may be missing without a word: write ${{{name}:?…}}"
        );
        filled.push_str(before);
        filled.push_str(known.get(name).unwrap_or_else(|| panic!("{name} is not in .env")));
        rest = behind;
    }
    filled.push_str(rest);
    let mut value: Value = serde_yaml_ng::from_str(&filled).unwrap();
    value.apply_merge().unwrap();
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
            assert!(
                !value.contains("/run/secrets/") || name.ends_with("_FILE"),
                "{service}: {value} is no secret of it"
            );
            (name, value)
        })
        .collect()
}
