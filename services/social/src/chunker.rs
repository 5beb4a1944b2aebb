//! PURE: decides which rows and columns of a feed a recipient receives, and batches them into the blocks of chunks.
//!
//! Only what the recipient may see is packed: positions and persons come from the source's row, everything else from the row
//! that is sent. [`RowBatcher`] packs the rows and closes the blocks.
//!
//! - `reject` handles rows that no message can carry

mod reject;

use std::sync::Arc;

use disclosure::hold::RowFilterRules;
use disclosure::mask::plan::Plan;
use schemas::column::RowSchema;
use schemas::cursor::Cursor;
use schemas::manifest::Reject;
use schemas::value::Value;
use source::RowSink;

use crate::mask::Masks;
use crate::row_batcher::{BatchError, Positions, RowBatcher, column_index, column_indices};

use reject::Rejecter;

/// Batches the rows of a feed for recipients with the same masks and holds.
#[derive(Debug)]
pub struct Chunker {
    /// The rows that are sent.
    pub rows: RowBatcher,
    /// The columns of the source's row.
    columns: Vec<String>,
    /// The masks and their plan, if the recipient has any.
    shown: Option<(Arc<Masks>, Arc<Plan>)>,
    sent: Rejecter,
    withhold: Option<(usize, Arc<RowFilterRules>)>,
}

impl Chunker {
    /// Creates a chunker for rows of this schema after `before`.
    ///
    /// # Errors
    /// [`BatchError::Column`] when a named column is missing.
    pub fn new(
        schema: &RowSchema,
        cursor: &[String],
        money: &[String],
        before: Option<Cursor>,
    ) -> Result<Self, BatchError> {
        Self::with_masks(schema, cursor, money, before, None)
    }

    /// Creates a chunker that packs masked rows. Masked money columns have no totals.
    ///
    /// # Errors
    /// [`BatchError`] if a named column is missing or a mask does not fit.
    pub fn with_masks(
        schema: &RowSchema,
        cursor: &[String],
        money: &[String],
        before: Option<Cursor>,
        masks: Option<Arc<Masks>>,
    ) -> Result<Self, BatchError> {
        // A column that the source lacks is reported as such, masked or not.
        for (what, names) in [
            ("key", schema.key.as_slice()),
            ("cursor", cursor),
            ("money", money),
        ] {
            column_indices(schema, what, names)?;
        }
        let shown = match masks {
            Some(masks) => {
                let plan = masks.plan(schema, cursor, money)?;
                Some((masks, Arc::new(plan)))
            }
            None => None,
        };
        let is_whole = |name: &&String| shown.as_ref().is_none_or(|(masks, _)| !masks.masks(name));
        let money: Vec<String> = money.iter().filter(is_whole).cloned().collect();
        let sent = shown.as_ref().map_or(schema, |(_, plan)| plan.schema());
        let positions = Positions::new(schema, sent, cursor)?;
        Ok(Self {
            rows: RowBatcher::new(sent, positions, money, before)?,
            columns: schema.columns.iter().map(|column| column.name.clone()).collect(),
            sent: Rejecter::new(sent)?,
            shown,
            withhold: None,
        })
    }

    /// Sets the rows to withhold.
    ///
    /// # Errors
    /// [`BatchError::Column`] when the column that names persons is missing.
    pub fn with_row_filter(mut self, withhold: Option<Arc<RowFilterRules>>) -> Result<Self, BatchError> {
        let Some(withhold) = withhold else { return Ok(self) };
        let index = self.columns.iter().position(|name| name == withhold.column());
        let index = index.ok_or_else(|| BatchError::Column {
            what: "person",
            name: withhold.column().to_owned(),
        })?;
        self.withhold = Some((index, withhold));
        Ok(self)
    }

    /// Creates a chunker for other columns that continues at this one's position. Close the open block first.
    ///
    /// # Errors
    /// [`BatchError`] if a named column is missing or the position is not known.
    pub fn with_schema(
        &self,
        schema: &RowSchema,
        cursor: &[String],
        money: &[String],
    ) -> Result<Self, BatchError> {
        let withhold = self.withhold.as_ref().map(|(_, withhold)| Arc::clone(withhold));
        let masks = self.shown.as_ref().map(|(masks, _)| Arc::clone(masks));
        let position = self.rows.published_position()?;
        Self::with_masks(schema, cursor, money, position, masks)?.with_row_filter(withhold)
    }

    /// Returns the columns that are packed.
    #[must_use]
    pub fn schema(&self) -> &Arc<RowSchema> {
        &self.sent.schema
    }

    /// Returns the recipient's masks; `None` if rows are sent whole.
    #[must_use]
    pub fn masks(&self) -> Option<&Masks> {
        self.shown.as_ref().map(|(masks, _)| &**masks)
    }

    /// Returns the rows to withhold.
    #[must_use]
    pub fn withhold(&self) -> Option<&RowFilterRules> {
        self.withhold.as_ref().map(|(_, withhold)| &**withhold)
    }

    /// Adds the reject of a row without a position in the order. The cursor does not move.
    pub fn reject_unordered(&mut self, reject: Reject) {
        if !self.rows.has_fault() {
            let reject = self.visible(reject);
            self.rows.reject_unordered(reject);
        }
    }

    /// Withholds a row whose person a hold or the block list names.
    fn withhold_row(&mut self, row: &[Value<'_>]) -> bool {
        let Some((index, withhold)) = &self.withhold else {
            return false;
        };
        let value = row.get(*index).copied().unwrap_or(Value::Null);
        let Some(id) = withhold.by(value) else {
            return false;
        };
        self.rows.withhold(row, id);
        true
    }

    /// Packs the row that is sent.
    fn push_row(&mut self, row: &[Value<'_>], sent: &[Value<'_>]) {
        match self.sent.is_deleted(sent, self.rows.quantum_from()) {
            Ok(is_deleted) => {
                let too_large = |bytes| {
                    self.sent.visible(
                        self.sent.too_large(sent, bytes),
                        self.withhold.is_some(),
                        self.shown.is_some(),
                    )
                };
                self.rows.push(row, sent, is_deleted, too_large);
            }
            Err(reject) => {
                let reject = self.visible(reject);
                self.rows.reject_row(row, reject);
            }
        }
    }

    /// Returns a reject without what the recipient must not see.
    fn visible(&self, reject: Reject) -> Reject {
        self.sent
            .visible(reject, self.withhold.is_some(), self.shown.is_some())
    }
}

impl RowSink for Chunker {
    fn row(&mut self, row: &[Value<'_>]) {
        if self.rows.has_fault() || !self.rows.check_position(row) || self.withhold_row(row) {
            return;
        }
        match self.shown.clone() {
            Some((masks, plan)) => masks.with(&plan, row, |sent| self.push_row(row, sent)),
            None => self.push_row(row, row),
        }
    }

    fn reject(&mut self, cursor: Cursor, reject: Reject) {
        if !self.rows.has_fault() {
            let reject = self.visible(reject);
            self.rows.reject(Some(cursor), reject);
        }
    }
}

#[cfg(test)]
mod tests;
