//! The effective configuration, for people: defaults filled in, overrides named, no passwords.

use std::fmt::Write;

use serde::Serialize;
use toml::Value;

use super::Loaded;

/// Replaces a password.
const REDACTED: &str = "[redacted]";

/// Renders the configuration as TOML, after comments with its sources.
///
/// # Errors
/// When the configuration's type has a value that TOML cannot hold.
pub fn show<T: Serialize>(loaded: &Loaded<T>) -> Result<String, toml::ser::Error> {
    let mut value = Value::try_from(&loaded.value)?;
    redact(&mut value);
    // Writing into a string cannot fail.
    let mut text = format!("# from {}\n", loaded.path.display());
    for one in &loaded.overrides {
        let _ = writeln!(text, "# {} is overridden by {}", one.key.join("."), one.variable);
    }
    text.push_str(&toml::to_string_pretty(&value)?);
    Ok(text)
}

/// Redacts passwords in URLs and connection strings, and every value whose key names a secret.
pub fn redact(value: &mut Value) {
    match value {
        Value::String(text) => *text = without_password(text),
        Value::Array(list) => list.iter_mut().for_each(redact),
        Value::Table(table) => {
            for (key, value) in table.iter_mut() {
                if value.is_str() && ["password", "token", "seed"].contains(&key.as_str()) {
                    *value = Value::String(REDACTED.to_owned());
                }
                redact(value);
            }
        }
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {}
    }
}

/// A URL or a connection string without its password: for `show`, log lines and errors.
#[must_use]
pub fn without_password(text: &str) -> String {
    let mut shown = text.to_owned();
    if let Some(start) = text.find("://").map(|at| at + 3) {
        let end = text[start..]
            .find(['/', '?', '#'])
            .map_or(text.len(), |at| start + at);
        // The last `@`: a password may hold one that was not escaped.
        if let Some(at) = text[start..end].rfind('@').map(|at| start + at) {
            let user = text[start..at].split(':').next().unwrap_or("");
            if user.len() < at - start {
                shown = format!("{}{user}:{REDACTED}{}", &text[..start], &text[at..]);
            } else if !text.starts_with("postgres") {
                // A user without a password is a token to some servers.
                shown = format!("{}{REDACTED}{}", &text[..start], &text[at..]);
            }
        }
    }
    without_keyword(&shown)
}

/// Takes `password=…` out, in a connection string or in the query of a URL.
fn without_keyword(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let Some(at) = lower.find("password") else {
        return text.to_owned();
    };
    let behind = &text[at + "password".len()..];
    let Some(value) = behind.trim_start().strip_prefix('=').map(str::trim_start) else {
        return text.to_owned();
    };
    let start = text.len() - value.len();
    let length = if let Some(quoted) = value.strip_prefix('\'') {
        quoted_end(quoted) + 1
    } else {
        value.find([' ', '&']).unwrap_or(value.len())
    };
    let rest = value.get(length..).unwrap_or("");
    format!("{}{REDACTED}{}", &text[..start], without_keyword(rest))
}

/// Where a quoted text ends, its closing quote included; `\'` does not end it.
fn quoted_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if c == '\'' && !escaped {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn passwords_are_taken_out_wherever_they_are() {
        for (text, shown) in [
            ("postgres://u:hush@h/d", "postgres://u:[redacted]@h/d"),
            (
                "postgres://u:hu@sh@h:5/d?x=1",
                "postgres://u:[redacted]@h:5/d?x=1",
            ),
            ("postgres://u@h/d", "postgres://u@h/d"),
            ("nats://hush@h:4222", "nats://[redacted]@h:4222"),
            ("nats://h:4222", "nats://h:4222"),
            (
                "postgres://h/d?user=u&password=hush&x=1",
                "postgres://h/d?user=u&password=[redacted]&x=1",
            ),
            ("host=h password=hush user=u", "host=h password=[redacted] user=u"),
            (
                "host=h password = 'hu \\' sh' user=u",
                "host=h password = [redacted] user=u",
            ),
            ("SELECT password FROM t", "SELECT password FROM t"),
        ] {
            assert_eq!(without_password(text), shown);
        }
    }

    #[test]
    fn shows_where_it_came_from_and_no_secret() {
        let value = BTreeMap::from([("password", "hush"), ("url", "nats://u:hush@h")]);
        let overrides = super::super::overrides::from_variables([(
            "SLACKTIDE_EXCHANGE__URL".to_owned(),
            "hush".to_owned(),
        )]);
        let loaded = Loaded {
            value,
            path: "a.toml".into(),
            overrides,
        };
        let shown = show(&loaded).unwrap_or_default();
        assert!(
            shown.starts_with("# from a.toml\n# exchange.url is overridden by SLACKTIDE_EXCHANGE__URL\n"),
            "{shown}"
        );
        assert!(
            shown.contains("nats://u:[redacted]@h") && !shown.contains("hush"),
            "{shown}"
        );
    }
}
