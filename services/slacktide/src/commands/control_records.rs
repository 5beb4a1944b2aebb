//! The control records that lanes, the lease and the local file name.

use exchange::Exchange;
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemas::heads::RecordRef;
use schemas::name::Lane;
use schemas::sign::SigningKey;
use social::control_head::Head;
use social::high_water_file::{HighWaterError, HighWaterFile};
use social::record_tracker::{RecordReference, named_by_lane, named_by_lease};

use super::lane_trust::lane_trust;
use crate::failure::Failure;
use crate::output;
use crate::settings::SocialFile;

/// Returns the local file of the newest control record, if one is configured.
pub(crate) fn high_water(loaded: &Loaded<SocialFile>) -> Option<HighWaterFile> {
    let social = &loaded.value.social;
    let path = loaded.resolve(social.high_water.as_ref()?);
    Some(HighWaterFile::new(path, social.name.clone()))
}

/// Writes the record in force to the local file, if one is configured. The order is in force even if that fails.
pub(crate) fn note_high_water(loaded: &Loaded<SocialFile>, mark: Option<RecordRef>, before: &Head) {
    if let (Some(file), Some(mark)) = (high_water(loaded), mark)
        && let Err(why) = file.record(mark, |noted| before.follows(noted))
    {
        output::note(&format!(
            "note: cannot write the record to the local file, the agent writes it when it runs: {why}"
        ));
    }
}

/// Returns all lanes of the file.
pub(crate) fn lanes(file: &SocialFile) -> Vec<Lane> {
    let lanes = file.feeds.iter().flat_map(|feed| {
        feed.recipients.iter().map(|recipient| Lane {
            recipient: recipient.clone(),
            feed: feed.name.clone(),
        })
    });
    lanes.collect()
}

/// Reads the control records that lanes, lease and the local file name.
pub(crate) async fn named(
    loaded: &Loaded<SocialFile>,
    exchange: &dyn Exchange,
    key: &SigningKey,
) -> Result<Vec<RecordReference>, Failure> {
    let file = &loaded.value;
    let mut all = Vec::new();
    for lane in lanes(file) {
        let trust = lane_trust(file, key, &lane.recipient);
        all.extend(named_by_lane(exchange, &lane, &trust).await?);
    }
    let publishers = [file.trust.chunks.clone(), vec![key.public().clone()]].concat();
    all.extend(named_by_lease(exchange, &file.social.source, &publishers).await?);
    if let Some(file) = high_water(loaded) {
        let failure = |error: HighWaterError| Failure::new(Exit::Evidence, error.to_string());
        let mark = file.read().map_err(failure)?;
        all.extend(mark.map(|mark| RecordReference {
            mark,
            by: format!("the file {}", file.path().display()),
        }));
    }
    all.sort_by_key(|named| named.mark);
    Ok(all)
}
