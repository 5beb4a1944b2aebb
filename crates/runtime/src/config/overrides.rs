//! PURE: overrides from the environment.

use toml::{Table, Value};

use super::ConfigError;

/// The prefix of all variables.
const PREFIX: &str = "SLACKTIDE_";

/// The separator of a table and its key. Every key is in a table, so a variable
/// without it (`SLACKTIDE_LOG`, or one that a test or a service manager sets) overrides nothing.
const SEPARATOR: &str = "__";

/// One key that a variable overrides. Its value is not shown in `Debug`.
#[derive(Clone, PartialEq)]
pub struct Override {
    /// The variable, `SLACKTIDE_GATE__HOLD`.
    pub variable: String,
    /// The key, `gate.hold`; a number is an index of a list, from 0.
    pub key: Vec<String>,
    value: Value,
}

impl std::fmt::Debug for Override {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Override")
            .field("variable", &self.variable)
            .finish_non_exhaustive()
    }
}

/// The overrides among these variables, in the order of their names.
pub fn from_variables(variables: impl IntoIterator<Item = (String, String)>) -> Vec<Override> {
    let mut overrides: Vec<Override> = variables
        .into_iter()
        .filter_map(|(variable, text)| {
            let key = variable.strip_prefix(PREFIX)?.to_lowercase();
            let key: Vec<String> = key.split(SEPARATOR).map(str::to_owned).collect();
            if key.len() < 2 {
                return None;
            }
            Some(Override {
                key,
                value: value(text),
                variable,
            })
        })
        .collect();
    overrides.sort_by(|a, b| a.variable.cmp(&b.variable));
    overrides
}

/// A TOML value where it is one, else a string: `7`, `true`, `["a"]`, but also `2s`.
fn value(text: String) -> Value {
    let parsed = format!("value = {text}").parse::<Table>().ok();
    // One line that made several keys is a text and no value.
    let parsed = parsed
        .filter(|table| table.len() == 1)
        .and_then(|mut table| table.remove("value"));
    parsed.unwrap_or(Value::String(text))
}

/// Maximum depth of a key. Dropping an arbitrarily deep tree would overflow the stack.
const MAX_PARTS: usize = 16;

impl Override {
    pub(super) fn apply(&self, table: &mut Table) -> Result<(), ConfigError> {
        let wrong = |what: String| ConfigError::Override {
            variables: self.variable.clone(),
            what,
        };
        let Some((last, above)) = self.key.split_last() else {
            return Ok(());
        };
        if self.key.len() > MAX_PARTS {
            return Err(wrong(format!("the key has more than {MAX_PARTS} parts")));
        }
        if self.key.iter().any(String::is_empty) {
            return Err(wrong("a part of the key is empty".to_owned()));
        }
        let (Some(first), rest) = (above.first(), above.get(1..).unwrap_or_default()) else {
            table.insert(last.clone(), self.value.clone());
            return Ok(());
        };
        let mut here = table
            .entry(first.clone())
            .or_insert_with(|| Value::Table(Table::new()));
        for part in rest {
            here = step(here, part)
                .ok_or_else(|| wrong(format!("there is no {part:?} in the file to override")))?;
        }
        let no_such = || wrong(format!("there is no place for {last:?} in the file"));
        match here {
            Value::Table(table) => {
                table.insert(last.clone(), self.value.clone());
            }
            Value::Array(list) => {
                let at: usize = last.parse().map_err(|_| no_such())?;
                *list.get_mut(at).ok_or_else(no_such)? = self.value.clone();
            }
            _ => return Err(no_such()),
        }
        Ok(())
    }
}

fn step<'a>(here: &'a mut Value, part: &str) -> Option<&'a mut Value> {
    match here {
        Value::Table(table) => Some(
            table
                .entry(part.to_owned())
                .or_insert_with(|| Value::Table(Table::new())),
        ),
        Value::Array(list) => list.get_mut(part.parse::<usize>().ok()?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_toml_where_they_can_be() {
        assert_eq!(value("7".to_owned()), Value::Integer(7));
        assert_eq!(value("true".to_owned()), Value::Boolean(true));
        assert_eq!(
            value("[\"a\"]".to_owned()),
            Value::Array(vec![Value::String("a".to_owned())])
        );
        for text in ["2s", "nats://a:1", "", "1\nother = 2", "a b"] {
            assert_eq!(value(text.to_owned()), Value::String(text.to_owned()));
        }
    }

    #[test]
    fn override_debug_output_hides_the_value() {
        let overrides = from_variables([("SLACKTIDE_A__B".to_owned(), "hush".to_owned())]);
        assert!(!format!("{overrides:?}").contains("hush"));
    }
}
