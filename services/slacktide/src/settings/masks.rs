//! What recipients see of a feed: `[feed.masks.<recipient>]`, a mask for each column.

use std::sync::Arc;

use runtime::config::Loaded;
use schemas::column::RowSchema;
use schemas::digest::Digest;
use schemas::name::{Lane, RecipientName};
use social::mask::{self, ColumnMasks, LaneMasks, Masks};

use super::SocialFile;
use super::feed::FeedTable;
use super::rule::Broken;
use crate::failure::Failure;

impl FeedTable {
    /// The masks for a recipient; none of them where it sees everything.
    pub(crate) fn masks_of(&self, recipient: &RecipientName) -> ColumnMasks {
        self.masks.get(recipient).cloned().unwrap_or_default()
    }

    /// The digest of the feed's definition, as it is for a recipient.
    pub(crate) fn digest_for(&self, recipient: &RecipientName) -> Digest {
        mask::definition(self.definition().digest(), &self.masks_of(recipient))
    }

    /// The columns that a recipient sees, out of those that the source brings.
    pub(crate) fn shown_to(
        &self,
        recipient: &RecipientName,
        columns: RowSchema,
    ) -> Result<RowSchema, Failure> {
        let masks = self.masks_of(recipient);
        if masks.is_empty() {
            return Ok(columns);
        }
        let plan = mask::plan(&masks, &columns, &self.cursor, &self.money);
        let plan = plan.map_err(|error| {
            Failure::usage(format!("feed.masks.{recipient} of feed {}: {error}", self.name))
        })?;
        Ok(plan.schema().clone())
    }

    /// The rules that its masks break; `at` is its place among the feeds.
    pub(super) fn broken_masks(&self, at: usize, has_key: bool) -> Vec<Broken> {
        let mut broken = Vec::new();
        for (recipient, masks) in &self.masks {
            let key = format!("masks.{recipient}");
            if !self.recipients.contains(recipient) {
                broken.push(Broken::in_feed(
                    at,
                    &key,
                    "is for nobody that the feed is for",
                    "correct the name; a recipient that is misspelt here would see everything",
                ));
            }
            if let Err(error) = mask::check(masks, &self.definition()) {
                let remedy = "correct the mask, or take it away; docs/masking.md shows all of them";
                broken.push(Broken::in_feed(at, &key, error.to_string(), remedy));
            }
            let token = masks
                .iter()
                .find(|(_, mask)| **mask == requests::mask::Mask::Token);
            if let Some((column, _)) = token.filter(|_| !has_key) {
                broken.push(Broken::in_feed(
                    at,
                    &key,
                    format!("masks {column:?} as a token, and there is no key to make tokens"),
                    "write [masking] with key = { file = \"keys/masking.key\" }, at least 32 characters made at random",
                ));
            }
        }
        broken
    }
}

/// The masks of all lanes. A secret that cannot be read is a reason not to start.
pub(crate) fn lanes(loaded: &Loaded<SocialFile>) -> Result<LaneMasks, Failure> {
    let file = &loaded.value;
    let key = match &file.masking {
        Some(masking) => Some(masking.key(loaded.folder())?),
        None => None,
    };
    let mut lanes = LaneMasks::new();
    for feed in &file.feeds {
        for recipient in &feed.recipients {
            let masks = Masks::new(feed.masks_of(recipient), recipient, key.as_deref())
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
