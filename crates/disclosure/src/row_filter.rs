//! Withholds rows of persons on the block list, and of persons whom a hold names.
//!
//! It runs before masks, because a masked number cannot be matched. Withheld rows are in no part and no chunk, and are counted.

use std::collections::BTreeMap;

use schemas::column::RowSchema;
use schemas::digest::Digest;
use schemas::value::Value;

use crate::blocklist::BlockListView;

/// Created once for a schema, applied to every row.
#[derive(Debug, Clone)]
pub struct RowFilter<'a> {
    places: Vec<usize>,
    blocked: BlockListView<'a>,
    held: BTreeMap<Digest, String>,
}

/// Why a row is withheld.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WithheldReason<'a> {
    /// The person is on the block list.
    Blocked,
    /// The hold with this id names the person.
    Held(&'a str),
}

/// A configured person column that the rows do not have, so that no row could be withheld by it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("person names the column {column:?}, which the SQL does not return; the columns are: {columns}")]
pub struct MissingPersonColumn {
    /// As configured.
    pub column: String,
    /// The existing columns.
    pub columns: String,
}

impl<'a> RowFilter<'a> {
    /// Creates a filter on these columns of the source's `schema`, sent or not. `held` are the persons whom holds name, with the hold's
    /// id.
    ///
    /// # Errors
    /// [`MissingPersonColumn`].
    pub fn new(
        schema: &RowSchema,
        person: &[String],
        blocked: BlockListView<'a>,
        held: BTreeMap<Digest, String>,
    ) -> Result<Self, MissingPersonColumn> {
        let place = |column: &String| {
            schema.index_of(column).ok_or_else(|| MissingPersonColumn {
                column: column.clone(),
                columns: schema
                    .columns
                    .iter()
                    .map(|c| c.name.as_str())
                    .collect::<Vec<_>>()
                    .join(", "),
            })
        };
        Ok(Self {
            places: person.iter().map(place).collect::<Result<_, _>>()?,
            blocked,
            held,
        })
    }

    /// Returns why a row is withheld, or `None` if it passes. One person of several is enough.
    #[must_use]
    pub fn withheld_reason(&self, row: &[Value<'_>]) -> Option<WithheldReason<'_>> {
        if self.held.is_empty() && self.blocked.is_empty() {
            return None;
        }
        let value = |place: &usize| row.get(*place).copied().unwrap_or(Value::Null);
        let mut persons = self
            .places
            .iter()
            .filter_map(|place| self.blocked.key().digest_of(value(place)));
        persons.find_map(|person| {
            if self.blocked.contains(person) {
                return Some(WithheldReason::Blocked);
            }
            self.held.get(&person).map(|id| WithheldReason::Held(id))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocklist::BlockList;
    use schemas::column::{Column, ColumnType};
    use schemas::person::PersonKey;
    use schemas::sign::SigningKey;

    #[test]
    fn row_filter_withholds_rows_of_any_named_person() {
        let key = PersonKey::of(&SigningKey::generate()).unwrap();
        let columns = ["id", "psn_no", "payer"].map(|name| Column {
            name: name.to_owned(),
            kind: ColumnType::Text { max: None },
            nullable: true,
        });
        let schema = RowSchema {
            name: "setl".to_owned(),
            version: 1,
            columns: columns.to_vec(),
            key: Vec::new(),
            tombstone: None,
        };
        let day = jiff::civil::date(2026, 1, 1);
        let list = BlockList::new(day, &key, vec![key.token("4711").digest]);
        let empty = BlockList::new(day, &key, Vec::new());
        let held = BTreeMap::from([(key.token("4712").digest, "h7".to_owned())]);
        let person = ["psn_no".to_owned(), "payer".to_owned()];
        let row_filter = RowFilter::new(&schema, &person, list.with_key(&key).unwrap(), held).unwrap();
        let why = |row: &[Value<'_>]| row_filter.withheld_reason(row).map(|why| format!("{why:?}"));
        let text = Value::Text;
        assert_eq!(why(&[text("4711"), text("1"), Value::Null]), None);
        assert_eq!(why(&[text("1"), text("4711 "), text("4712")]).unwrap(), "Blocked");
        assert_eq!(
            why(&[text("1"), Value::Null, Value::Int(4712)]).unwrap(),
            "Held(\"h7\")"
        );
        assert_eq!(why(&[]), None);
        let free = RowFilter::new(&schema, &person, empty.with_key(&key).unwrap(), BTreeMap::new()).unwrap();
        assert_eq!(
            free.withheld_reason(&[text("1"), text("4711"), Value::Null]),
            None
        );
        let error = RowFilter::new(
            &schema,
            &["psn".to_owned()],
            empty.with_key(&key).unwrap(),
            BTreeMap::new(),
        );
        assert!(error.is_err_and(|error| error.to_string().contains("id, psn_no, payer")));
    }
}
