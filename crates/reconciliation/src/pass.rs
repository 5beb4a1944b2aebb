//! PURE: what is asked in a pass over the core's table, and the rows of its answer.
//!
//! A pass is a data request whose rows are digests. Its first row is the [`Header`]; the others are buckets and days, or keys.

use std::collections::{BTreeMap, BTreeSet};

use schemas::column::{Column, ColumnType, RowSchema};
use schemas::digest::Digest;
use schemas::value::Value;
use serde::{Deserialize, Serialize};

use crate::comparison::{CoreKey, CoreState};
use crate::tree::{Counted, Summary, Tree};
use schemas::key_digest::KeyDigest;

/// The beginning of the names of the kinds that ask for passes. No configured kind may have it.
pub const KIND_PREFIX: &str = "reconcile.";

/// Returns whether requests of this kind ask for passes: their answers are compared, and not stored in a table.
#[must_use]
pub fn is_reconciliation(kind: &str) -> bool {
    kind.starts_with(KIND_PREFIX)
}

/// The names of the request's arguments.
pub mod argument {
    /// The salt of the pass, a random text.
    pub const SALT: &str = "salt";
    /// The number of buckets.
    pub const BUCKETS: &str = "buckets";
    /// The buckets whose keys are asked, comma-separated; without it, all buckets are summed.
    pub const ONLY: &str = "only";
    /// Digests of keys that the store has and that explain a withheld row, comma-separated.
    pub const KEYS: &str = "keys";
    /// Digests of keys whose rows are sent again, comma-separated; with it nothing is compared.
    pub const REPAIR: &str = "repair";
}

/// The maximum number of characters of a list in a request.
pub const MAX_LIST_CHARS: u32 = 100_000;

/// The maximum number of buckets.
const MAX_BUCKETS: i64 = 1 << 16;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassRequest {
    /// The salt, so that digests of two runs cannot be compared.
    pub salt: String,
    /// The number of buckets.
    pub buckets: usize,
    /// The buckets whose keys are asked; `None`: all buckets are summed.
    pub only: Option<BTreeSet<usize>>,
    /// Keys of the store in these buckets: a withheld row is named only if the store has it.
    pub keys: BTreeSet<KeyDigest>,
    /// Keys whose rows are sent again in the feed; none if the sides are compared.
    pub repair: BTreeSet<KeyDigest>,
}

/// A request that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the argument {0} of the reconciliation cannot be read")]
pub struct BadRequest(&'static str);

impl PassRequest {
    /// Reads the arguments.
    ///
    /// # Errors
    /// [`BadRequest`] with the argument's name.
    pub fn parse(
        salt: &str,
        buckets: i64,
        only: Option<&str>,
        keys: Option<&str>,
    ) -> Result<Self, BadRequest> {
        let all = usize::try_from(buckets)
            .ok()
            .filter(|_| (1..=MAX_BUCKETS).contains(&buckets));
        let all = all.ok_or(BadRequest(argument::BUCKETS))?;
        let bucket = |text: &str| text.parse().ok().filter(|place: &usize| *place < all);
        let only = only.map(|only| list(only, bucket).ok_or(BadRequest(argument::ONLY)));
        let keys = keys.map(|keys| list(keys, |text| text.parse().ok()).ok_or(BadRequest(argument::KEYS)));
        Ok(Self {
            salt: salt.to_owned(),
            buckets: all,
            only: only.transpose()?,
            keys: keys.transpose()?.unwrap_or_default(),
            repair: BTreeSet::new(),
        })
    }

    /// Reads the argument with the keys to repair.
    ///
    /// # Errors
    /// [`BadRequest`] if it is not a list of digests.
    pub fn with_repair(self, repair: Option<&str>) -> Result<Self, BadRequest> {
        let repair = repair.map(|keys| list(keys, |text| text.parse().ok()));
        let repair = repair.map(|keys| keys.ok_or(BadRequest(argument::REPAIR)));
        Ok(Self {
            repair: repair.transpose()?.unwrap_or_default(),
            ..self
        })
    }

    /// Returns the text of a list.
    #[must_use]
    pub fn list(items: impl IntoIterator<Item = impl ToString>) -> String {
        let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
        items.join(",")
    }
}

fn list<T: Ord>(text: &str, item: impl Fn(&str) -> Option<T>) -> Option<BTreeSet<T>> {
    let items = text.split(',').filter(|text| !text.is_empty());
    items.map(item).collect()
}

/// What holds for the whole pass.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Header {
    /// The epoch of the last chunk that was published before the first row was read; 0 before any.
    pub epoch: u32,
    /// Its number.
    pub number: u64,
    /// The digest of the columns' names.
    pub columns: String,
    /// The column of the day, if the feed's order begins with a time.
    pub day: Option<String>,
    /// The columns that are summed.
    pub money: Vec<String>,
    /// Rows that were read.
    pub rows_read: u64,
    /// Of these, rows after the lane's position: they follow.
    pub late: u64,
    /// Rows that are marked as deleted.
    pub deleted: u64,
    /// Rows that a hold or the block list withholds.
    pub withheld: u64,
    /// Rows that the feed sends as rejects.
    pub rejected: u64,
    /// Quanta of the gate that the pass used.
    pub quanta: u64,
    /// The time that it used the core, in milliseconds.
    pub source_ms: u64,
    /// What was repaired, if that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repaired: Option<Repaired>,
}

/// The result of a repair, in numbers of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Repaired {
    /// The epoch of the last chunk with repaired rows; 0 if there was nothing to send.
    pub epoch: u32,
    /// Its number.
    pub number: u64,
    /// Keys whose rows were sent again.
    pub sent: u64,
    /// Keys that are gone at the core.
    pub gone: u64,
    /// Keys that were left as they are: their rows follow in the feed, are withheld or rejected, or did not fit.
    pub left: u64,
}

/// The answer of a pass.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PassAnswer {
    /// What holds for all of it.
    pub header: Header,
    /// Rows, digest and sums of each bucket.
    pub buckets: BTreeMap<usize, Counted>,
    /// Rows, digest and sums of each day.
    pub days: BTreeMap<String, Counted>,
    /// The keys of the buckets that were asked.
    pub keys: BTreeMap<KeyDigest, CoreKey>,
}

/// An answer that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("row {0} of the reconciliation's answer cannot be read")]
pub struct BadAnswer(u64);

/// One row of the answer, in the order of [`schema`]'s columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerRow {
    part: &'static str,
    name: String,
    rows: u64,
    digest: Option<String>,
    detail: Option<String>,
}

const HEADER: &str = "header";
const BUCKET: &str = "bucket";
const DAY: &str = "day";
const KEY: &str = "key";

/// Returns the columns of an answer to a kind.
#[must_use]
pub fn schema(kind: &str) -> RowSchema {
    let text = || ColumnType::Text { max: None };
    let column = |name: &str, kind| Column {
        name: name.to_owned(),
        kind,
        nullable: true,
    };
    RowSchema {
        name: kind.to_owned(),
        version: 1,
        columns: vec![
            column("part", text()),
            column("name", text()),
            column("rows", ColumnType::Int8),
            column("digest", text()),
            column("detail", text()),
        ],
        key: Vec::new(),
        tombstone: None,
    }
}

/// Returns the rows of an answer with buckets and days.
#[must_use]
pub fn tree_rows(header: &Header, tree: &Tree) -> Vec<AnswerRow> {
    let row = |part, name: String, summary: &Summary| AnswerRow {
        part,
        name,
        rows: summary.rows,
        digest: Some(summary.digest.digest().to_string()),
        // Texts can always be written.
        detail: Some(serde_json::to_string(&summary.sums()).unwrap_or_default()),
    };
    let buckets = tree.buckets.iter().enumerate();
    let buckets = buckets
        .filter(|(_, bucket)| bucket.rows > 0)
        .map(|(place, bucket)| row(BUCKET, place.to_string(), bucket));
    let days = tree
        .days
        .iter()
        .map(|(day, summary)| row(DAY, day.clone(), summary));
    std::iter::once(header_row(header))
        .chain(days)
        .chain(buckets)
        .collect()
}

/// Returns the rows of an answer to a repair.
#[must_use]
pub fn repair_rows(header: &Header) -> Vec<AnswerRow> {
    vec![header_row(header)]
}

/// Returns the rows of an answer with keys.
#[must_use]
pub fn key_rows(header: &Header, keys: &BTreeMap<KeyDigest, CoreKey>) -> Vec<AnswerRow> {
    let row = |(key, core): (&KeyDigest, &CoreKey)| AnswerRow {
        part: KEY,
        name: key.to_string(),
        rows: 1,
        digest: core.row.map(|row| row.to_string()),
        detail: Some(core.state.word().to_owned()),
    };
    std::iter::once(header_row(header))
        .chain(keys.iter().map(row))
        .collect()
}

fn header_row(header: &Header) -> AnswerRow {
    AnswerRow {
        part: HEADER,
        name: String::new(),
        rows: header.rows_read,
        digest: None,
        detail: Some(serde_json::to_string(header).unwrap_or_default()),
    }
}

impl AnswerRow {
    /// Calls `then` with the values of the row.
    pub fn with<R>(&self, then: impl FnOnce(&[Value<'_>]) -> R) -> R {
        then(&[
            Value::Text(self.part),
            Value::Text(&self.name),
            Value::Int(i64::try_from(self.rows).unwrap_or(i64::MAX)),
            text_of(self.digest.as_deref()),
            text_of(self.detail.as_deref()),
        ])
    }
}

fn text_of(text: Option<&str>) -> Value<'_> {
    text.map_or(Value::Null, Value::Text)
}

impl PassAnswer {
    /// Adds the row with this number, counted from 0.
    ///
    /// # Errors
    /// [`BadAnswer`].
    pub fn take(&mut self, number: u64, row: &[Value<'_>]) -> Result<(), BadAnswer> {
        self.read(row).ok_or(BadAnswer(number))
    }

    fn read(&mut self, row: &[Value<'_>]) -> Option<()> {
        let [
            Value::Text(part),
            Value::Text(name),
            Value::Int(rows),
            digest,
            Value::Text(detail),
        ] = row
        else {
            return None;
        };
        let digest = match digest {
            Value::Text(text) => Some(Digest::from_hex(text).ok()?),
            Value::Null => None,
            _ => return None,
        };
        let counted = |digest: Option<Digest>| {
            Some(Counted {
                rows: u64::try_from(*rows).ok()?,
                digest: digest?,
                sums: serde_json::from_str(detail).ok()?,
            })
        };
        match *part {
            HEADER => self.header = serde_json::from_str(detail).ok()?,
            BUCKET => drop(self.buckets.insert(name.parse().ok()?, counted(digest)?)),
            DAY => drop(self.days.insert((*name).to_owned(), counted(digest)?)),
            KEY => {
                let core = CoreKey {
                    row: digest,
                    state: CoreState::parse(detail)?,
                };
                self.keys.insert(name.parse().ok()?, core);
            }
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row_digest::Digested;

    fn read(rows: &[AnswerRow]) -> PassAnswer {
        let mut answer = PassAnswer::default();
        for (number, row) in (0..).zip(rows) {
            row.with(|values| answer.take(number, values)).unwrap();
        }
        answer
    }

    #[test]
    fn answer_of_a_tree_is_read_as_written() {
        let mut tree = Tree::new(8);
        for key in 0..20_u8 {
            let digested = Digested {
                key: KeyDigest([key * 12; 16]),
                row: Digest([key; 32]),
            };
            tree.add(
                &digested,
                Some("2026-01-31"),
                std::iter::once(Value::Text("0.10")),
            );
        }
        let header = Header {
            epoch: 2,
            number: 17,
            rows_read: 20,
            ..Header::default()
        };
        let answer = read(&tree_rows(&header, &tree));
        assert_eq!(answer.header, header);
        assert_eq!(answer.days["2026-01-31"].sums, ["2.00"]);
        for (place, bucket) in tree.buckets.iter().enumerate() {
            match answer.buckets.get(&place) {
                Some(counted) => assert!(bucket.equals(counted.rows, &counted.digest)),
                None => assert_eq!(bucket.rows, 0),
            }
        }
    }

    #[test]
    fn answer_of_keys_is_read_as_written() {
        let states = [
            (CoreState::Present, Some(Digest([1; 32]))),
            (CoreState::Late, Some(Digest([2; 32]))),
            (CoreState::Deleted, None),
            (CoreState::Withheld, None),
            (CoreState::Rejected, None),
        ];
        let keys: BTreeMap<KeyDigest, CoreKey> = (0_u8..)
            .zip(states)
            .map(|(key, (state, row))| (KeyDigest([key; 16]), CoreKey { row, state }))
            .collect();
        assert_eq!(read(&key_rows(&Header::default(), &keys)).keys, keys);
        let bad = PassAnswer::default().take(3, &[Value::Null]);
        assert_eq!(bad, Err(BadAnswer(3)));
    }

    #[test]
    fn request_with_invalid_lists_is_refused() {
        let key = KeyDigest([7; 16]);
        let request = PassRequest::parse("s", 16, Some("0,15"), Some(&key.to_string())).unwrap();
        assert_eq!(request.only, Some(BTreeSet::from([0, 15])));
        assert_eq!(request.keys, BTreeSet::from([key]));
        assert_eq!(PassRequest::list([0, 15]), "0,15");
        assert_eq!(PassRequest::parse("s", 16, None, None).unwrap().only, None);
        for (buckets, only, keys) in [
            (0, None, None),
            (65_537, None, None),
            (16, Some("16"), None),
            (16, Some("x"), None),
            (16, None, Some("00")),
        ] {
            assert!(
                PassRequest::parse("s", buckets, only, keys).is_err(),
                "{buckets} {only:?} {keys:?}"
            );
        }
    }
}
