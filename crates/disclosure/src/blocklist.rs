//! The block list: persons whose data is never sent, for example after they withdrew their consent.
//!
//! The list is imported from a file ([`mod@file`]) and stored as digests that only the bureau can compute, so that a reader of the
//! list, a log or a copy learns no person. It applies to arguments of requests and to rows of answers and feeds. Withheld rows are
//! counted and shown.

pub mod file;

use jiff::civil::Date;
use schemas::digest::Digest;
use schemas::person::PersonKey;
use schemas::sign::PublicKey;
use schemas::value::Value;
use serde::{Deserialize, Deserializer, Serialize};

/// The id under which the list's withheld rows are counted, next to the ids of holds.
pub const BLOCKLIST_ID: &str = "blocklist";

/// A stored list.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockList {
    /// The date in its header.
    pub made: Date,
    /// The key of its digests.
    key: PublicKey,
    /// Sorted and unique, for a binary search. An unsorted list would match no person.
    #[serde(deserialize_with = "sorted")]
    persons: Vec<Digest>,
    /// Why the actual list cannot be read, if this one replaces it.
    #[serde(skip)]
    unreadable: Option<String>,
}

fn sorted<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Digest>, D::Error> {
    let mut persons = Vec::<Digest>::deserialize(deserializer)?;
    persons.sort_unstable();
    persons.dedup();
    Ok(persons)
}

/// A list that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockListError {
    /// It was imported under another key.
    #[error(transparent)]
    KeyMismatch(#[from] KeyMismatch),
    /// It could not be read.
    #[error("{0}")]
    Unread(String),
}

/// A list under another key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the block list was imported under the signing key {list}, and this agent signs with {own}: import the file again, because this key cannot match the list's persons"
)]
pub struct KeyMismatch {
    /// The list's.
    list: PublicKey,
    /// The agent's.
    own: PublicKey,
}

/// A list with its key.
#[derive(Clone, Copy)]
pub struct BlockListView<'a> {
    list: &'a BlockList,
    key: &'a PersonKey,
}

impl BlockList {
    /// Creates a list of digests, in any order.
    #[must_use]
    pub fn new(made: Date, key: &PersonKey, mut persons: Vec<Digest>) -> Self {
        persons.sort_unstable();
        persons.dedup();
        Self {
            made,
            key: key.public().clone(),
            persons,
            unreadable: None,
        }
    }

    /// Marks it as a replacement for a list that cannot be read. It then fails every use.
    #[must_use]
    pub fn unreadable(mut self, why: String) -> Self {
        self.unreadable = Some(why);
        self
    }

    /// Returns the number of persons.
    #[must_use]
    pub fn len(&self) -> usize {
        self.persons.len()
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.persons.is_empty()
    }

    /// Opens the list with its key. Fails closed: with another key no person would match.
    ///
    /// # Errors
    /// [`BlockListError`].
    pub fn with_key<'a>(&'a self, key: &'a PersonKey) -> Result<BlockListView<'a>, BlockListError> {
        self.check_key(key)?;
        match &self.unreadable {
            Some(why) => Err(BlockListError::Unread(why.clone())),
            None => Ok(BlockListView { list: self, key }),
        }
    }

    /// Checks that it was imported under this key.
    ///
    /// # Errors
    /// [`KeyMismatch`].
    pub fn check_key(&self, key: &PersonKey) -> Result<(), KeyMismatch> {
        if self.key != *key.public() {
            return Err(KeyMismatch {
                list: self.key.clone(),
                own: key.public().clone(),
            });
        }
        Ok(())
    }
}

impl std::fmt::Debug for BlockList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BlockList(made {}, {} persons)", self.made, self.len())
    }
}

impl std::fmt::Debug for BlockListView<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.list.fmt(f)
    }
}

impl<'a> BlockListView<'a> {
    /// Whether a value names a person on the list.
    #[must_use]
    pub fn contains_value(&self, value: Value<'_>) -> bool {
        !self.list.is_empty()
            && self
                .key
                .digest_of(value)
                .is_some_and(|digest| self.contains(digest))
    }

    /// Whether a digest is on the list.
    #[must_use]
    pub fn contains(&self, digest: Digest) -> bool {
        self.list.persons.binary_search(&digest).is_ok()
    }

    /// Whether the list is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Returns the list's key.
    #[must_use]
    pub fn key(&self) -> &'a PersonKey {
        self.key
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::sign::SigningKey;

    #[test]
    fn blocklist_matches_every_spelling_and_shows_no_person() {
        // A short number may occur in a digest by chance.
        let key = PersonKey::of(&SigningKey::generate()).unwrap();
        let digests =
            ["310100000004711", "310100000004712", "310100000004711"].map(|person| key.token(person).digest);
        let list = BlockList::new(jiff::civil::date(2026, 1, 31), &key, digests.to_vec());
        assert_eq!(list.len(), 2);
        let kept = serde_json::to_string(&list).unwrap();
        assert!(!kept.contains("310100000004711") && !format!("{list:?}").contains("310100000004711"));
        let list: BlockList = serde_json::from_str(&kept).unwrap();
        let blocked = list.with_key(&key).unwrap();
        assert!(blocked.contains_value(Value::Int(310_100_000_004_711)));
        assert!(blocked.contains_value(Value::Text("310100000004712  ")));
        assert!(
            !blocked.contains_value(Value::Text("310100000004713")) && !blocked.contains_value(Value::Null)
        );
        assert!(!format!("{blocked:?}").contains(&digests[0].to_string()));
    }

    /// Under another key no person matches, so every row would pass.
    #[test]
    fn blocklist_of_another_key_is_refused() {
        let [one, other] = [(); 2].map(|()| PersonKey::of(&SigningKey::generate()).unwrap());
        let list = BlockList::new(jiff::civil::date(2026, 1, 31), &one, Vec::new());
        let error = list.with_key(&other).unwrap_err();
        assert!(error.to_string().contains("import the file again"));
        assert!(list.is_empty() && list.with_key(&one).is_ok());
    }

    /// An empty list would let every row pass.
    #[test]
    fn blocklist_unreadable_fails_and_is_never_stored() {
        let key = PersonKey::of(&SigningKey::generate()).unwrap();
        let list = BlockList::new(jiff::civil::date(2026, 1, 31), &key, Vec::new());
        let unread = list.clone().unreadable("cut short".to_owned());
        assert_eq!(
            unread.with_key(&key).unwrap_err(),
            BlockListError::Unread("cut short".to_owned())
        );
        assert_ne!(unread, list);
        assert!(!serde_json::to_string(&unread).unwrap().contains("unread"));
    }
}
