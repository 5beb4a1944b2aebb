//! Totals of the money columns.

use schemas::column::RowSchema;
use schemas::manifest::Totals;
use schemas::total::Total;
use schemas::value::Value;

use super::ChunkerError;
use super::places::places;

/// A total for each money column that is sent.
#[derive(Debug)]
pub(super) struct Sums(Vec<(String, usize, Total)>);

impl Sums {
    /// Of these columns.
    pub(super) fn new(sent: &RowSchema, money: Vec<String>) -> Result<Self, ChunkerError> {
        let places = places(sent, "money", &money)?;
        let sums = money.into_iter().zip(places);
        Ok(Self(
            sums.map(|(name, place)| (name, place, Total::default()))
                .collect(),
        ))
    }

    /// Adds a row as it is sent.
    pub(super) fn add(&mut self, row: &[Value<'_>]) {
        for (_, place, total) in &mut self.0 {
            total.add(row.get(*place).copied().unwrap_or(Value::Null));
        }
    }

    /// Writes them down and begins anew.
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
