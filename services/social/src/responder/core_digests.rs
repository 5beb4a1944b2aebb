//! PURE: computes digests of a feed's rows at the core, as the recipient would receive them.
//!
//! A row is withheld, masked and judged by its tombstone as the feed does it; only its digests are kept. Rows after the lane's
//! position, which was read before the first row, are late: the store cannot have them yet.

use std::collections::BTreeMap;

use disclosure::blocklist::BLOCKLIST_ID;
use disclosure::mask::key::TokenKey;
use disclosure::mask::plan::Plan;
use disclosure::row_filter::{RowFilter, WithheldReason};
use jiff::Timestamp;
use reconciliation::lateness::{self, Place};
use reconciliation::pass::{self, AnswerRow};
use reconciliation::{
    CoreKey, CoreState, Digested, Header, KeyDigest, PassRequest, Repaired, RowDigester, Tree,
};
use requests::kind::ReconciledFeed;
use schemas::column::{ColumnType, RowSchema};
use schemas::cursor::{Cursor, Scalar};
use schemas::manifest::Reject;
use schemas::tombstone;
use schemas::value::Value;
use source::RowSink;

use super::answer_batcher::AnswerBatcher;
use crate::repair::{Collected, RepairRows};

/// The maximum number of keys in an answer: they are kept in memory until the table was read.
const MAX_KEYS: usize = 500_000;

/// The last chunk of a lane, before the first row is read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LaneTail {
    /// The epoch of its last chunk; 0 before any.
    pub epoch: u32,
    /// The number of its last chunk.
    pub number: u64,
    /// The position after it.
    pub position: Option<Cursor>,
}

/// The digests of the rows that were read so far.
#[derive(Debug)]
pub struct CoreDigests {
    request: PassRequest,
    header: Header,
    position: Option<Cursor>,
    digester: RowDigester,
    /// The places and types of the cursor columns in the source's row.
    cursor: Vec<(usize, ColumnType)>,
    /// The places of the key columns in the source's row, by which it is read.
    order: Vec<usize>,
    /// The place and type of the tombstone column in the row that is sent.
    tombstone: Option<(usize, ColumnType)>,
    tree: Tree,
    keys: BTreeMap<KeyDigest, CoreKey>,
    withheld: BTreeMap<String, u64>,
    /// The position to continue from.
    after: Option<Cursor>,
    read_from: Timestamp,
    fault: Option<String>,
    /// The rows that are sent again, if the request asks for them.
    repair: RepairRows,
    /// The version of the rules that withheld rows.
    pub screened_by: u64,
}

impl CoreDigests {
    /// Begins a pass over rows of the source's `schema`, of which `sent` is sent. `money` are the columns that are sent unmasked and
    /// summed.
    ///
    /// # Errors
    /// A column that the feed names and the source lacks.
    pub fn new(
        feed: &ReconciledFeed,
        request: PassRequest,
        tail: LaneTail,
        (schema, sent): (&RowSchema, &RowSchema),
        money: Vec<String>,
        screened_by: u64,
    ) -> Result<Self, String> {
        let column = |schema: &RowSchema, name: &String| {
            let place = schema.index_of(name);
            let column = place.and_then(|place| Some((place, schema.columns.get(place)?.kind.clone())));
            column.ok_or_else(|| format!("it has no column {name:?}"))
        };
        let places = |names: &[String]| -> Result<Vec<(usize, ColumnType)>, String> {
            names.iter().map(|name| column(schema, name)).collect()
        };
        let keyed = RowSchema {
            key: feed.key.clone(),
            ..sent.clone()
        };
        let day = feed.cursor.first().cloned();
        let digester = RowDigester::new(&keyed, &request.salt, &money, day.as_deref())
            .map_err(|error| error.to_string())?;
        let header = Header {
            epoch: tail.epoch,
            number: tail.number,
            columns: digester.columns().to_string(),
            day,
            money,
            ..Header::default()
        };
        Ok(Self {
            tree: Tree::new(request.buckets),
            request,
            header,
            position: tail.position,
            digester,
            cursor: places(&feed.cursor)?,
            order: places(&feed.key)?.into_iter().map(|(place, _)| place).collect(),
            tombstone: feed
                .tombstone
                .as_ref()
                .map(|name| column(sent, name))
                .transpose()?,
            keys: BTreeMap::new(),
            withheld: BTreeMap::new(),
            after: None,
            read_from: Timestamp::UNIX_EPOCH,
            fault: None,
            repair: RepairRows::default(),
            screened_by,
        })
    }

    /// Begins a quantum.
    pub fn begin_quantum(&mut self, at: Timestamp) {
        self.read_from = at;
    }

    /// Counts the source's time of a quantum.
    pub fn end_quantum(&mut self, millis: u64) {
        self.header.quanta += 1;
        self.header.source_ms = self.header.source_ms.saturating_add(millis);
    }

    /// Returns where the next quantum continues; `None` for the start.
    #[must_use]
    pub fn after(&self) -> Option<&Cursor> {
        self.after.as_ref()
    }

    /// Returns why the pass cannot continue, if so.
    #[must_use]
    pub fn fault(&self) -> Option<&String> {
        self.fault.as_ref()
    }

    /// Returns the request.
    #[must_use]
    pub fn request(&self) -> &PassRequest {
        &self.request
    }

    /// Returns the columns that are summed.
    #[must_use]
    pub fn money(&self) -> &[String] {
        &self.header.money
    }

    /// Returns whether rows are sent again, and nothing is compared.
    #[must_use]
    pub fn is_repair(&self) -> bool {
        !self.request.repair.is_empty()
    }

    /// Returns the rows to send again, after the last row of the table.
    #[must_use]
    pub fn repair(&self) -> Collected {
        self.repair.finish(&self.request.repair)
    }

    /// Takes the result of the repair.
    pub fn set_repaired(&mut self, repaired: Repaired) {
        self.header.repaired = Some(repaired);
    }

    /// Returns the rows of the answer, after the last row of the table.
    #[must_use]
    pub fn answer(&self) -> Vec<AnswerRow> {
        match self.request.only {
            _ if self.is_repair() => pass::repair_rows(&self.header),
            None => pass::tree_rows(&self.header, &self.tree),
            Some(_) => pass::key_rows(&self.header, &self.keys),
        }
    }

    /// Adds the rows of the answer, and how many were withheld, to a batch.
    pub fn write_to(&self, batcher: &mut AnswerBatcher) {
        for (id, rows) in &self.withheld {
            for _ in 0..*rows {
                batcher.rows.withhold(&[], id);
            }
        }
        for row in self.answer() {
            // It is far smaller than a message.
            let too_large = |_| Reject {
                key: Vec::new(),
                column: None,
                reason: "a row of digests is too large".to_owned(),
            };
            row.with(|values| batcher.rows.push(values, values, false, too_large));
        }
    }

    /// Moves the position past a source row.
    fn pass(&mut self, row: &[Value<'_>]) {
        let scalar = |place: &usize| Scalar::from_value(row.get(*place).copied().unwrap_or(Value::Null));
        match self.order.iter().map(scalar).collect::<Result<_, _>>() {
            Ok(key) => self.after = Some(Cursor(key)),
            Err(error) => self.fault = Some(format!("a column of the key: {error}")),
        }
    }

    /// Adds a row that is sent, at this place relative to the lane's position.
    fn add(&mut self, sent: &[Value<'_>], place: Place) {
        let state = self.state(sent, place);
        match state {
            CoreState::Late => self.header.late += 1,
            CoreState::Deleted => self.header.deleted += 1,
            CoreState::Rejected => self.header.rejected += 1,
            CoreState::Present | CoreState::Withheld => {}
        }
        if self.is_repair() {
            let key = self.digester.key(sent);
            if self.request.repair.contains(&key) {
                self.repair.take(key, sent, state);
            }
            return;
        }
        let digested = self.digester.row(sent);
        if self.request.only.is_some() {
            let has_row = matches!(state, CoreState::Present | CoreState::Late);
            return self.add_key(digested.key, has_row.then_some(digested), state);
        }
        if state == CoreState::Present {
            let day = self.digester.day(sent);
            let money: Vec<Value<'_>> = self.digester.money(sent).collect();
            self.tree.add(&digested, day, money.into_iter());
        }
    }

    fn state(&self, sent: &[Value<'_>], place: Place) -> CoreState {
        let mark = match &self.tombstone {
            None => Ok(false),
            Some((at, kind)) => {
                let value = sent.get(*at).copied().unwrap_or(Value::Null);
                tombstone::is_deleted(kind, value, self.read_from)
            }
        };
        match (place, mark) {
            (Place::Unordered, _) | (Place::Passed, Err(_)) => CoreState::Rejected,
            (Place::Late, _) => CoreState::Late,
            (Place::Passed, Ok(true)) => CoreState::Deleted,
            (Place::Passed, Ok(false)) => CoreState::Present,
        }
    }

    fn add_key(&mut self, key: KeyDigest, digested: Option<Digested>, state: CoreState) {
        let bucket = key.bucket(self.request.buckets);
        if !self
            .request
            .only
            .as_ref()
            .is_some_and(|only| only.contains(&bucket))
        {
            return;
        }
        if self.keys.len() >= MAX_KEYS {
            self.fault = Some(format!(
                "more than {MAX_KEYS} keys were asked in one pass: ask for fewer buckets"
            ));
            return;
        }
        let row = digested.map(|digested| digested.row);
        self.keys.insert(key, CoreKey { row, state });
    }

    /// Withholds a row. Its key is named only to a recipient whose store has it.
    fn withhold(&mut self, id: &str, sent: &[Value<'_>]) {
        self.header.withheld += 1;
        match self.withheld.get_mut(id) {
            Some(rows) => *rows += 1,
            None => drop(self.withheld.insert(id.to_owned(), 1)),
        }
        if self.is_repair() {
            let key = self.digester.key(sent);
            if self.request.repair.contains(&key) {
                self.repair.leave(key);
            }
        } else if self.request.only.is_some() {
            let key = self.digester.key(sent);
            if self.request.keys.contains(&key) {
                self.add_key(key, None, CoreState::Withheld);
            }
        }
    }
}

/// Passes the rows of one quantum to the digests.
pub struct DigestSink<'a> {
    /// The digests.
    pub digests: &'a mut CoreDigests,
    /// The columns that are sent, with their masks.
    pub plan: &'a Plan,
    /// The recipient's token key.
    pub token: &'a TokenKey,
    /// Selects the rows to withhold.
    pub row_filter: &'a RowFilter<'a>,
}

impl RowSink for DigestSink<'_> {
    fn row(&mut self, row: &[Value<'_>]) {
        let digests = &mut *self.digests;
        if digests.fault.is_some() {
            return;
        }
        digests.header.rows_read += 1;
        digests.pass(row);
        if let Some(reason) = self.row_filter.withheld_reason(row) {
            let id = match reason {
                WithheldReason::Blocked => BLOCKLIST_ID,
                WithheldReason::Held(id) => id,
            };
            return self
                .plan
                .mask_row(row, self.token, |sent| digests.withhold(id, sent));
        }
        let place = {
            let values = digests
                .cursor
                .iter()
                .map(|(place, kind)| (kind, row.get(*place).copied().unwrap_or(Value::Null)));
            lateness::place(values, digests.position.as_ref())
        };
        self.plan
            .mask_row(row, self.token, |sent| digests.add(sent, place));
    }

    /// A row that cannot be encoded is a reject of the feed, too.
    fn reject(&mut self, cursor: Cursor, _: Reject) {
        let digests = &mut *self.digests;
        if digests.fault.is_some() {
            return;
        }
        digests.header.rows_read += 1;
        digests.header.rejected += 1;
        digests.repair.meet_unknown_key();
        if cursor.0.len() == digests.order.len() {
            digests.after = Some(cursor);
        } else {
            digests.fault = Some("a row cannot be encoded, and its key cannot be read".to_owned());
        }
    }
}

#[cfg(test)]
mod tests;
