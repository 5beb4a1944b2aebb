//! PURE: the digests of a row and of its key.

use schemas::column::{ColumnType, RowSchema};
use schemas::digest::Digest;
use schemas::key_digest::KeyDigest;
use schemas::value::Value;

use crate::form;

/// The digests of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digested {
    /// Of its key.
    pub key: KeyDigest,
    /// Of all its values.
    pub row: Digest,
}

/// A column that the rows do not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the rows have no column {0:?}")]
pub struct MissingColumn(pub String);

/// Computes the digests of rows with the same columns.
#[derive(Debug, Clone)]
pub struct RowDigester {
    salt: String,
    /// The places of all columns, sorted by name: tables may have them in another order.
    columns: Vec<(usize, ColumnType)>,
    names: Digest,
    key: Vec<(usize, ColumnType)>,
    money: Vec<usize>,
    day: Option<usize>,
    bytes: Vec<u8>,
}

impl RowDigester {
    /// Creates a digester for rows of `schema`, whose key is not empty. `money` and `day` name columns for sums and for the day; columns
    /// that the rows lack are left out.
    ///
    /// # Errors
    /// [`MissingColumn`] with a missing column of the key.
    pub fn new(
        schema: &RowSchema,
        salt: &str,
        money: &[String],
        day: Option<&str>,
    ) -> Result<Self, MissingColumn> {
        let place = |name: &String| {
            let place = schema.index_of(name);
            let column = place.and_then(|place| Some((place, schema.columns.get(place)?.kind.clone())));
            column.ok_or_else(|| MissingColumn(name.clone()))
        };
        let mut sorted: Vec<(&str, usize, &ColumnType)> = (schema.columns.iter().enumerate())
            .map(|(place, column)| (column.name.as_str(), place, &column.kind))
            .collect();
        sorted.sort_unstable_by_key(|(name, ..)| *name);
        let names: Vec<&str> = sorted.iter().map(|(name, ..)| *name).collect();
        Ok(Self {
            salt: salt.to_owned(),
            names: Digest::of(&[names.join("\0").as_bytes()]),
            columns: (sorted.iter())
                .map(|(_, place, kind)| (*place, (*kind).clone()))
                .collect(),
            key: schema.key.iter().map(place).collect::<Result<_, _>>()?,
            money: money.iter().filter_map(|name| schema.index_of(name)).collect(),
            day: day.and_then(|name| schema.index_of(name)),
            bytes: Vec::new(),
        })
    }

    /// Returns the digest of the columns' names: two sides can be compared only if they have the same.
    #[must_use]
    pub fn columns(&self) -> Digest {
        self.names
    }

    /// Returns the digest of a row's key.
    pub fn key(&mut self, row: &[Value<'_>]) -> KeyDigest {
        self.bytes.clear();
        for (place, kind) in &self.key {
            append(row, *place, &mut self.bytes, |value, out| {
                form::write_key(kind, value, out);
            });
        }
        KeyDigest::first_of(Digest::of(&[self.salt.as_bytes(), b"\0key\0", &self.bytes]))
    }

    /// Returns the digests of a row.
    pub fn row(&mut self, row: &[Value<'_>]) -> Digested {
        let key = self.key(row);
        self.bytes.clear();
        for (place, kind) in &self.columns {
            append(row, *place, &mut self.bytes, |value, out| {
                form::write_value(kind, value, out);
            });
        }
        Digested {
            key,
            row: Digest::of(&[self.salt.as_bytes(), b"\0row\0", &self.bytes]),
        }
    }

    /// Returns the values of the money columns, in their order.
    pub fn money<'a>(&'a self, row: &'a [Value<'a>]) -> impl Iterator<Item = Value<'a>> {
        let value = |place: &usize| row.get(*place).copied().unwrap_or(Value::Null);
        self.money.iter().map(value)
    }

    /// Returns the day of a row, `yyyy-mm-dd`; `None` if the column holds no time.
    #[must_use]
    pub fn day<'a>(&self, row: &'a [Value<'_>]) -> Option<&'a str> {
        let Value::Text(text) = row.get(self.day?)? else {
            return None;
        };
        let day = text.get(..10)?;
        let is_day = day.bytes().enumerate().all(|(place, byte)| match place {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
        is_day.then_some(day)
    }
}

/// Appends a value with its length, so that neighbouring values cannot be confused.
fn append(row: &[Value<'_>], place: usize, out: &mut Vec<u8>, write: impl FnOnce(Value<'_>, &mut Vec<u8>)) {
    let value = row.get(place).copied().unwrap_or(Value::Null);
    let start = out.len();
    out.extend_from_slice(&u32::MAX.to_be_bytes());
    if !matches!(value, Value::Null) {
        write(value, out);
        let length = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX - 1);
        if let Some(head) = out.get_mut(start..start + 4) {
            head.copy_from_slice(&length.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use schemas::column::Column;

    use super::*;

    fn schema(names: &[&str]) -> RowSchema {
        let column = |name: &&str| Column {
            name: (*name).to_owned(),
            kind: ColumnType::Text { max: None },
            nullable: true,
        };
        RowSchema {
            name: "claim".to_owned(),
            version: 1,
            columns: names.iter().map(column).collect(),
            key: vec!["id".to_owned()],
            tombstone: None,
        }
    }

    #[test]
    fn row_digest_ignores_the_order_of_columns() {
        let digest = |names: &[&str], row: &[Value<'_>]| {
            let mut digester = RowDigester::new(&schema(names), "salt", &[], None).unwrap();
            (digester.row(row), digester.columns())
        };
        let (id, a, b) = (Value::Text("1"), Value::Text("a"), Value::Text("b"));
        let wanted = digest(&["id", "a", "b"], &[id, a, b]);
        assert_eq!(digest(&["b", "id", "a"], &[b, id, a]), wanted);
        assert_ne!(digest(&["id", "a", "b"], &[id, b, a]).0.row, wanted.0.row);
        assert_ne!(digest(&["id", "a", "c"], &[id, a, b]).1, wanted.1);
    }

    #[test]
    fn row_digest_separates_neighbouring_values() {
        let mut digester = RowDigester::new(&schema(&["id", "a", "b"]), "salt", &[], None).unwrap();
        let mut row = |a, b| digester.row(&[Value::Text("1"), a, b]).row;
        let (text, null) = (|text| Value::Text(text), Value::Null);
        assert_ne!(row(text("ab"), text("")), row(text("a"), text("b")));
        assert_ne!(row(text(""), null), row(null, text("")));
    }

    #[test]
    fn key_digest_depends_on_salt_and_is_spread() {
        let mut one = RowDigester::new(&schema(&["id"]), "one", &[], None).unwrap();
        let mut other = RowDigester::new(&schema(&["id"]), "other", &[], None).unwrap();
        let row = [Value::Text("4711")];
        assert_ne!(one.key(&row), other.key(&row));
        let key = one.key(&row);
        assert_eq!(key.to_string().parse(), Ok(key));
        assert!("47".parse::<KeyDigest>().is_err());
        let buckets: std::collections::BTreeSet<usize> = (0..10_000)
            .map(|id| one.key(&[Value::Text(&id.to_string())]).bucket(256))
            .collect();
        assert_eq!(buckets.len(), 256);
        assert_eq!(KeyDigest([255; 16]).bucket(4_096), 4_095);
    }

    #[test]
    fn day_of_a_row_is_that_of_its_time() {
        let digester = RowDigester::new(&schema(&["id", "at"]), "salt", &[], Some("at")).unwrap();
        let day = |at| digester.day(&[Value::Text("1"), at]).map(str::to_owned);
        assert_eq!(
            day(Value::Text("2026-01-31 08:00:00+00")),
            Some("2026-01-31".to_owned())
        );
        for none in [
            Value::Text("soon"),
            Value::Text("20260131000"),
            Value::Int(7),
            Value::Null,
        ] {
            assert_eq!(day(none), None);
        }
    }
}
