//! Reports what the source cannot prove of the feed, in the status and to the recipients.

use schemas::manifest::Reject;
use source::evidence::CODES;

use super::Publisher;
use crate::conditions::set_code;

impl Publisher {
    /// Shows what is not proven, and sends the rejects of rows without a position in the order.
    pub(super) fn show_evidence(&mut self) {
        let Some(evidence) = self.reader.as_ref().and_then(|reader| reader.evidence()) else {
            return;
        };
        let mut fresh = Vec::new();
        let is_set = |code: &str| evidence.unverified.iter().any(|(set, _)| set == code);
        self.parts.conditions.feed(&self.parts.definition.name, |feed| {
            for code in CODES {
                set_code(&mut feed.unverified, code, is_set(code));
            }
        });
        self.parts.registry.feed(&self.parts.definition.name, |feed| {
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
                "feed is unverified"
            );
        }
        let unordered: Vec<Reject> = evidence.unordered_rows().cloned().collect();
        for group in &mut self.groups {
            group.reject_unordered(&unordered);
        }
    }
}
