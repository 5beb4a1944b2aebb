//! PURE: masks a feed's rows for a recipient.
//!
//! Masks apply before a row is packed, so that nothing that is signed, sent or logged holds a denied value. They are part of the
//! feed's definition for the recipient: its digest covers them, and manifests list only the columns that are sent. A mask on a
//! cursor, key or tombstone column is refused: manifests hold positions, and deletes and newer versions are matched by key.

use std::collections::BTreeMap;
use std::sync::Arc;

use disclosure::mask::Mask;
use disclosure::mask::key::{MaskKey, TokenKey};
use disclosure::mask::plan::{Plan, PlanError};
use schemas::column::RowSchema;
use schemas::digest::Digest;
use schemas::name::{Lane, RecipientName};
use schemas::value::Value;
use source::FeedDefinition;

/// Masks by lane. Other lanes are not masked.
pub type LaneMasks = BTreeMap<Lane, Arc<Masks>>;

/// Masks by column.
pub type ColumnMasks = BTreeMap<String, Mask>;

/// Replaces a key if no column is masked as a token; no token is made with it.
const NO_TOKENS: &str = "no column of this lane is masked as a token";

/// Why a mask is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MaskError {
    /// A token mask without a masking key.
    #[error("column {column:?} is masked as a token, and there is no key to make tokens: set [masking] key")]
    NoKey {
        /// The column.
        column: String,
    },
    /// A column that must be sent unmasked.
    #[error("column {column:?} is a {part} column of the feed, which must be sent unmasked: {remedy}")]
    Required {
        /// The column.
        column: String,
        /// `cursor`, `key` or `tombstone`.
        part: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// The masks do not match the columns.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

/// The masks of one lane, with the key that makes the recipient's tokens.
pub struct Masks {
    masks: ColumnMasks,
    /// The recipient of tokens; `None` if no tokens are made, so that lanes may share packed rows.
    tokens_for: Option<RecipientName>,
    key: TokenKey,
}

impl Masks {
    /// Creates the masks of a recipient; `None` if nothing is masked.
    ///
    /// # Errors
    /// [`MaskError::NoKey`].
    pub fn new(
        masks: ColumnMasks,
        recipient: &RecipientName,
        key: Option<&MaskKey>,
    ) -> Result<Option<Self>, MaskError> {
        if masks.is_empty() {
            return Ok(None);
        }
        let token = masks.iter().find(|(_, mask)| **mask == Mask::Token);
        let key = match (token, key) {
            (Some((column, _)), None) => {
                let column = column.clone();
                return Err(MaskError::NoKey { column });
            }
            (Some(_), Some(key)) => Some(key.for_recipient(recipient)),
            (None, _) => MaskKey::new(NO_TOKENS)
                .ok()
                .map(|key| key.for_recipient(recipient)),
        };
        let tokens_for = token.map(|_| recipient.clone());
        // `NO_TOKENS` is long enough for a key.
        Ok(key.map(|key| Self {
            masks,
            tokens_for,
            key,
        }))
    }

    /// Returns the digest of the feed's definition for this lane.
    #[must_use]
    pub fn definition(&self, feed: Digest) -> Digest {
        definition(feed, &self.masks)
    }

    /// Returns the plan that masks rows of `schema`.
    ///
    /// # Errors
    /// [`MaskError`].
    pub fn plan(&self, schema: &RowSchema, cursor: &[String], money: &[String]) -> Result<Plan, MaskError> {
        plan(&self.masks, schema, cursor, money)
    }

    /// Returns whether a column is masked.
    #[must_use]
    pub fn masks(&self, column: &str) -> bool {
        self.masks.contains_key(column)
    }

    /// Calls `then` with the masked row.
    pub fn with<R>(&self, plan: &Plan, row: &[Value<'_>], then: impl FnOnce(&[Value<'_>]) -> R) -> R {
        plan.mask_row(row, &self.key, then)
    }
}

impl PartialEq for Masks {
    fn eq(&self, other: &Self) -> bool {
        self.masks == other.masks && self.tokens_for == other.tokens_for
    }
}

impl Eq for Masks {}

impl std::fmt::Debug for Masks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Masks({} columns)", self.masks.len())
    }
}

/// Returns the digest of a feed's definition for a lane with these masks; without masks it is the feed's own.
#[must_use]
pub fn definition(feed: Digest, masks: &ColumnMasks) -> Digest {
    if masks.is_empty() {
        return feed;
    }
    // Serialisation cannot fail; an empty text would only stop the lane.
    let text = serde_json::to_string(masks).unwrap_or_default();
    Digest::of(&[b"slacktide.feed.masks.v1\0", &feed.0, text.as_bytes()])
}

/// Returns the plan that applies these masks to rows of `schema`.
///
/// # Errors
/// [`MaskError`].
pub fn plan(
    masks: &ColumnMasks,
    schema: &RowSchema,
    cursor: &[String],
    money: &[String],
) -> Result<Plan, MaskError> {
    check_required_columns(masks, cursor, &schema.key, schema.tombstone.as_deref())?;
    Ok(Plan::new(schema, None, masks, &unmasked_money(masks, money))?)
}

/// Returns the money columns whose totals are sent: the total of a masked column would disclose its values.
#[must_use]
pub fn unmasked_money(masks: &ColumnMasks, money: &[String]) -> Vec<String> {
    let is_whole = |name: &&String| !masks.contains_key(*name);
    money.iter().filter(is_whole).cloned().collect()
}

/// Checks what can be checked without the source's columns.
///
/// # Errors
/// [`MaskError`] with the first problem.
pub fn check(masks: &ColumnMasks, feed: &FeedDefinition) -> Result<(), MaskError> {
    check_required_columns(masks, &feed.cursor, &feed.key, feed.tombstone.as_deref())?;
    for (column, mask) in masks {
        mask.check().map_err(|source| PlanError::Mask {
            column: column.clone(),
            source,
        })?;
    }
    Ok(())
}

fn check_required_columns(
    masks: &ColumnMasks,
    cursor: &[String],
    key: &[String],
    tombstone: Option<&str>,
) -> Result<(), MaskError> {
    for column in masks.keys() {
        let (part, remedy) = if cursor.contains(column) {
            (
                "cursor",
                "every chunk's position holds it; order the feed by other columns, for example a sequence",
            )
        } else if key.contains(column) {
            (
                "key",
                "newer versions and deletes are matched by it; key the feed by another unique column and mask this one",
            )
        } else if tombstone == Some(column) {
            (
                "tombstone",
                "deleted rows cannot be recognised without it; remove the mask",
            )
        } else {
            continue;
        };
        return Err(MaskError::Required {
            column: column.clone(),
            part,
            remedy,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use disclosure::mask::Keep;
    use schemas::column::{Column, ColumnType};

    use super::*;

    fn masks(of: &[(&str, Mask)]) -> ColumnMasks {
        of.iter()
            .map(|(name, mask)| ((*name).to_owned(), *mask))
            .collect()
    }

    fn recipient(name: &str) -> RecipientName {
        name.parse().unwrap()
    }

    fn schema() -> RowSchema {
        let column = |name: &str| Column {
            name: name.to_owned(),
            kind: ColumnType::Text { max: None },
            nullable: false,
        };
        RowSchema {
            name: "setl".to_owned(),
            version: 1,
            columns: ["at", "id", "psn_no", "fee", "gone"].map(column).to_vec(),
            key: vec!["id".to_owned()],
            tombstone: Some("gone".to_owned()),
        }
    }

    /// Permanently: another digest would stop every lane.
    #[test]
    fn mask_digest_differs_per_mask_and_is_unchanged_without() {
        let feed = Digest::of(&[b"feed"]);
        assert_eq!(definition(feed, &masks(&[])), feed);
        let dropped = definition(feed, &masks(&[("psn_no", Mask::Drop)]));
        let token = definition(feed, &masks(&[("psn_no", Mask::Token)]));
        let other = definition(feed, &masks(&[("fee", Mask::Drop)]));
        assert!(dropped != feed && dropped != token && dropped != other);
        assert_eq!(
            dropped.to_string(),
            "aab9821fafc88105af9376e86fd08059ca54297486fca3b2ca0786be33be9f22"
        );
    }

    #[test]
    fn mask_on_cursor_key_or_tombstone_is_refused() {
        let cursor = ["at".to_owned(), "id".to_owned()];
        for (column, part) in [("at", "cursor"), ("id", "cursor"), ("gone", "tombstone")] {
            for mask in [Mask::Drop, Mask::Token, Mask::Year] {
                let error = plan(&masks(&[(column, mask)]), &schema(), &cursor, &[]).unwrap_err();
                assert!(
                    matches!(&error, MaskError::Required { part: found, .. } if *found == part),
                    "{error}"
                );
            }
        }
        let error = plan(&masks(&[("id", Mask::Token)]), &schema(), &cursor[..1], &[]).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("key the feed by another unique column")
        );
        let kept = Mask::Keep(Keep { first: 0, last: 0 });
        let error = plan(&masks(&[("psn_no", kept)]), &schema(), &cursor, &[]).unwrap_err();
        assert!(matches!(error, MaskError::Plan(PlanError::Mask { .. })));
        let error = plan(&masks(&[("psnno", Mask::Drop)]), &schema(), &cursor, &[]).unwrap_err();
        assert!(matches!(error, MaskError::Plan(PlanError::NoSuchColumn { .. })));
    }

    #[test]
    fn mask_money_column_has_no_total() {
        let money = ["fee".to_owned()];
        assert_eq!(
            unmasked_money(&masks(&[("fee", Mask::Prefix(1))]), &money),
            [] as [String; 0]
        );
        assert_eq!(unmasked_money(&masks(&[("psn_no", Mask::Drop)]), &money), money);
        assert!(plan(&masks(&[("fee", Mask::Prefix(1))]), &schema(), &[], &money).is_ok());
    }

    #[test]
    fn masks_of_lanes_with_the_same_bytes_are_equal() {
        let key = MaskKey::new(&"k".repeat(32)).unwrap();
        let made = |mask, name| Masks::new(masks(&[("psn_no", mask)]), &recipient(name), Some(&key)).unwrap();
        assert_eq!(made(Mask::Drop, "insurer-a"), made(Mask::Drop, "insurer-b"));
        assert_ne!(made(Mask::Token, "insurer-a"), made(Mask::Token, "insurer-b"));
        assert_ne!(made(Mask::Token, "insurer-a"), made(Mask::Drop, "insurer-a"));
        let none = Masks::new(masks(&[]), &recipient("insurer-a"), None).unwrap();
        assert!(none.is_none());
        let error = Masks::new(masks(&[("psn_no", Mask::Token)]), &recipient("insurer-a"), None).unwrap_err();
        assert!(error.to_string().contains("[masking] key"));
        let keyless = Masks::new(masks(&[("psn_no", Mask::Drop)]), &recipient("insurer-a"), None);
        assert!(keyless.unwrap().is_some());
    }
}
