//! PURE: whether a message is the chunk that follows in its feed.
//!
//! The gateway has no key. It checks what needs none: subject, numbers, links, digests. A reader that has to detect a forged chunk
//! reads `/chunks` and verifies the signatures itself.

use schemas::digest::Digest;
use schemas::manifest::Manifest;
use schemas::name::Lane;

/// The chunk before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LastChunk {
    /// Its epoch.
    pub(crate) epoch: u32,
    /// Its number.
    pub(crate) number: u64,
    /// Its digest.
    pub(crate) digest: Digest,
}

impl LastChunk {
    /// Returns the fields of a chunk that the next one is compared with.
    #[must_use]
    pub(crate) fn of(manifest: &Manifest, digest: Digest) -> Self {
        Self {
            epoch: manifest.epoch,
            number: manifest.number,
            digest,
        }
    }
}

/// Checks that a chunk belongs to the lane and follows the last one. Without a last one any chunk may be the first.
///
/// # Errors
/// What contradicts, in one sentence.
pub(crate) fn check_follows(
    last: Option<&LastChunk>,
    lane: &Lane,
    manifest: &Manifest,
) -> Result<(), String> {
    if manifest.lane() != *lane {
        return Err(format!(
            "a chunk of {} is on the subject of {lane}",
            manifest.lane()
        ));
    }
    let Some(last) = last else { return Ok(()) };
    let (given, before) = (
        format!("chunk {}.{}", manifest.epoch, manifest.number),
        format!("chunk {}.{}", last.epoch, last.number),
    );
    if manifest.epoch == last.epoch {
        if manifest.number != last.number.saturating_add(1) {
            return Err(format!(
                "{given} follows {before}: chunks between them are missing"
            ));
        }
        if manifest.previous != Some(last.digest) {
            return Err(format!("{given} does not name the digest of {before}"));
        }
        return Ok(());
    }
    let opens_next = manifest.epoch == last.epoch.saturating_add(1) && manifest.number == 1;
    if opens_next && manifest.opening.is_some() {
        Ok(())
    } else {
        Err(format!(
            "{given} follows {before} and does not open the next epoch"
        ))
    }
}
