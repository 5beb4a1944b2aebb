//! PURE: checks what chunks name of other chains: the control record in force, and the last audit entries.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use schemas::heads::RecordRef;
use schemas::manifest::Manifest;
use schemas::name::Lane;

use crate::violation::Violation;

/// How long after the first chunk that names a control record another lane may still publish under the previous one, because its
/// chunk was in flight. It is longer than any publish takes.
const IN_FLIGHT_TOLERANCE: SignedDuration = SignedDuration::from_secs(60);

/// The records and entries that the chunks read so far name.
#[derive(Debug, Default)]
pub struct Anchors {
    lanes: BTreeMap<Lane, RecordRef>,
    /// The newest record that any lane names, the chunk that names it first, and when that chunk was stored.
    newest: Option<(RecordRef, String, Timestamp)>,
    audit: BTreeMap<String, Anchor>,
}

/// An audit entry that a chunk names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// The entry.
    pub mark: RecordRef,
    /// The chunk that names it, for messages.
    pub by: String,
}

impl Anchors {
    /// Takes the next chunk of the stream, whose signature and chain were verified.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn push(&mut self, lane: &Lane, manifest: &Manifest, stored_at: Timestamp) -> Result<(), Violation> {
        let by = format!("{lane} chunk {}.{}", manifest.epoch, manifest.number);
        for (subject, mark) in &manifest.heads.audit {
            let is_newer = self
                .audit
                .get(subject)
                .is_none_or(|known| known.mark.number < mark.number);
            if is_newer {
                let anchor = Anchor {
                    mark: *mark,
                    by: by.clone(),
                };
                self.audit.insert(subject.clone(), anchor);
            }
        }
        let before = self.lanes.get(lane).copied();
        let Some(mark) = manifest.heads.control else {
            let newest = before.map(|mark| (mark, lane.to_string()));
            return newest
                .or_else(|| self.newest_elsewhere(stored_at))
                .map_or(Ok(()), |(newest, place)| {
                    Err(Violation::NoControlRecord { place, newest })
                });
        };
        let older = before
            .map(|before| (before, lane.to_string()))
            .filter(|(before, _)| is_older(mark, *before))
            .or_else(|| {
                self.newest_elsewhere(stored_at)
                    .filter(|(newest, _)| is_older(mark, *newest))
            });
        // The newest record is kept, so that every chunk under an older one is a fault.
        if before.is_none_or(|before| before.number < mark.number) {
            self.lanes.insert(lane.clone(), mark);
        }
        if self
            .newest
            .as_ref()
            .is_none_or(|(newest, ..)| newest.number < mark.number)
        {
            self.newest = Some((mark, by, stored_at));
        }
        match older {
            None => Ok(()),
            Some((newest, place)) => Err(Violation::OlderControlRecord { mark, place, newest }),
        }
    }

    fn newest_elsewhere(&self, stored_at: Timestamp) -> Option<(RecordRef, String)> {
        let (mark, by, since) = self.newest.as_ref()?;
        (stored_at.duration_since(*since) > IN_FLIGHT_TOLERANCE).then(|| (*mark, by.clone()))
    }

    /// Returns the newest control record that chunks name, with the chunk.
    #[must_use]
    pub fn control(&self) -> Option<(RecordRef, &str)> {
        self.newest.as_ref().map(|(mark, by, _)| (*mark, by.as_str()))
    }

    /// Returns the newest audit entry that chunks name, by subject.
    #[must_use]
    pub fn audit(&self) -> &BTreeMap<String, Anchor> {
        &self.audit
    }
}

/// Returns whether a record is older than another one, or has its number with other content.
fn is_older(mark: RecordRef, than: RecordRef) -> bool {
    mark.number < than.number || (mark.number == than.number && mark.digest != than.digest)
}

#[cfg(test)]
mod tests {
    use schemas::digest::Digest;
    use schemas::heads::Heads;
    use schemas::sign::SigningKey;

    use super::*;

    fn mark(number: u64, of: &str) -> RecordRef {
        RecordRef {
            number,
            digest: Digest::of(&[of.as_bytes()]),
        }
    }

    /// One chunk of a lane, under a record, stored so many seconds after the first.
    fn push(
        anchors: &mut Anchors,
        feed: &str,
        control: Option<RecordRef>,
        second: i64,
    ) -> Result<(), Violation> {
        let mut manifest = crate::chain::tests::chain(&SigningKey::generate(), 1).remove(0);
        manifest.feed = feed.parse().unwrap();
        manifest.heads = Heads {
            control,
            ..Heads::default()
        };
        anchors.push(
            &manifest.lane(),
            &manifest,
            Timestamp::from_second(second).unwrap(),
        )
    }

    #[test]
    fn anchors_chunk_under_an_older_record_is_a_fault() {
        let (one, two) = (mark(1, "one"), mark(2, "two"));
        for older in [Some(one), Some(mark(2, "rewritten")), None] {
            let mut anchors = Anchors::default();
            assert!(push(&mut anchors, "a", None, 0).is_ok());
            assert!(push(&mut anchors, "a", Some(one), 1).is_ok());
            assert!(push(&mut anchors, "a", Some(two), 2).is_ok());
            assert!(push(&mut anchors, "a", older, 3).is_err(), "{older:?}");
            assert!(
                push(&mut anchors, "a", Some(two), 4).is_ok(),
                "the rest is judged on its own"
            );
        }
    }

    #[test]
    fn anchors_other_lane_may_lag_only_within_the_tolerance() {
        let (one, two) = (mark(1, "one"), mark(2, "two"));
        let mut anchors = Anchors::default();
        assert!(push(&mut anchors, "a", Some(one), 0).is_ok());
        assert!(push(&mut anchors, "b", Some(two), 10).is_ok());
        assert!(push(&mut anchors, "a", Some(one), 12).is_ok());
        assert!(push(&mut anchors, "a", Some(one), 71).is_err());
        assert!(push(&mut anchors, "c", None, 72).is_err());
        assert!(push(&mut anchors, "a", Some(two), 73).is_ok());
    }
}
