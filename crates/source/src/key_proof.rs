//! PURE: whether a feed's key is unique.
//!
//! Rows with the same key are versions of one row at the store. If the source holds two of them at once, the store loses one. So
//! the key is proven unique by the catalogue, or by reading the keys in order, page by page, and comparing neighbours. If neither
//! is possible the feed is unverified. A key that occurs twice in one read refuses the feed; between two reads it is an update.

use std::collections::{BTreeMap, HashSet};
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use schemas::digest::Digest;
use schemas::source::SourceIdentity;

use crate::error::{Error, refused};
use crate::feed::FeedDefinition;
use crate::identity::detect_change;

/// Keys per page.
pub(crate) const PAGE: usize = 2_000;

/// How long a proof by reading is valid. Rows may change afterwards.
pub(crate) const GOOD_FOR: Duration = Duration::from_secs(6 * 3_600);

/// The state of the proof. `P` is a part of a key as a position.
#[derive(Debug, Clone)]
pub(crate) struct KeyProof<P> {
    state: State<P>,
    /// Keys compared since the start.
    compared: u64,
    /// Whether all keys were read once. While they are read again the key counts as proven.
    was_read: bool,
    /// The source that the keys were read from, or `None` before the first reading.
    of: Option<SourceIdentity>,
}

#[derive(Debug, Clone)]
enum State<P> {
    Catalogue,
    Reading(Option<Vec<P>>),
    Read,
    Impossible(String),
}

/// The proofs of a source's feeds by definition digest. They outlive the feeds' readers.
#[derive(Debug)]
pub(crate) struct Proofs<P>(Mutex<BTreeMap<Digest, KeyProof<P>>>);

impl<P> Default for Proofs<P> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<P: Clone> Proofs<P> {
    pub(crate) fn find(&self, feed: &FeedDefinition) -> Option<KeyProof<P>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&feed.digest()).cloned()
    }

    pub(crate) fn keep(&self, feed: &FeedDefinition, proof: KeyProof<P>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(feed.digest(), proof);
    }
}

/// A key that two rows share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DuplicateKey;

impl<P: Clone> KeyProof<P> {
    /// Creates a proof by the catalogue.
    pub(crate) fn by_catalogue() -> Self {
        Self {
            state: State::Catalogue,
            compared: 0,
            was_read: false,
            of: None,
        }
    }

    /// Creates a proof by reading.
    pub(crate) fn by_reading() -> Self {
        Self {
            state: State::Reading(None),
            compared: 0,
            was_read: false,
            of: None,
        }
    }

    /// Records the current source. A reading of another source proves nothing, so the proof restarts. Returns whether it does.
    pub(crate) fn observe_source(&mut self, now: &SourceIdentity) -> bool {
        let is_other = self
            .of
            .as_ref()
            .is_some_and(|of| detect_change(of, now).is_some());
        self.of = Some(now.clone());
        let begins = is_other && !self.is_by_catalogue();
        if begins {
            (self.state, self.compared, self.was_read) = (State::Reading(None), 0, false);
        }
        begins
    }

    /// Whether the catalogue proves it.
    pub(crate) fn is_by_catalogue(&self) -> bool {
        matches!(self.state, State::Catalogue)
    }

    /// Returns the key after which the next page begins. The outer `None`: nothing has to be read. A proof that is due again
    /// restarts.
    pub(crate) fn next(&mut self) -> Option<Option<Vec<P>>> {
        match &self.state {
            State::Catalogue => None,
            State::Reading(after) => Some(after.clone()),
            State::Read | State::Impossible(_) => {
                (self.state, self.compared) = (State::Reading(None), 0);
                Some(None)
            }
        }
    }

    /// Adds a page of keys in order. Returns whether it was the last one.
    pub(crate) fn take<K: Hash + Eq>(
        &mut self,
        page: Vec<(K, Vec<P>)>,
        is_last: bool,
    ) -> Result<bool, DuplicateKey> {
        let mut seen = HashSet::with_capacity(page.len());
        // The last key is read again as the first of the next page, because duplicates may follow it.
        let mut last_but_one = None;
        let mut last = None;
        for (key, position) in page {
            self.compared += 1;
            if !seen.insert(key) {
                return Err(DuplicateKey);
            }
            last_but_one = last.replace(position);
        }
        if is_last {
            (self.state, self.was_read) = (State::Read, true);
            return Ok(true);
        }
        match last_but_one {
            Some(position) => self.state = State::Reading(Some(position)),
            None => self.set_impossible("a page holds too few keys"),
        }
        Ok(false)
    }

    /// Records that the keys cannot be read in order.
    pub(crate) fn set_impossible(&mut self, why: impl Into<String>) {
        self.state = State::Impossible(why.into());
    }

    /// Whether more pages have to be read.
    pub(crate) fn is_reading(&self) -> bool {
        matches!(self.state, State::Reading(_))
    }

    /// Returns why the key is not proven, with the remedy, or `None` if it is.
    pub(crate) fn unproven(&self, feed: &FeedDefinition) -> Option<(String, String)> {
        let key = feed.key.join(", ");
        match &self.state {
            State::Catalogue | State::Read => None,
            State::Reading(_) if self.was_read => None,
            State::Reading(_) => Some((
                format!("key ({key}) is not proven unique yet: {} rows compared", self.compared),
                "wait until all keys are read; a unique index over the key, in a feed over one table, proves it at once".to_owned(),
            )),
            State::Impossible(why) => Some((
                format!("key ({key}) cannot be proven unique: {why}"),
                "create a unique index over the key and read its table alone, or an index that serves the key's order, or raise \
                 statement_timeout"
                    .to_owned(),
            )),
        }
    }
}

/// Creates the error of a feed whose key is not unique.
pub(crate) fn refuse_duplicate_key(feed: &FeedDefinition) -> Error {
    refused(
        format!(
            "key ({}) is not unique: two rows of one read share it, and the store would keep one of them",
            feed.key.join(", ")
        ),
        "name in key the columns that identify a row, such as the primary key of the innermost table, and select them \
         in the sql",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads sorted keys in pages of `limit`.
    fn prove(keys: &[i64], limit: usize) -> Result<(u64, KeyProof<i64>), DuplicateKey> {
        let mut proof = KeyProof::by_reading();
        let mut pages = 0;
        while let Some(after) = proof.next() {
            pages += 1;
            let behind = |key: &&i64| after.as_ref().is_none_or(|after| **key > after[0]);
            let page: Vec<(i64, Vec<i64>)> = keys
                .iter()
                .filter(behind)
                .take(limit)
                .map(|key| (*key, vec![*key]))
                .collect();
            let is_last = page.len() < limit;
            if proof.take(page, is_last)? {
                break;
            }
        }
        Ok((pages, proof))
    }

    #[test]
    fn key_proof_finds_duplicates_at_page_borders() {
        let keys: Vec<i64> = (0..1_000).collect();
        let feed = feed();
        for limit in [2, 3, 7, 999, 1_000, 1_001] {
            let (_, proof) = prove(&keys, limit).unwrap();
            assert_eq!(proof.unproven(&feed), None);
            for repeated in [0, 1, 6, 7, 500, 998, 999] {
                let mut twice = keys.clone();
                twice.insert(repeated, keys[repeated]);
                assert!(prove(&twice, limit).is_err(), "{limit} {repeated}");
            }
        }
        assert!(prove(&[], 7).unwrap().1.unproven(&feed).is_none());
        assert_eq!(prove(&keys, 1_001).unwrap().0, 1);
    }

    #[test]
    fn key_proof_incomplete_is_unproven() {
        let feed = feed();
        let mut proof: KeyProof<i64> = KeyProof::by_reading();
        assert!(proof.is_reading() && proof.unproven(&feed).unwrap().0.contains("0 rows"));
        proof.set_impossible("the statement ran into its timeout");
        assert!(!proof.is_reading() && proof.unproven(&feed).unwrap().0.contains("timeout"));
        // The proof restarts.
        assert_eq!(proof.next(), Some(None));
        assert!(proof.is_reading());
        assert_eq!(KeyProof::<i64>::by_catalogue().next(), None);
    }

    #[test]
    fn key_proof_of_another_source_restarts() {
        let mark = |system: &str| SourceIdentity {
            system: Some(system.to_owned()),
            ..SourceIdentity::default()
        };
        let (_, mut proof) = prove(&[1, 2, 3], 9).unwrap();
        assert!(!proof.observe_source(&mark("one")) && !proof.observe_source(&mark("one")));
        assert_eq!(proof.unproven(&feed()), None);
        assert!(proof.observe_source(&mark("other")));
        assert!(proof.unproven(&feed()).is_some() && proof.next() == Some(None));
        let mut catalogue = KeyProof::<i64>::by_catalogue();
        catalogue.observe_source(&mark("one"));
        assert!(!catalogue.observe_source(&mark("other")));
    }

    fn feed() -> FeedDefinition {
        FeedDefinition {
            name: "setl".parse().unwrap(),
            version: 1,
            sql: "SELECT 1".into(),
            cursor: vec!["id".into()],
            cursor_set_by: crate::feed::CursorSetBy::Application,
            lag: Duration::from_secs(1),
            key: vec!["id".into()],
            money: vec![],
            tombstone: None,
            types: std::collections::BTreeMap::new(),
            clock: crate::feed::CursorClock::default(),
        }
    }
}
