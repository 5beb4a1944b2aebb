//! The columns of a row that a recipient gets, and their masks.
//!
//! A column without a grant is not sent. A plan refuses settings that would break the rows: a partly hidden key makes two persons
//! one row, and the sum of a masked money column would reveal what the mask hides.

use std::collections::BTreeMap;

use schemas::column::RowSchema;
use schemas::value::Value;

use super::key::TokenKey;
use super::{EmptyMask, Mask, MaskedValue};

/// Created once for a schema and a recipient, applied to every row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    schema: RowSchema,
    cells: Vec<(usize, Option<Mask>)>,
}

/// An invalid list of columns or masks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A column that does not exist.
    #[error("there is no column {column:?}; the columns are: {columns}")]
    NoSuchColumn {
        /// As configured.
        column: String,
        /// The existing columns.
        columns: String,
    },
    /// A mask that would give two rows one key.
    #[error(
        "column {column:?} is part of the key: it can be sent whole or as a token, but {mask} would make several rows one"
    )]
    Key {
        /// The column.
        column: String,
        /// What is configured.
        mask: &'static str,
    },
    /// A column of the key that is not sent.
    #[error("column {column:?} is part of the key, so it has to be sent: allow it, perhaps as a token")]
    KeyNotShown {
        /// The column.
        column: String,
    },
    /// A mask of a money column.
    #[error("column {column:?} is a money column, whose sum is sent: allow it whole, or drop it")]
    Money {
        /// The column.
        column: String,
    },
    /// The tombstone column is hidden.
    #[error(
        "column {column:?} marks deleted rows: without it deleted rows cannot be recognised, so allow it whole"
    )]
    Tombstone {
        /// The column.
        column: String,
    },
    /// A mask that keeps nothing.
    #[error("column {column:?}: {source}")]
    Mask {
        /// The column.
        column: String,
        /// The mask's error.
        source: EmptyMask,
    },
}

impl Plan {
    /// Creates a plan for the columns of `schema`: those of `columns` (`None`: all) that no mask drops. `money` are the columns whose
    /// sums are sent.
    ///
    /// # Errors
    /// [`PlanError`] with the first error.
    pub fn new(
        schema: &RowSchema,
        columns: Option<&[String]>,
        masks: &BTreeMap<String, Mask>,
        money: &[String],
    ) -> Result<Self, PlanError> {
        for column in columns.unwrap_or_default().iter().chain(masks.keys()) {
            if schema.index_of(column).is_none() {
                let names: Vec<&str> = schema.columns.iter().map(|column| column.name.as_str()).collect();
                return Err(PlanError::NoSuchColumn {
                    column: column.clone(),
                    columns: names.join(", "),
                });
            }
        }
        let mut plan = Self {
            schema: RowSchema {
                columns: Vec::new(),
                ..schema.clone()
            },
            cells: Vec::new(),
        };
        for (place, column) in schema.columns.iter().enumerate() {
            let mask = masks.get(&column.name).copied();
            let allowed = columns.is_none_or(|columns| columns.contains(&column.name));
            let sent = allowed && mask != Some(Mask::Drop);
            check(schema, &column.name, mask, sent, money)?;
            if sent {
                plan.cells.push((place, mask));
                let shown = mask.map_or_else(|| column.clone(), |mask| mask.column(column));
                plan.schema.columns.push(shown);
            }
        }
        Ok(plan)
    }

    /// Returns the columns that are sent.
    #[must_use]
    pub fn schema(&self) -> &RowSchema {
        &self.schema
    }

    /// Whether rows are sent unchanged.
    #[must_use]
    pub fn shows_all(&self, schema: &RowSchema) -> bool {
        self.cells.len() == schema.columns.len() && self.cells.iter().all(|(_, mask)| mask.is_none())
    }

    /// Calls `then` with the row as it is sent. Missing values are null.
    pub fn mask_row<R>(&self, row: &[Value<'_>], key: &TokenKey, then: impl FnOnce(&[Value<'_>]) -> R) -> R {
        let given = |place: usize| row.get(place).copied().unwrap_or(Value::Null);
        let masked: Vec<Option<MaskedValue>> = self
            .cells
            .iter()
            .map(|(place, mask)| mask.map(|mask| mask.apply(given(*place), key)))
            .collect();
        let sent: Vec<Value<'_>> = self
            .cells
            .iter()
            .zip(&masked)
            .map(|((place, _), shown)| shown.as_ref().map_or_else(|| given(*place), MaskedValue::value))
            .collect();
        then(&sent)
    }
}

fn check(
    schema: &RowSchema,
    name: &str,
    mask: Option<Mask>,
    sent: bool,
    money: &[String],
) -> Result<(), PlanError> {
    let column = || name.to_owned();
    if let Some(mask) = mask {
        mask.check().map_err(|source| PlanError::Mask {
            column: column(),
            source,
        })?;
    }
    if schema.key.iter().any(|key| key == name) {
        if !sent {
            return Err(PlanError::KeyNotShown { column: column() });
        }
        if let Some(mask) = mask.filter(|mask| *mask != Mask::Token) {
            return Err(PlanError::Key {
                column: column(),
                mask: mask.name(),
            });
        }
    }
    if sent && mask.is_some() && money.iter().any(|money| money == name) {
        return Err(PlanError::Money { column: column() });
    }
    if schema.tombstone.as_deref() == Some(name) && (!sent || mask.is_some()) {
        return Err(PlanError::Tombstone { column: column() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::{Keep, key::MaskKey};
    use schemas::column::{Column, ColumnType};

    fn schema() -> RowSchema {
        let text = |name: &str| Column {
            name: name.to_owned(),
            kind: ColumnType::Text { max: Some(30) },
            nullable: false,
        };
        RowSchema {
            name: "setl".to_owned(),
            version: 1,
            columns: ["setl_id", "psn_no", "psn_name", "fee", "gone", "memo"]
                .map(text)
                .to_vec(),
            key: vec!["setl_id".to_owned(), "psn_no".to_owned()],
            tombstone: Some("gone".to_owned()),
        }
    }

    fn plan(columns: Option<&[&str]>, masks: &[(&str, Mask)]) -> Result<Plan, PlanError> {
        let columns: Option<Vec<String>> =
            columns.map(|columns| columns.iter().map(|name| (*name).to_owned()).collect());
        let masks = masks
            .iter()
            .map(|(name, mask)| ((*name).to_owned(), *mask))
            .collect();
        Plan::new(&schema(), columns.as_deref(), &masks, &["fee".to_owned()])
    }

    #[test]
    fn mask_plan_sends_granted_columns_masked() {
        let kept = Mask::Keep(Keep { first: 1, last: 0 });
        let plan = plan(
            Some(&["psn_name", "psn_no", "setl_id", "gone"]),
            &[("psn_no", Mask::Token), ("psn_name", kept)],
        )
        .unwrap();
        let names: Vec<&str> = plan.schema().columns.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["setl_id", "psn_no", "psn_name", "gone"]);
        assert!(!plan.shows_all(&schema()));
        let key = MaskKey::new(&"k".repeat(32))
            .unwrap()
            .for_recipient(&"insurer-a".parse().unwrap());
        let row = ["S1", "4711", "张三丰", "12.00", "0", "secret"].map(Value::Text);
        let token = key.token(Value::Text("4711")).unwrap();
        plan.mask_row(&row, &key, |sent| {
            let expected = [
                Value::Text("S1"),
                Value::Text(&token),
                Value::Text("张*"),
                Value::Text("0"),
            ];
            assert_eq!(sent, expected);
        });
        // A driver that returns fewer values than announced reveals nothing more.
        plan.mask_row(&row[..1], &key, |sent| assert_eq!(sent[1..], [Value::Null; 3]));
    }

    #[test]
    fn mask_plan_that_breaks_rows_is_refused() {
        let error = |columns, masks: &[_]| plan(columns, masks).unwrap_err();
        let kept = Mask::Keep(Keep { first: 1, last: 0 });
        assert!(matches!(
            error(None, &[("nmae", Mask::Drop)]),
            PlanError::NoSuchColumn { .. }
        ));
        assert!(matches!(
            error(Some(&["nmae"]), &[]),
            PlanError::NoSuchColumn { .. }
        ));
        assert!(matches!(error(None, &[("psn_no", kept)]), PlanError::Key { .. }));
        assert!(matches!(
            error(None, &[("psn_no", Mask::Drop)]),
            PlanError::KeyNotShown { .. }
        ));
        assert!(matches!(
            error(Some(&["psn_no", "gone"]), &[]),
            PlanError::KeyNotShown { .. }
        ));
        assert!(matches!(error(None, &[("fee", kept)]), PlanError::Money { .. }));
        assert!(matches!(
            error(None, &[("gone", Mask::Token)]),
            PlanError::Tombstone { .. }
        ));
        assert!(matches!(
            error(None, &[("memo", Mask::Prefix(0))]),
            PlanError::Mask { .. }
        ));
        assert!(plan(None, &[("fee", Mask::Drop)]).is_ok());
        assert!(plan(None, &[]).unwrap().shows_all(&schema()));
    }
}
