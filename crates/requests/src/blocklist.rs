//! Persons about whom nothing is sent, for example since they withdrew their consent.
//!
//! The list comes as a file ([`mod@file`]) and is kept as digests that only the bureau can make: whoever
//! reads the list, or a log or a copy of it, learns of nobody. It applies to arguments of requests and to
//! rows of answers and feeds alike; what it keeps back is counted aloud.

pub mod file;

use jiff::civil::Date;
use schemas::digest::Digest;
use schemas::person::PersonKey;
use schemas::sign::PublicKey;
use schemas::value::Value;
use serde::{Deserialize, Deserializer, Serialize};

/// A list as it is kept.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockList {
    /// The day in its header.
    pub made: Date,
    /// The key that its digests were made under.
    key: PublicKey,
    /// Sorted, each once: whatever order they come in, for a search in disorder finds nobody.
    #[serde(deserialize_with = "sorted")]
    persons: Vec<Digest>,
    /// Why this stands in the place of a list that is there and cannot be read.
    #[serde(skip)]
    unread: Option<String>,
}

fn sorted<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Digest>, D::Error> {
    let mut persons = Vec::<Digest>::deserialize(deserializer)?;
    persons.sort_unstable();
    persons.dedup();
    Ok(persons)
}

/// A list that gives no answers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// It was made under another key.
    #[error(transparent)]
    OtherKey(#[from] OtherKey),
    /// It could not be read.
    #[error("{0}")]
    Unread(String),
}

/// A list that nobody here can read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the block list was imported under the signing key {list}, and this agent signs with {own}: import the file again, for without that nobody can tell whom the list means"
)]
pub struct OtherKey {
    /// The list's.
    list: PublicKey,
    /// The agent's.
    own: PublicKey,
}

/// A list with the key that can ask it.
#[derive(Clone, Copy)]
pub struct Blocked<'a> {
    list: &'a BlockList,
    key: &'a PersonKey,
}

impl BlockList {
    /// A list of digests, in any order.
    #[must_use]
    pub fn new(made: Date, key: &PersonKey, mut persons: Vec<Digest>) -> Self {
        persons.sort_unstable();
        persons.dedup();
        Self {
            made,
            key: key.public().clone(),
            persons,
            unread: None,
        }
    }

    /// The same in the place of a list that cannot be read: it answers nothing, for nobody can tell who is on that one.
    #[must_use]
    pub fn unread(mut self, why: String) -> Self {
        self.unread = Some(why);
        self
    }

    /// Persons on it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.persons.len()
    }

    /// Whether nobody is on it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.persons.is_empty()
    }

    /// Makes it answer. Fail closed: with another key every question would be answered with no.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub fn under<'a>(&'a self, key: &'a PersonKey) -> Result<Blocked<'a>, NoAnswer> {
        self.own(key)?;
        match &self.unread {
            Some(why) => Err(NoAnswer::Unread(why.clone())),
            None => Ok(Blocked { list: self, key }),
        }
    }

    /// Whether it was made under this key.
    ///
    /// # Errors
    /// [`OtherKey`].
    pub fn own(&self, key: &PersonKey) -> Result<(), OtherKey> {
        if self.key != *key.public() {
            return Err(OtherKey {
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

impl std::fmt::Debug for Blocked<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.list.fmt(f)
    }
}

impl<'a> Blocked<'a> {
    /// Whether a value names somebody on the list.
    #[must_use]
    pub fn names(&self, value: Value<'_>) -> bool {
        !self.list.is_empty() && self.key.digest_of(value).is_some_and(|digest| self.holds(digest))
    }

    /// Whether a digest is on the list.
    #[must_use]
    pub fn holds(&self, digest: Digest) -> bool {
        self.list.persons.binary_search(&digest).is_ok()
    }

    /// Whether nobody is on it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The key that can ask it.
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
    fn a_list_knows_its_persons_however_a_column_writes_them_and_shows_none() {
        // A short number may stand in a digest by chance.
        let key = PersonKey::of(&SigningKey::generate()).unwrap();
        let digests =
            ["310100000004711", "310100000004712", "310100000004711"].map(|person| key.mark(person).digest);
        let list = BlockList::new(jiff::civil::date(2026, 1, 31), &key, digests.to_vec());
        assert_eq!(list.len(), 2);
        let kept = serde_json::to_string(&list).unwrap();
        assert!(!kept.contains("310100000004711") && !format!("{list:?}").contains("310100000004711"));
        let list: BlockList = serde_json::from_str(&kept).unwrap();
        let blocked = list.under(&key).unwrap();
        assert!(blocked.names(Value::Int(310_100_000_004_711)));
        assert!(blocked.names(Value::Text("310100000004712  ")));
        assert!(!blocked.names(Value::Text("310100000004713")) && !blocked.names(Value::Null));
        assert!(!format!("{blocked:?}").contains(&digests[0].to_string()));
    }

    /// Under another key nobody would be found, so everybody would pass.
    #[test]
    fn a_list_of_another_key_is_refused_and_not_empty() {
        let [one, other] = [(); 2].map(|()| PersonKey::of(&SigningKey::generate()).unwrap());
        let list = BlockList::new(jiff::civil::date(2026, 1, 31), &one, Vec::new());
        let error = list.under(&other).unwrap_err();
        assert!(error.to_string().contains("import the file again"));
        assert!(list.is_empty() && list.under(&one).is_ok());
    }

    /// An empty answer would let everybody pass.
    #[test]
    fn a_list_that_was_not_read_answers_nothing_and_is_never_kept() {
        let key = PersonKey::of(&SigningKey::generate()).unwrap();
        let list = BlockList::new(jiff::civil::date(2026, 1, 31), &key, Vec::new());
        let unread = list.clone().unread("cut short".to_owned());
        assert_eq!(
            unread.under(&key).unwrap_err(),
            NoAnswer::Unread("cut short".to_owned())
        );
        assert_ne!(unread, list);
        assert!(!serde_json::to_string(&unread).unwrap().contains("unread"));
    }
}
