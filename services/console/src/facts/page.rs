//! PURE: values of an agent's status document. A missing or unexpected field is absent, never an error: agents of other
//! versions report other fields.

use jiff::Timestamp;
use serde_json::{Map, Value};

/// Returns a text by its path; `None` if it is missing or empty.
#[must_use]
pub fn text<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    value.pointer(path)?.as_str().filter(|text| !text.is_empty())
}

/// Returns a time by its path.
#[must_use]
pub fn time(value: &Value, path: &str) -> Option<Timestamp> {
    text(value, path)?.parse().ok()
}

/// Returns a count by its path.
#[must_use]
pub fn count(value: &Value, path: &str) -> Option<u64> {
    value.pointer(path)?.as_u64()
}

/// Returns an integer by its path.
#[must_use]
pub fn integer(value: &Value, path: &str) -> Option<i64> {
    value.pointer(path)?.as_i64()
}

/// Returns whether a flag is set.
#[must_use]
pub fn is_set(value: &Value, path: &str) -> bool {
    value.pointer(path).and_then(Value::as_bool).unwrap_or(false)
}

/// Returns the entries of an object by its path.
pub fn entries<'a>(value: &'a Value, path: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    let object: Option<&'a Map<String, Value>> = value.pointer(path).and_then(Value::as_object);
    object.into_iter().flatten()
}
