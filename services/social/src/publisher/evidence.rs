//! What the source cannot prove of the feed: on the screen, and to the recipients.

use schemas::manifest::Reject;
use source::evidence::CODES;

use super::Publisher;

impl Publisher {
    /// Shows what is not proven, and sends the notes of rows that have no place in the order.
    pub(super) fn show_evidence(&mut self) {
        let Some(evidence) = self.reader.as_ref().and_then(|reader| reader.evidence()) else {
            return;
        };
        let mut fresh = Vec::new();
        self.parts.board.feed(&self.parts.definition.name, |feed| {
            for code in CODES {
                match evidence.unverified.iter().find(|(set, _)| *set == code) {
                    Some((_, reason)) => {
                        if feed
                            .unverified
                            .set(code, reason.detail.clone(), reason.remedy.clone())
                        {
                            fresh.push((code, reason.clone()));
                        }
                    }
                    None => {
                        feed.unverified.clear(code);
                    }
                }
            }
        });
        for (code, reason) in fresh {
            tracing::warn!(
                feed = %self.parts.definition.name, code, detail = reason.detail, remedy = reason.remedy,
                "the feed is unverified"
            );
        }
        let unplaced: Vec<Reject> = evidence.unplaced().cloned().collect();
        for group in &mut self.groups {
            group.reject_unplaced(&unplaced);
        }
    }
}
