//! Refuses JSON objects with duplicate keys.
//!
//! Readers disagree about such an object: one uses the first value, another the last. A signed message, or a file that a
//! person reviewed, must have one meaning.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Checks that no object in a JSON text has a duplicate key, at any depth.
///
/// # Errors
/// When a key is duplicated or the text is not JSON. The error has the position but not the key, which may be
/// confidential.
pub fn check_unique_keys(text: &[u8]) -> Result<(), serde_json::Error> {
    serde_json::from_slice::<Unique>(text).map(|_| ())
}

/// Any JSON value without duplicate keys.
struct Unique;

#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Values)
    }
}

struct Values;

impl<'de> Visitor<'de> for Values {
    type Value = Unique;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without duplicate keys")
    }

    fn visit_unit<E>(self) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_str<E>(self, _: &str) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Unique, A::Error> {
        while values.next_element::<Unique>()?.is_some() {}
        Ok(Unique)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Unique, A::Error> {
        let mut keys: Vec<Cow<'de, str>> = Vec::new();
        while let Some((Key(key), Unique)) = entries.next_entry()? {
            keys.push(key);
        }
        keys.sort_unstable();
        if keys.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(A::Error::custom("duplicate key in an object"));
        }
        Ok(Unique)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unique_duplicate_key_at_any_depth_is_refused() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"[null,{"b":{"c":[true,{"d":1.5,"e":"","d":-1}]}}]"#,
        ] {
            let error = check_unique_keys(text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with("duplicate key in an object"), "{text}: {error}");
        }
    }

    #[test]
    fn unique_other_json_passes_and_invalid_json_fails() {
        for text in [
            "null",
            r#"{"a":{"a":[{"a":1},{"a":1}]},"b":18446744073709551615}"#,
            r#"["a","a"]"#,
        ] {
            assert!(check_unique_keys(text.as_bytes()).is_ok(), "{text}");
        }
        assert!(check_unique_keys(b"{\"a\":").is_err());
        // Nesting that would exhaust the stack is an error, too.
        assert!(check_unique_keys("[".repeat(100_000).as_bytes()).is_err());
    }
}
