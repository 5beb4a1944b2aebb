//! PURE: replaces secrets, and numbers that could identify a person. The sources have none by design; this is the second line.

use serde_json::{Map, Value};

const SECRET: &str = "[secret]";
const NUMBER: &str = "[number]";
const ADDRESS: &str = "[address]";

/// The fewest characters of a seed of a key.
const MIN_SEED: usize = 40;

/// Words after which a value is a secret.
const NAMES: [&str; 6] = ["password", "passwd", "pwd", "secret", "seed", "token"];

/// Replaces secrets in text.
pub(super) fn secrets(text: &str) -> String {
    let text = without_private_keys(text);
    let text = without_passwords(&text);
    words(&text, |word| is_secret(word).then_some(SECRET))
}

/// Replaces secrets and personal numbers in the texts of a document. Its numbers are counts and stay.
pub(super) fn document(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(texts(text)),
        Value::Array(items) => Value::Array(items.iter().map(document).collect()),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| (texts(name), document(value)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

/// Replaces secrets and personal numbers in text.
pub(super) fn texts(text: &str) -> String {
    words(&secrets(text), |word| {
        if is_personal_number(word) {
            Some(NUMBER)
        } else {
            is_address(word).then_some(ADDRESS)
        }
    })
}

/// Replaces words, which are runs of the characters of tokens, keys and addresses.
fn words(text: &str, replacement: impl Fn(&str) -> Option<&'static str>) -> String {
    let is_word = |character: char| character.is_ascii_alphanumeric() || "_-+@.".contains(character);
    let mut result = String::with_capacity(text.len());
    let mut word = String::new();
    for character in text.chars().chain(['\0']) {
        if is_word(character) {
            word.push(character);
            continue;
        }
        result.push_str(replacement(&word).unwrap_or(&word));
        word.clear();
        if character != '\0' {
            result.push(character);
        }
    }
    result
}

/// A token of the gateway, or the seed of an nkey.
fn is_secret(word: &str) -> bool {
    let is_base32 = |byte: u8| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte);
    let is_seed = word.len() >= MIN_SEED && word.starts_with('S') && word.bytes().all(is_base32);
    is_seed || word.contains("stg_")
}

/// Whether a part of a word is an identity number of 15 or 18 characters, or the number of a mobile phone.
fn is_personal_number(word: &str) -> bool {
    word.split(['.', '-', '_', '+']).any(|part| {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let is_all_digits = digits == part.len();
        match part.len() {
            18 => is_all_digits || (digits == 17 && part.ends_with(['X', 'x'])),
            15 => is_all_digits,
            11 => is_all_digits && part.starts_with('1') && part.as_bytes().get(1) > Some(&b'2'),
            13 => is_all_digits && part.starts_with("861"),
            _ => false,
        }
    })
}

fn is_address(word: &str) -> bool {
    word.split_once('@')
        .is_some_and(|(name, host)| !name.is_empty() && host.contains('.'))
}

/// Removes PEM blocks of private keys.
fn without_private_keys(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(begin) = rest.find("-----BEGIN ") {
        let (before, block) = rest.split_at(begin);
        let end = block.find("-----END ");
        let end = end.and_then(|end| Some(end + block.get(end + 9..)?.find("-----")? + 14));
        let (block, after) = block.split_at(end.unwrap_or(block.len()).min(block.len()));
        result.push_str(before);
        result.push_str(if block.contains("PRIVATE KEY") {
            SECRET
        } else {
            block
        });
        rest = after;
    }
    result.push_str(rest);
    result
}

/// Removes `user:password@` of addresses, and what follows `password=` and the like.
fn without_passwords(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let mut line = line.to_owned();
        let mut from = 0;
        while let Some(found) = line[from..].find("://") {
            let begin = from + found + 3;
            let rest = &line[begin..];
            let end = rest
                .find(|c: char| c == '/' || c == '"' || c == '\'' || c == ',' || c.is_whitespace())
                .unwrap_or(rest.len());
            if let Some(at) = rest[..end].rfind('@') {
                line.replace_range(begin..begin + at, SECRET);
            }
            from = begin;
        }
        result.push_str(&without_named(&line));
    }
    result
}

/// Replaces the value after a name such as `password`, a sign and quotes.
fn without_named(line: &str) -> String {
    let lower = line.to_ascii_lowercase();
    for name in NAMES {
        let Some(begin) = lower.find(name) else { continue };
        let after = begin + name.len();
        let Some(rest) = line.get(after..) else { continue };
        let Some(sign) = rest.find(['=', ':']) else {
            continue;
        };
        let is_sign = rest[..sign]
            .chars()
            .all(|c| c.is_whitespace() || c == '"' || c == '\'');
        let value = &rest[sign + 1..];
        // A table of TOML names a file or a variable, and no secret.
        if !is_sign || value.trim().is_empty() || value.trim_start().starts_with('{') {
            continue;
        }
        let end = if line.ends_with('\n') { "\n" } else { "" };
        return format!("{}{} {SECRET}{end}", &line[..after], &rest[..=sign]);
    }
    line.to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn redact_removes_each_kind_of_secret() {
        let seed = format!("SU{}", "A".repeat(56));
        for (text, planted) in [
            ("Authorization: Bearer stg_abcDEF123", "stg_abcDEF123"),
            (seed.as_str(), seed.as_str()),
            ("nats://user:hunter2@host:4222/x", "hunter2"),
            ("host=db password=hunter2 user=x", "hunter2"),
            ("password = \"hunter2\"\n", "hunter2"),
            (
                "-----BEGIN PRIVATE KEY-----\nMIIhunter2\n-----END PRIVATE KEY-----",
                "MIIhunter2",
            ),
            ("-----BEGIN EC PRIVATE KEY-----\nMIIhunter2 cut off", "MIIhunter2"),
        ] {
            let clean = secrets(text);
            assert!(!clean.contains(planted), "{text}: {clean}");
            assert!(clean.contains(SECRET), "{text}: {clean}");
        }
    }

    #[test]
    fn redact_removes_numbers_of_persons_and_keeps_counts() {
        let clean = document(&json!({
            "error": "person 11010519491231002X, phone 13800138000, p-13900139000, mail li.na@example.org",
            "110105194912310021": "x",
            "bytes": 13_800_138_000_u64,
            "at": "2026-01-31T08:00:00Z",
            "lane": "insurer-a.claims",
        }));
        let text = clean.to_string();
        for planted in [
            "11010519491231002X",
            "\"13800138000",
            "li.na@",
            "110105194912310021",
        ] {
            assert!(!text.contains(planted), "{planted}: {text}");
        }
        for kept in ["13800138000", "2026-01-31T08:00:00Z", "insurer-a.claims"] {
            assert!(text.contains(kept), "{kept}: {text}");
        }
    }

    #[test]
    fn redact_keeps_what_is_no_secret() {
        for text in [
            "listen = \"127.0.0.1:8443\"\n",
            "seed = { file = \"/etc/slacktide/bureau.seed\" }\n",
            "tokens = \"/etc/slacktide/tokens.json\"\n",
            "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
            "url = \"nats://host:4222,nats://other:4222\"\n",
        ] {
            assert_eq!(secrets(text), text);
        }
    }
}
