//! PURE: checks the rules between consecutive chunks of a lane.
//!
//! Numbers have no gap, each chunk names the digest of the previous one, and each cursor begins where the last one ended. A new
//! epoch begins with an opening that states who decided it, why, and which chunk it continues.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemas::cursor::Cursor;
use schemas::digest::Digest;
use schemas::encryption::position;
use schemas::load::GateState;
use schemas::manifest::{Cause, Link, Manifest};
use schemas::name::Lane;
use schemas::total::Total;
use schemas::value::Value;
use serde::Serialize;

use crate::violation::Violation;

/// The valid chunks of a lane.
#[derive(Debug, Default)]
pub struct Chain {
    last: Option<LastChunk>,
    links: Links,
    money: BTreeMap<String, Total>,
    report: Report,
}

/// The digests of a lane's chunks, by position.
#[derive(Debug, Default)]
struct Links {
    /// By epoch: the number of the first chunk, and the digests from there on.
    epochs: BTreeMap<u32, (u64, Vec<Digest>)>,
}

impl Links {
    fn push(&mut self, link: Link) {
        let (_, digests) = self.epochs.entry(link.epoch).or_insert((link.number, Vec::new()));
        digests.push(link.digest);
    }

    fn digest(&self, epoch: u32, number: u64) -> Option<Digest> {
        let (first, digests) = self.epochs.get(&epoch)?;
        let index = usize::try_from(number.checked_sub(*first)?).ok()?;
        digests.get(index).copied()
    }

    fn contains(&self, link: &Link) -> bool {
        self.digest(link.epoch, link.number) == Some(link.digest)
    }
}

#[derive(Debug)]
struct LastChunk {
    link: Link,
    cursor: Option<Cursor>,
    instance: String,
}

/// The verification report of a lane.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Report {
    /// Valid chunks.
    pub chunks: u64,
    /// Their rows.
    pub rows: u64,
    /// Those of `rows` that are marked as deleted.
    pub deleted: u64,
    /// Source rows that could not be carried.
    pub rejects: u64,
    /// Encrypted chunks whose rows and sums were not checked, because no key was given.
    pub not_decrypted: u64,
    /// The number of consecutive chunks whose positions could not be compared, because they are encrypted with different keys
    /// or one is plain.
    pub positions_not_compared: u64,
    /// Exact sums of the money columns of decrypted chunks.
    pub money: BTreeMap<String, String>,
    /// The last epoch.
    pub epoch: u32,
    /// The last number in it.
    pub number: u64,
    /// The digest of the last chunk.
    pub head: Option<Digest>,
    /// One entry for each run of chunks by one publisher process.
    pub publishers: Vec<PublisherRun>,
    /// The openings of later epochs.
    pub openings: Vec<OpeningNote>,
    /// The first chunk, if the stream no longer begins at number 1.
    pub begins_at: Option<Link>,
    /// Chunks whose load evidence shows a closed gate. The chain is valid; the bureau must explain them.
    pub read_while_gate_closed: u64,
    /// When the exchange stored the first and the last chunk.
    pub stored: Option<(Timestamp, Timestamp)>,
}

/// Consecutive chunks by one publisher process.
#[derive(Debug, Clone, Serialize)]
pub struct PublisherRun {
    /// The instance of the process.
    pub instance: String,
    /// Epoch and number of its first chunk here.
    pub from: (u32, u64),
    /// Epoch and number of its last chunk here.
    pub to: (u32, u64),
}

/// A new epoch.
#[derive(Debug, Clone, Serialize)]
pub struct OpeningNote {
    /// The epoch.
    pub epoch: u32,
    /// The opening.
    pub opening: schemas::manifest::Opening,
    /// Whether the stream holds the chunk that it continues. After a restore it may not.
    pub continues_here: bool,
}

impl Chain {
    /// Takes the lane's next chunk, in the exchange's order. Its signature and body were verified, and its rows and totals if it
    /// was `opened`.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn push(
        &mut self,
        lane: &Lane,
        manifest: &Manifest,
        digest: Digest,
        opened: bool,
        stored_at: Timestamp,
    ) -> Result<(), Violation> {
        let link = Link {
            epoch: manifest.epoch,
            number: manifest.number,
            digest,
        };
        if manifest.lane() != *lane {
            return Err(Violation::WrongLane {
                what: "chunk",
                of: manifest.lane(),
                subject: lane.clone(),
            });
        }
        match &self.last {
            None => self.begin(manifest, link)?,
            Some(last) if manifest.epoch == last.link.epoch => {
                let compared = check_follows(last, manifest)?;
                self.report.positions_not_compared += u64::from(!compared);
            }
            Some(last) if manifest.epoch == last.link.epoch + 1 || is_gap_declared(last, manifest) => {
                self.reopen(manifest)?;
            }
            Some(last) => {
                return Err(Violation::EpochGap {
                    epoch: manifest.epoch,
                    last: last.link.epoch,
                });
            }
        }
        self.report.not_decrypted += u64::from(!opened);
        self.count(manifest, link, stored_at)
    }

    fn begin(&mut self, manifest: &Manifest, link: Link) -> Result<(), Violation> {
        let is_whole = (manifest.epoch, manifest.number) == (1, 1);
        if is_whole && manifest.previous.is_some() {
            return Err(Violation::FirstHasPrevious);
        }
        if !is_whole {
            self.report.begins_at = Some(link);
        }
        Ok(())
    }

    fn reopen(&mut self, manifest: &Manifest) -> Result<(), Violation> {
        let opening = manifest
            .opening
            .clone()
            .ok_or(Violation::NoOpening(manifest.epoch))?;
        if manifest.number != 1 {
            return Err(Violation::EpochBegin {
                epoch: manifest.epoch,
                number: manifest.number,
            });
        }
        if opening.continues.map(|link| link.digest) != manifest.previous {
            return Err(Violation::OpeningMismatch);
        }
        let continues_here = opening.continues.is_none_or(|link| self.links.contains(&link));
        self.report.openings.push(OpeningNote {
            epoch: manifest.epoch,
            opening,
            continues_here,
        });
        Ok(())
    }

    fn count(&mut self, manifest: &Manifest, link: Link, stored_at: Timestamp) -> Result<(), Violation> {
        for (name, sum) in &manifest.content.totals.money {
            let mut total = Total::default();
            total.add(Value::Text(sum));
            self.money.entry(name.clone()).or_default().add_total(&total);
        }
        let position = (link.epoch, link.number);
        let report = &mut self.report;
        match report
            .publishers
            .last_mut()
            .filter(|run| run.instance == manifest.content.instance)
        {
            Some(run) => run.to = position,
            None => report.publishers.push(PublisherRun {
                instance: manifest.content.instance.clone(),
                from: position,
                to: position,
            }),
        }
        report.chunks += 1;
        report.rows += manifest.content.totals.rows;
        report.deleted += manifest.content.totals.deleted;
        let encryption = manifest
            .content
            .body
            .encryption
            .as_ref()
            .filter(|_| manifest.content.rejects.is_empty());
        report.rejects += encryption.map_or(manifest.content.rejects.len() as u64, |encryption| {
            encryption.rejects
        });
        report.read_while_gate_closed += u64::from(
            manifest.content.totals.rows > 0
                && manifest
                    .content
                    .load
                    .verdicts
                    .first()
                    .is_some_and(|v| v.state == GateState::Closed),
        );
        (report.epoch, report.number, report.head) = (link.epoch, link.number, Some(link.digest));
        report.stored = Some((report.stored.map_or(stored_at, |(first, _)| first), stored_at));
        if manifest.content.read_to < manifest.content.read_from {
            return Err(Violation::ReadTimes);
        }
        self.links.push(link);
        self.last = Some(LastChunk {
            link,
            cursor: manifest.cursor_after.clone(),
            instance: manifest.content.instance.clone(),
        });
        Ok(())
    }

    /// Returns whether the chain holds a chunk.
    #[must_use]
    pub fn holds(&self, epoch: u32, number: u64, digest: Digest) -> bool {
        self.links.contains(&Link {
            epoch,
            number,
            digest,
        })
    }

    /// Returns the digest of a chunk, if the chain has one with this number.
    #[must_use]
    pub fn digest(&self, epoch: u32, number: u64) -> Option<Digest> {
        self.links.digest(epoch, number)
    }

    /// Returns whether the stream begins after a chunk.
    #[must_use]
    pub fn begins_after(&self, epoch: u32, number: u64) -> bool {
        let begin = self.report.begins_at;
        begin.is_some_and(|begin| (begin.epoch, begin.number) > (epoch, number))
    }

    /// Returns the number of chunks that a later epoch replaced: it continues before them.
    #[must_use]
    pub fn replaced(&self) -> u64 {
        let of_opening = |note: &OpeningNote| {
            let link = note.opening.continues?;
            let (first, digests) = self.links.epochs.get(&link.epoch)?;
            Some(
                (first + digests.len() as u64)
                    .saturating_sub(1)
                    .saturating_sub(link.number),
            )
        };
        self.report.openings.iter().filter_map(of_opening).sum()
    }

    /// Returns whether an operator's opening explains that a chunk which the receiver signed for is not in the stream: a later epoch
    /// continues before it, or at a chunk that is lost too. Another chunk in its place is explained only if the exchange was restored.
    #[must_use]
    pub fn is_declared_lost(&self, epoch: u32, number: u64) -> bool {
        let is_missing = self.digest(epoch, number).is_none();
        self.report.openings.iter().any(|note| {
            let continues = note
                .opening
                .continues
                .map_or((0, 0), |link| (link.epoch, link.number));
            let is_behind = (epoch, number) > continues;
            let is_explained = if is_missing {
                is_behind || !note.continues_here
            } else {
                is_behind && note.opening.cause == Cause::ExchangeRestored
            };
            is_explained && note.epoch > epoch
        })
    }

    /// Returns the last chunk.
    #[must_use]
    pub fn last(&self) -> Option<Link> {
        self.last.as_ref().map(|last| last.link)
    }

    /// Returns whether the chain holds a chunk, or the chunk is older than the retained stream.
    #[must_use]
    pub fn reaches(&self, link: Link) -> bool {
        self.links.contains(&link) || self.begins_after(link.epoch, link.number)
    }

    /// Returns the report so far.
    #[must_use]
    pub fn report(&self) -> Report {
        let money = self
            .money
            .iter()
            .map(|(name, total)| (name.clone(), total.to_string()))
            .collect();
        Report {
            money,
            ..self.report.clone()
        }
    }
}

/// PURE: returns whether an opening declares that the epochs since the last chunk are lost: the exchange was restored from a copy
/// that lacks them, and the receiver had signed for the last of them.
fn is_gap_declared(last: &LastChunk, manifest: &Manifest) -> bool {
    let continues = manifest
        .opening
        .as_ref()
        .filter(|opening| opening.cause == Cause::ExchangeRestored)
        .and_then(|opening| opening.continues);
    continues
        .is_some_and(|link| link.epoch > last.link.epoch && link.epoch.checked_add(1) == Some(manifest.epoch))
}

/// Checks that a chunk follows the last one. Returns whether their positions could be compared.
fn check_follows(last: &LastChunk, manifest: &Manifest) -> Result<bool, Violation> {
    if manifest.number != last.link.number + 1 {
        return Err(Violation::NumberGap {
            number: manifest.number,
            by: manifest.content.instance.clone(),
            last: last.link.number,
            last_by: last.instance.clone(),
        });
    }
    if manifest.previous != Some(last.link.digest) {
        return Err(Violation::WrongPrevious(last.link.number));
    }
    if manifest.opening.is_some() {
        return Err(Violation::LateOpening);
    }
    match position::same(last.cursor.as_ref(), manifest.cursor_before.as_ref()) {
        Some(false) => Err(Violation::CursorGap(last.link.number)),
        same => Ok(same.is_some()),
    }
}

#[cfg(test)]
pub(crate) mod tests;
