//! PURE: the keys of a repair that the feed published while the repair was read.

use std::collections::BTreeSet;

use reconciliation::RowDigester;
use schemas::column::RowSchema;
use schemas::key_digest::KeyDigest;
use schemas::rows::RowReader;

use crate::row_batch::Block;

/// The keys that were published since the reading of a repair began.
#[derive(Debug)]
pub struct ChangedKeys {
    salt: String,
    keys: BTreeSet<KeyDigest>,
    changed: BTreeSet<KeyDigest>,
    is_unknown: bool,
}

impl ChangedKeys {
    /// Begins to watch these keys.
    #[must_use]
    pub fn new(salt: String, keys: BTreeSet<KeyDigest>) -> Self {
        Self {
            salt,
            keys,
            changed: BTreeSet::new(),
            is_unknown: false,
        }
    }

    /// Takes a block that is published.
    pub fn observe(&mut self, schema: &RowSchema, block: &Block) {
        let Ok(mut digester) = RowDigester::new(schema, &self.salt, &[], None) else {
            self.is_unknown = true;
            return;
        };
        let mut rows = RowReader::new(&block.plain, schema.columns.len(), block.totals.rows);
        let mut row = Vec::new();
        loop {
            match rows.next_into(&mut row) {
                Ok(true) => {
                    let key = digester.key(&row);
                    if self.keys.contains(&key) {
                        self.changed.insert(key);
                    }
                }
                Ok(false) => return,
                Err(_) => {
                    self.is_unknown = true;
                    return;
                }
            }
        }
    }

    /// Returns the keys that were published, or `None` if they are not known.
    #[must_use]
    pub fn changed(&self) -> Option<&BTreeSet<KeyDigest>> {
        (!self.is_unknown).then_some(&self.changed)
    }
}
