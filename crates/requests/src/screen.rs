//! Which rows are kept back: those of persons on the block list, and of persons whom a hold names.
//!
//! It looks at rows as the source brings them, before masks: a masked number is nobody's. What it keeps back
//! is in no part and no chunk, and is counted.

use std::collections::BTreeMap;

use schemas::column::RowSchema;
use schemas::digest::Digest;
use schemas::value::Value;

use crate::blocklist::Blocked;

/// Made once for a schema, asked for every row.
#[derive(Debug, Clone)]
pub struct Screen<'a> {
    places: Vec<usize>,
    blocked: Blocked<'a>,
    held: BTreeMap<Digest, String>,
}

/// Why a row is kept back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeptBack<'a> {
    /// The person is on the block list.
    Blocked,
    /// The hold with this id names the person.
    Held(&'a str),
}

/// A column that is to name a person, and that rows do not have: nobody could be kept back by it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("person names the column {column:?}, which the SQL does not bring; the columns are: {columns}")]
pub struct NoPersonColumn {
    /// As configured.
    pub column: String,
    /// Those that there are.
    pub columns: String,
}

impl<'a> Screen<'a> {
    /// Looks at these columns of `schema`, the source's, whether they are sent or not. `held` are the persons
    /// whom holds name, by the hold's id.
    ///
    /// # Errors
    /// [`NoPersonColumn`].
    pub fn new(
        schema: &RowSchema,
        person: &[String],
        blocked: Blocked<'a>,
        held: BTreeMap<Digest, String>,
    ) -> Result<Self, NoPersonColumn> {
        let place = |column: &String| {
            schema.index_of(column).ok_or_else(|| NoPersonColumn {
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

    /// Why a row is kept back; none: it passes. One person of several is enough.
    #[must_use]
    pub fn keeps_back(&self, row: &[Value<'_>]) -> Option<KeptBack<'_>> {
        if self.held.is_empty() && self.blocked.is_empty() {
            return None;
        }
        let value = |place: &usize| row.get(*place).copied().unwrap_or(Value::Null);
        let mut persons = self
            .places
            .iter()
            .filter_map(|place| self.blocked.key().digest_of(value(place)));
        persons.find_map(|person| {
            if self.blocked.holds(person) {
                return Some(KeptBack::Blocked);
            }
            self.held.get(&person).map(|id| KeptBack::Held(id))
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
    fn a_row_is_kept_back_by_any_person_that_it_names() {
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
        let list = BlockList::new(day, &key, vec![key.mark("4711").digest]);
        let nobody = BlockList::new(day, &key, Vec::new());
        let held = BTreeMap::from([(key.mark("4712").digest, "h7".to_owned())]);
        let person = ["psn_no".to_owned(), "payer".to_owned()];
        let screen = Screen::new(&schema, &person, list.under(&key).unwrap(), held).unwrap();
        let why = |row: &[Value<'_>]| screen.keeps_back(row).map(|why| format!("{why:?}"));
        let text = Value::Text;
        assert_eq!(why(&[text("4711"), text("1"), Value::Null]), None);
        assert_eq!(why(&[text("1"), text("4711 "), text("4712")]).unwrap(), "Blocked");
        assert_eq!(
            why(&[text("1"), Value::Null, Value::Int(4712)]).unwrap(),
            "Held(\"h7\")"
        );
        assert_eq!(why(&[]), None);
        let free = Screen::new(&schema, &person, nobody.under(&key).unwrap(), BTreeMap::new()).unwrap();
        assert_eq!(free.keeps_back(&[text("1"), text("4711"), Value::Null]), None);
        let error = Screen::new(
            &schema,
            &["psn".to_owned()],
            nobody.under(&key).unwrap(),
            BTreeMap::new(),
        );
        assert!(error.is_err_and(|error| error.to_string().contains("id, psn_no, payer")));
    }
}
