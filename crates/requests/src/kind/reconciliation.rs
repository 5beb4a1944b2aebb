//! The kinds that reconcile a feed: one for each feed, made from the feed, not configured.
//!
//! Its rows are digests of the feed's rows ([`reconciliation`]), so that a recipient can compare its store with the core. A request may
//! name keys instead, whose rows are sent again in the feed. The table is read in the order of the feed's key, in as many quanta as it needs.

use std::collections::BTreeMap;

use ::reconciliation::pass::{KIND_PREFIX, MAX_LIST_CHARS, argument};
use disclosure::mask::Mask;
use schemas::name::{FeedName, RecipientName};
use serde::{Deserialize, Serialize};

use super::{Grant, Kind, KindConfig, Kinds, Priority, definition};
use crate::argument::{Argument, ArgumentType};

/// The code of the purpose and of the legal basis of such a request: comparing rows that were sent under the feed's own.
pub const PURPOSE: &str = "reconcile";

/// The greatest number of rows of an answer: buckets, days or keys.
const MAX_ROWS: u64 = 1_000_000;

/// A feed, as far as its reconciliation needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReconciledFeed {
    /// Its name.
    pub name: FeedName,
    /// Its query.
    pub sql: String,
    /// The columns that identify a row.
    pub key: Vec<String>,
    /// The columns that order it.
    pub cursor: Vec<String>,
    /// Columns that are summed.
    pub money: Vec<String>,
    /// The column that marks deleted rows.
    pub tombstone: Option<String>,
    /// Types that the source does not declare.
    pub types: BTreeMap<String, String>,
    /// The column that names a person.
    pub person: Option<String>,
    /// The recipients, each with its masks.
    pub recipients: BTreeMap<RecipientName, BTreeMap<String, Mask>>,
}

impl ReconciledFeed {
    /// Returns the name of the kind.
    #[must_use]
    pub fn kind_name(feed: &FeedName) -> String {
        format!("{KIND_PREFIX}{feed}")
    }
}

impl Kind {
    /// Makes the kind that reconciles a feed. Its arguments are no parameters of the query.
    #[must_use]
    pub fn reconciliation(feed: ReconciledFeed) -> Self {
        let argument = |name: &str, kind, max, optional| Argument {
            name: name.to_owned(),
            kind,
            optional,
            max,
            one_of: Vec::new(),
            person: false,
            period: None,
            format: None,
        };
        let list = Some(MAX_LIST_CHARS);
        let arguments = vec![
            argument(argument::SALT, ArgumentType::Text, None, false),
            argument(argument::BUCKETS, ArgumentType::Integer, None, false),
            argument(argument::ONLY, ArgumentType::Text, list, true),
            argument(argument::KEYS, ArgumentType::Text, list, true),
            argument(argument::REPAIR, ArgumentType::Text, list, true),
        ];
        let formats = arguments.iter().map(|_| None).collect();
        let grant = |(recipient, masks): (&RecipientName, &BTreeMap<String, Mask>)| Grant {
            recipient: recipient.clone(),
            purposes: BTreeMap::from([(PURPOSE.to_owned(), vec![PURPOSE.to_owned()])]),
            // All that the feed sends.
            columns: Vec::new(),
            masks: masks.clone(),
        };
        let config = KindConfig {
            name: ReconciledFeed::kind_name(&feed.name),
            sql: feed.sql.clone(),
            arguments,
            order: feed.key.clone(),
            money: feed.money.clone(),
            zone: None,
            types: feed.types.clone(),
            person: feed.person.iter().cloned().collect(),
            anonymous: feed.person.is_none(),
            feeds: vec![feed.name.clone()],
            max_rows: MAX_ROWS,
            max_period: None,
            priority: Priority::Bulk,
            approval: None,
            grant: feed.recipients.iter().map(grant).collect(),
        };
        Self {
            shared: definition::shared_digest(&config),
            config,
            period: None,
            formats,
            reconciled: Some(Box::new(feed)),
        }
    }

    /// Returns the feed that it reconciles; `None` for a configured kind.
    #[must_use]
    pub fn reconciled(&self) -> Option<&ReconciledFeed> {
        self.reconciled.as_deref()
    }
}

impl Kinds {
    /// Adds the kinds that reconcile these feeds.
    #[must_use]
    pub fn with_reconciliation(mut self, feeds: impl IntoIterator<Item = ReconciledFeed>) -> Self {
        for kind in feeds.into_iter().map(Kind::reconciliation) {
            self.0.insert(kind.name().to_owned(), kind);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use ::reconciliation::pass::is_reconciliation;

    use super::*;

    #[test]
    fn reconciliation_kind_is_granted_to_the_feeds_recipients() {
        let feed = ReconciledFeed {
            name: "claim".parse().unwrap(),
            sql: "SELECT id, at FROM claim".to_owned(),
            key: vec!["id".to_owned()],
            cursor: vec!["at".to_owned(), "id".to_owned()],
            money: Vec::new(),
            tombstone: None,
            types: BTreeMap::new(),
            person: None,
            recipients: BTreeMap::from([("insurer-a".parse().unwrap(), BTreeMap::new())]),
        };
        let kinds = Kinds::default().with_reconciliation([feed.clone()]);
        let kind = kinds.get("reconcile.claim").unwrap();
        assert_eq!(kind.reconciled(), Some(&feed));
        assert_eq!(kind.config().order, feed.key);
        assert!(kind.grant_of(&"insurer-a".parse().unwrap()).is_some());
        assert!(kind.grant_of(&"insurer-b".parse().unwrap()).is_none());
        assert!(is_reconciliation(kind.name()) && !is_reconciliation("setl.by_person"));
    }
}
