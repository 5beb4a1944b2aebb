//! Totals of the money columns.

use schemas::column::RowSchema;
use schemas::manifest::Totals;
use schemas::total::Total;
use schemas::value::Value;

use super::ChunkerError;
use super::column_indices::column_indices;

/// A total for each money column that is sent.
#[derive(Debug)]
pub(super) struct MoneyTotals(Vec<(String, usize, Total)>);

impl MoneyTotals {
    /// Finds the money columns.
    pub(super) fn new(sent: &RowSchema, money: Vec<String>) -> Result<Self, ChunkerError> {
        let column_indices = column_indices(sent, "money", &money)?;
        let sums = money.into_iter().zip(column_indices);
        Ok(Self(
            sums.map(|(name, index)| (name, index, Total::default()))
                .collect(),
        ))
    }

    /// Adds a row that is sent.
    pub(super) fn add(&mut self, row: &[Value<'_>]) {
        for (_, index, total) in &mut self.0 {
            total.add(row.get(*index).copied().unwrap_or(Value::Null));
        }
    }

    /// Moves the totals out and resets them.
    pub(super) fn take(&mut self, totals: &mut Totals) {
        for (name, _, total) in &mut self.0 {
            let total = std::mem::take(total);
            if total.unsummed() > 0 {
                totals.unsummed.insert(name.clone(), total.unsummed());
            }
            totals.money.insert(name.clone(), total.to_string());
        }
    }
}
