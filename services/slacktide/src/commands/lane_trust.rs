//! The keys that are trusted for the messages of a lane.

use schemas::name::RecipientName;
use schemas::sign::SigningKey;
use social::tail::Trust;

use crate::settings::SocialFile;

/// Returns the trusted keys of a recipient's lanes.
pub(crate) fn lane_trust(file: &SocialFile, key: &SigningKey, recipient: &RecipientName) -> Trust {
    let mut chunks = file.trust.chunks.clone();
    chunks.push(key.public().clone());
    Trust {
        chunks,
        receipts: file.trust.receipts.get(recipient).cloned().unwrap_or_default(),
        here: file.origin(),
    }
}
