//! PURE: number of rows, sums and an order-free digest, for each bucket of keys and each day.
//!
//! The digest of a set of rows is the sum of their digests modulo 2^256: it does not depend on their order, counts a row twice that is
//! there twice, and needs 32 bytes for any number of rows.

use std::collections::BTreeMap;

use schemas::digest::Digest;
use schemas::total::Total;
use schemas::value::Value;

use crate::row_digest::Digested;

/// The sum of digests modulo 2^256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DigestSum([u64; 4]);

impl DigestSum {
    /// Adds a digest.
    pub fn add(&mut self, digest: &Digest) {
        let mut carry = false;
        for (word, bytes) in self.0.iter_mut().zip(digest.0.chunks_exact(8)) {
            let bytes: [u8; 8] = bytes.try_into().unwrap_or_default();
            let (sum, first) = word.overflowing_add(u64::from_le_bytes(bytes));
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            (*word, carry) = (sum, first || second);
        }
    }

    /// Returns the sum as a digest, for its text.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut bytes = [0; 32];
        for (bytes, word) in bytes.chunks_exact_mut(8).zip(self.0) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        Digest(bytes)
    }
}

/// A set of rows.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// The number of rows.
    pub rows: u64,
    /// The sum of their digests.
    pub digest: DigestSum,
    /// The exact sum of each money column, in the order of the feed's.
    pub money: Vec<Total>,
}

impl Summary {
    /// Adds a row.
    pub fn add<'a>(&mut self, row: &Digest, money: impl Iterator<Item = Value<'a>>) {
        self.rows += 1;
        self.digest.add(row);
        for (place, value) in money.enumerate() {
            if self.money.len() <= place {
                self.money.push(Total::default());
            }
            if let Some(total) = self.money.get_mut(place) {
                total.add(value);
            }
        }
    }

    /// Returns whether another set has the same rows.
    #[must_use]
    pub fn equals(&self, rows: u64, digest: &Digest) -> bool {
        self.rows == rows && self.digest.digest() == *digest
    }

    /// Returns the sums as texts.
    #[must_use]
    pub fn sums(&self) -> Vec<String> {
        self.money.iter().map(ToString::to_string).collect()
    }
}

/// Rows, digest and sums of a set of the core's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The number of rows.
    pub rows: u64,
    /// The sum of their digests.
    pub digest: Digest,
    /// The sums of the money columns.
    pub sums: Vec<String>,
}

/// The rows of a feed by bucket and by day.
#[derive(Debug, Clone)]
pub struct Tree {
    /// The rows of each bucket.
    pub buckets: Vec<Summary>,
    /// The rows of each day of the feed's time; the empty day has the rows without one.
    pub days: BTreeMap<String, Summary>,
}

impl Tree {
    /// Creates an empty tree of this many buckets, from 1 to 65,536.
    #[must_use]
    pub fn new(buckets: usize) -> Self {
        Self {
            buckets: vec![Summary::default(); buckets.clamp(1, 1 << 16)],
            days: BTreeMap::new(),
        }
    }

    /// Adds a row.
    pub fn add<'a>(
        &mut self,
        digested: &Digested,
        day: Option<&str>,
        money: impl Iterator<Item = Value<'a>> + Clone,
    ) {
        let place = digested.key.bucket(self.buckets.len());
        if let Some(bucket) = self.buckets.get_mut(place) {
            bucket.add(&digested.row, money.clone());
        }
        let day = day.unwrap_or_default();
        match self.days.get_mut(day) {
            Some(summary) => summary.add(&digested.row, money),
            None => {
                let mut summary = Summary::default();
                summary.add(&digested.row, money);
                self.days.insert(day.to_owned(), summary);
            }
        }
    }

    /// Returns the number of all rows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.rows).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use schemas::key_digest::KeyDigest;

    fn digested(key: u8, row: u8) -> Digested {
        Digested {
            key: KeyDigest(Digest::of(&[&[key]]).0[..16].try_into().unwrap()),
            row: Digest::of(&[&[key, row]]),
        }
    }

    fn tree(rows: &[(u8, u8)]) -> Tree {
        let mut tree = Tree::new(16);
        for (key, row) in rows {
            let money = std::iter::once(Value::Int(i64::from(*row)));
            tree.add(&digested(*key, *row), Some("2026-01-31"), money);
        }
        tree
    }

    fn differing(one: &Tree, other: &Tree) -> Vec<usize> {
        let pairs = one.buckets.iter().zip(&other.buckets);
        let differs = |(_, (a, b)): &(usize, (&Summary, &Summary))| !a.equals(b.rows, &b.digest.digest());
        pairs
            .enumerate()
            .filter(differs)
            .map(|(place, _)| place)
            .collect()
    }

    proptest! {
        #[test]
        fn tree_is_equal_in_any_order(rows in prop::collection::vec((any::<u8>(), any::<u8>()), 0..60)) {
            let mut shuffled = rows.clone();
            shuffled.reverse();
            shuffled.rotate_left(rows.len() / 3);
            prop_assert_eq!(differing(&tree(&rows), &tree(&shuffled)), Vec::<usize>::new());
        }

        #[test]
        fn tree_shows_the_bucket_of_a_change(
            rows in prop::collection::vec((any::<u8>(), 0_u8..100), 1..60),
            place in any::<prop::sample::Index>(),
            change in 0_u8..3,
        ) {
            let place = place.index(rows.len());
            let key = rows[place].0;
            let mut changed = rows.clone();
            match change {
                0 => drop(changed.remove(place)),
                1 => changed.push(rows[place]),
                _ => changed[place].1 += 100,
            }
            let bucket = digested(key, 0).key.bucket(16);
            prop_assert_eq!(differing(&tree(&rows), &tree(&changed)), vec![bucket]);
        }
    }

    #[test]
    fn tree_sums_money_exactly_by_day() {
        let mut tree = Tree::new(1);
        for text in ["0.10", "0.20", "-0.01"] {
            tree.add(
                &digested(1, 1),
                Some("2026-01-31"),
                std::iter::once(Value::Text(text)),
            );
        }
        tree.add(&digested(1, 1), None, std::iter::once(Value::Text("5")));
        assert_eq!(tree.days["2026-01-31"].sums(), ["0.29"]);
        assert_eq!((tree.days[""].sums(), tree.rows()), (vec!["5".to_owned()], 4));
    }

    #[test]
    fn digest_sum_carries_between_words() {
        let mut sum = DigestSum::default();
        sum.add(&Digest([255; 32]));
        let mut one = [0; 32];
        one[0] = 1;
        sum.add(&Digest(one));
        assert_eq!(sum, DigestSum::default());
    }
}
