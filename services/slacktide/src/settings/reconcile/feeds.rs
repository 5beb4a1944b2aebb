//! The feeds that recipients may reconcile.

use requests::kind::ReconciledFeed;

use crate::settings::SocialFile;
use crate::settings::feed::FeedTable;

impl SocialFile {
    /// Returns the feeds that recipients may reconcile.
    pub(crate) fn reconciled_feeds(&self) -> Vec<ReconciledFeed> {
        if !self.reconcile.enabled {
            return Vec::new();
        }
        self.feeds.iter().map(FeedTable::reconciled).collect()
    }
}

impl FeedTable {
    fn reconciled(&self) -> ReconciledFeed {
        let definition = self.definition();
        let recipients = self.recipients.iter();
        ReconciledFeed {
            name: definition.name,
            sql: definition.sql,
            key: definition.key,
            cursor: definition.cursor,
            money: definition.money,
            tombstone: definition.tombstone,
            types: definition.types,
            person: self.person.clone(),
            recipients: recipients
                .map(|recipient| (recipient.clone(), self.masks_for(recipient)))
                .collect(),
        }
    }
}
