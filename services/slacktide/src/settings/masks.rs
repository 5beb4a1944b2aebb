//! The masks of a feed: `[feed.masks.<recipient>]`, one per column.

use std::sync::Arc;

use runtime::config::Loaded;
use schemas::column::RowSchema;
use schemas::digest::Digest;
use schemas::name::{Lane, RecipientName};
use social::mask::{self, ColumnMasks, LaneMasks, Masks};

use super::SocialFile;
use super::feed::FeedTable;
use super::violation::ConfigViolation;
use crate::failure::Failure;

impl FeedTable {
    /// Returns the masks for a recipient; empty if it sees everything.
    pub(crate) fn masks_for(&self, recipient: &RecipientName) -> ColumnMasks {
        self.masks.get(recipient).cloned().unwrap_or_default()
    }

    /// Returns the digest of the feed's definition for a recipient.
    pub(crate) fn digest_for(&self, recipient: &RecipientName) -> Digest {
        mask::definition(self.definition().digest(), &self.masks_for(recipient))
    }

    /// Returns the columns that a recipient sees, out of the source's columns.
    pub(crate) fn visible_columns(
        &self,
        recipient: &RecipientName,
        columns: RowSchema,
    ) -> Result<RowSchema, Failure> {
        let masks = self.masks_for(recipient);
        if masks.is_empty() {
            return Ok(columns);
        }
        let plan = mask::plan(&masks, &columns, &self.cursor, &self.money);
        let plan = plan.map_err(|error| {
            Failure::usage(format!("feed.masks.{recipient} of feed {}: {error}", self.name))
        })?;
        Ok(plan.schema().clone())
    }

    /// Returns the rules that the masks violate; `index` is the feed's index in the file.
    pub(super) fn mask_violations(&self, index: usize, has_key: bool) -> Vec<ConfigViolation> {
        let mut violations = Vec::new();
        for (recipient, masks) in &self.masks {
            let key = format!("masks.{recipient}");
            if !self.recipients.contains(recipient) {
                violations.push(ConfigViolation::in_feed(
                    index,
                    &key,
                    "names a party that is not a recipient of the feed",
                    "correct the name; a misspelt recipient would see everything",
                ));
            }
            if let Err(error) = mask::check(masks, &self.definition()) {
                let remedy = "correct or remove the mask; docs/masking.md lists all masks";
                violations.push(ConfigViolation::in_feed(index, &key, error.to_string(), remedy));
            }
            let token = masks
                .iter()
                .find(|(_, mask)| **mask == disclosure::mask::Mask::Token);
            if let Some((column, _)) = token.filter(|_| !has_key) {
                violations.push(ConfigViolation::in_feed(
                    index,
                    &key,
                    format!("masks {column:?} as a token, and there is no key to make tokens"),
                    "write [masking] with key = { file = \"keys/masking.key\" }, at least 32 random characters",
                ));
            }
        }
        violations
    }
}

/// Returns the masks of all lanes. The agent does not start if the secret cannot be read.
pub(crate) fn lane_masks(loaded: &Loaded<SocialFile>) -> Result<LaneMasks, Failure> {
    let file = &loaded.value;
    let key = match &file.masking {
        Some(masking) => Some(masking.key(loaded.folder())?),
        None => None,
    };
    let mut lanes = LaneMasks::new();
    for feed in &file.feeds {
        for recipient in &feed.recipients {
            let masks = Masks::new(feed.masks_for(recipient), recipient, key.as_deref())
                .map_err(|error| Failure::usage(format!("feed {}: {error}", feed.name)))?;
            if let Some(masks) = masks {
                let lane = Lane {
                    recipient: recipient.clone(),
                    feed: feed.name.clone(),
                };
                lanes.insert(lane, Arc::new(masks));
            }
        }
    }
    Ok(lanes)
}
