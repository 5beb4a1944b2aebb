//! Validates the JSON of commands with the schemas in `schemas/cli/`.
//!
//! Only the keywords that the generator of these schemas writes are known. Any other one fails the test, so that nothing is
//! skipped silently.

use std::fs;
use std::time::Duration;

use harness::{run, slacktide};
use serde_json::{Map, Value};

/// Asserts that the output of a command line with JSON is valid: one object, or one on each line.
pub(crate) fn check(arguments: &[&str], stdout: &str) {
    let is_json =
        arguments.contains(&"--json") || arguments.windows(2).any(|pair| pair == ["--format", "json"]);
    if !is_json || stdout.trim().is_empty() {
        return;
    }
    let root = schema(arguments);
    let objects: Vec<Value> = match serde_json::from_str(stdout) {
        Ok(object) => vec![object],
        Err(_) => {
            let lines = stdout.lines().map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {line}"))
            });
            lines.collect()
        }
    };
    for object in &objects {
        if let Err(error) = validate(&root, &root, object, "") {
            panic!("{arguments:?}: {error}\n{object:#}");
        }
    }
}

/// Returns the schema of a command by its words, of which there are at most three.
fn schema(arguments: &[&str]) -> Value {
    let folder = harness::workspace().join("schemas/cli");
    let words = arguments.iter().take_while(|word| !word.starts_with('-'));
    let words: Vec<&str> = words.copied().take(3).collect();
    let text = (1..=words.len())
        .rev()
        .find_map(|count| fs::read_to_string(folder.join(format!("{}.json", words[..count].join("-")))).ok());
    let text = text.unwrap_or_else(|| panic!("no schema for {words:?}"));
    serde_json::from_str(&text).unwrap()
}

fn validate(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let Value::Object(keywords) = schema else {
        return if *schema == Value::Bool(true) {
            Ok(())
        } else {
            Err(format!("{at}: nothing is allowed here"))
        };
    };
    for (keyword, rule) in keywords {
        validate_keyword(root, (keywords, keyword, rule), value, at)?;
    }
    Ok(())
}

fn validate_keyword(
    root: &Value,
    (keywords, keyword, rule): (&Map<String, Value>, &str, &Value),
    value: &Value,
    at: &str,
) -> Result<(), String> {
    let fails = |what: &str| Err(format!("{at}: {value} is not valid: {what} {rule}"));
    let rules = || rule.as_array().into_iter().flatten();
    let matching = || {
        rules()
            .filter(|rule| validate(root, rule, value, at).is_ok())
            .count()
    };
    match keyword {
        "$schema" | "$defs" | "title" | "description" | "default" | "format" => Ok(()),
        "$ref" => {
            let pointer = rule.as_str().and_then(|name| name.strip_prefix('#')).unwrap();
            let target = root.pointer(pointer).unwrap_or_else(|| panic!("no {rule}"));
            validate(root, target, value, at)
        }
        "type" => {
            let names: Vec<&str> = match rule {
                Value::String(name) => vec![name],
                _ => rules().filter_map(Value::as_str).collect(),
            };
            let is_type = |name: &&str| has_type(name, value);
            if names.iter().any(is_type) {
                Ok(())
            } else {
                fails("type")
            }
        }
        "const" if value == rule => Ok(()),
        "enum" if rules().any(|one| one == value) => Ok(()),
        "anyOf" if matching() > 0 => Ok(()),
        "oneOf" if matching() == 1 => Ok(()),
        "const" | "enum" | "anyOf" | "oneOf" => fails(keyword),
        "minimum" | "maximum" => {
            let (Some(number), Some(limit)) = (value.as_f64(), rule.as_f64()) else {
                return Ok(());
            };
            let is_within = if keyword == "minimum" {
                number >= limit
            } else {
                number <= limit
            };
            if is_within { Ok(()) } else { fails(keyword) }
        }
        "pattern" => match value.as_str() {
            Some(text) if !matches(rule.as_str().unwrap(), text) => fails("pattern"),
            _ => Ok(()),
        },
        "required" => {
            let missing = rules()
                .filter_map(Value::as_str)
                .find(|name| value.get(name).is_none());
            missing.map_or(Ok(()), |name| Err(format!("{at}: {name} is missing in {value}")))
        }
        "items" => {
            let first = keywords
                .get("prefixItems")
                .and_then(Value::as_array)
                .map_or(0, Vec::len);
            let items = value.as_array().into_iter().flatten().skip(first);
            items
                .enumerate()
                .try_for_each(|(index, item)| validate(root, rule, item, &format!("{at}/{index}")))
        }
        "prefixItems" => {
            let items = value.as_array().into_iter().flatten();
            rules()
                .zip(items)
                .enumerate()
                .try_for_each(|(index, (rule, item))| validate(root, rule, item, &format!("{at}/{index}")))
        }
        "minItems" => {
            let is_enough = value
                .as_array()
                .is_none_or(|all| all.len() as u64 >= rule.as_u64().unwrap());
            if is_enough { Ok(()) } else { fails("minItems") }
        }
        "maxItems" => {
            let is_within = value
                .as_array()
                .is_none_or(|all| all.len() as u64 <= rule.as_u64().unwrap());
            if is_within { Ok(()) } else { fails("maxItems") }
        }
        "properties" => {
            let known = rule.as_object().unwrap().iter();
            let present = known.filter_map(|(name, rule)| Some((name, rule, value.get(name)?)));
            let mut present = present;
            present.try_for_each(|(name, rule, part)| validate(root, rule, part, &format!("{at}/{name}")))
        }
        "additionalProperties" => {
            let known = keywords.get("properties").and_then(Value::as_object);
            let others = value.as_object().into_iter().flatten();
            let mut others = others.filter(|(name, _)| !known.is_some_and(|known| known.contains_key(*name)));
            others.try_for_each(|(name, part)| validate(root, rule, part, &format!("{at}/{name}")))
        }
        _ => panic!("the keyword {keyword} is not known here: add it"),
    }
}

fn has_type(name: &str, value: &Value) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

/// Matches the patterns that the schemas use: times, and words of a small alphabet.
fn matches(pattern: &str, text: &str) -> bool {
    let is_word = |extra: &str| {
        text.chars()
            .all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
    };
    if pattern.contains("T\\d{2}") {
        let (date, time) = text.split_once('T').unwrap_or_default();
        return is_word("-:.") && date.len() >= 10 && time.len() == 13 && time.ends_with('Z');
    }
    !text.is_empty() && is_word("-_.")
}

/// Commands that need no server, on a site that the program itself creates.
#[tokio::test]
async fn cli_json_of_local_commands_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let command = async |arguments: &[&str]| {
        let mut command = slacktide();
        command.current_dir(folder.path()).args(arguments);
        let done = run(&arguments.join(" "), &mut command, Duration::from_secs(60)).await;
        check(arguments, &done.stdout);
        done
    };
    let made = command(&["keys", "site", "--out", "site"]).await;
    assert!(made.status.success(), "{}", made.stderr);
    for arguments in [
        &["keys", "new", "--json", "--out", "all"][..],
        &["keys", "new", "--json", "--only", "sign", "--out", "one"],
        &["exchange", "party", "list", "--json", "--dir", "site/exchange"],
        &["config", "show", "--json", "--config", "site/bureau/social.toml"],
        &[
            "config",
            "show",
            "--json",
            "--config",
            "site/insurer-a/commercial.toml",
        ],
        &[
            "doctor",
            "--offline",
            "--json",
            "--config",
            "site/bureau/social.toml",
        ],
        &["status", "--json", "--config", "site/bureau/social.toml"],
        &["feed", "list", "--json", "--config", "site/bureau/social.toml"],
    ] {
        let done = command(arguments).await;
        assert!(
            done.stdout.starts_with('{'),
            "{arguments:?}: {}{}",
            done.stdout,
            done.stderr
        );
    }
}

#[test]
fn cli_schema_refuses_what_a_schema_does_not_allow() {
    let schema = serde_json::json!({
        "type": "object", "required": ["items"], "properties": { "items": { "type": "array", "items": { "$ref": "#/$defs/A" } } },
        "$defs": { "A": { "anyOf": [{ "enum": ["a"] }, { "type": ["integer", "null"], "minimum": 1 }] } },
    });
    let is_valid = |value: Value| validate(&schema, &schema, &value, "").is_ok();
    assert!(is_valid(serde_json::json!({ "items": ["a", 1, null] })));
    for wrong in [
        serde_json::json!({}),
        serde_json::json!([]),
        serde_json::json!({ "items": ["b"] }),
        serde_json::json!({ "items": [0] }),
    ] {
        assert!(!is_valid(wrong.clone()), "{wrong}");
    }
}
