//! PURE: the rules that hold from one chunk of a lane to the next.
//!
//! One chain has one chunk after the other: numbers without a gap, each naming the digest of
//! the one before, each cursor beginning where the last one ended. A new epoch begins with an
//! opening that says who decided it, why, and which chunk it goes on from.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemas::cursor::Cursor;
use schemas::load::GateState;
use schemas::manifest::{Link, Manifest};
use schemas::name::Lane;
use schemas::seal::position;
use schemas::total::Total;
use schemas::value::Value;
use serde::Serialize;

/// What a lane's chunks add up to, as far as they hold.
#[derive(Debug, Default)]
pub struct Chain {
    last: Option<Last>,
    links: Vec<Link>,
    money: BTreeMap<String, Total>,
    report: Report,
}

#[derive(Debug)]
struct Last {
    link: Link,
    cursor: Option<Cursor>,
    instance: String,
}

/// The sum of a lane.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Report {
    /// Chunks that hold.
    pub chunks: u64,
    /// Their rows.
    pub rows: u64,
    /// Of these, rows marked as deleted.
    pub deleted: u64,
    /// Source rows that could not be carried.
    pub rejects: u64,
    /// Chunks whose rows and sums were not checked: they are sealed, and no key was given.
    pub not_opened: u64,
    /// Places where it was not told whether one chunk begins where the one before ends: their
    /// positions are sealed with different keys, or one of them is in clear.
    pub positions_not_compared: u64,
    /// Exact sums of the money columns, as far as they were opened.
    pub money: BTreeMap<String, String>,
    /// The last epoch.
    pub epoch: u32,
    /// The last number in it.
    pub number: u64,
    /// The digest of the last chunk.
    pub head: Option<schemas::digest::Digest>,
    /// One entry for each stretch of chunks by one publisher process.
    pub publishers: Vec<Stretch>,
    /// Epochs after the first, with who opened them and why.
    pub openings: Vec<OpeningNote>,
    /// The first chunk kept, where the stream no longer begins at number 1.
    pub begins_at: Option<Link>,
    /// Chunks whose own evidence names a shut gate. Not a broken chain; a question to the bureau.
    pub read_under_a_shut_gate: u64,
    /// When the exchange stored the first and the last one.
    pub stored: Option<(Timestamp, Timestamp)>,
}

/// Consecutive chunks by one publisher process.
#[derive(Debug, Clone, Serialize)]
pub struct Stretch {
    /// The process's name for itself.
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
    /// What it says of itself.
    pub opening: schemas::manifest::Opening,
    /// Whether the chunk it goes on from stands in this stream. After a restore it need not.
    pub continues_here: bool,
}

impl Chain {
    /// Takes the lane's next chunk, in the exchange's order. Its signature and body were checked
    /// before, and its rows and totals where it was `opened`.
    ///
    /// # Errors
    /// The rule it breaks, in words.
    pub fn push(
        &mut self,
        lane: &Lane,
        manifest: &Manifest,
        digest: schemas::digest::Digest,
        opened: bool,
        stored_at: Timestamp,
    ) -> Result<(), String> {
        let link = Link {
            epoch: manifest.epoch,
            number: manifest.number,
            digest,
        };
        if manifest.lane() != *lane {
            return Err(format!(
                "a chunk of lane {} stands on the subject of lane {lane}",
                manifest.lane()
            ));
        }
        match &self.last {
            None => self.begin(manifest, link)?,
            Some(last) if manifest.epoch == last.link.epoch => {
                let compared = follow(last, manifest)?;
                self.report.positions_not_compared += u64::from(!compared);
            }
            Some(last) if manifest.epoch == last.link.epoch + 1 => self.reopen(manifest)?,
            Some(last) => {
                return Err(format!(
                    "epoch {} stands behind epoch {}",
                    manifest.epoch, last.link.epoch
                ));
            }
        }
        self.report.not_opened += u64::from(!opened);
        self.count(manifest, link, stored_at)
    }

    fn begin(&mut self, manifest: &Manifest, link: Link) -> Result<(), String> {
        let whole = (manifest.epoch, manifest.number) == (1, 1);
        if whole && manifest.previous.is_some() {
            return Err("the first chunk names a chunk before it".to_owned());
        }
        if !whole {
            self.report.begins_at = Some(link);
        }
        Ok(())
    }

    fn reopen(&mut self, manifest: &Manifest) -> Result<(), String> {
        let opening = manifest
            .opening
            .clone()
            .ok_or_else(|| format!("epoch {} begins without an opening", manifest.epoch))?;
        if manifest.number != 1 {
            return Err(format!(
                "epoch {} begins at number {}",
                manifest.epoch, manifest.number
            ));
        }
        if opening.continues.map(|link| link.digest) != manifest.previous {
            return Err("the opening names another chunk before it than the chain does".to_owned());
        }
        let continues_here = opening.continues.is_none_or(|link| self.links.contains(&link));
        self.report.openings.push(OpeningNote {
            epoch: manifest.epoch,
            opening,
            continues_here,
        });
        Ok(())
    }

    fn count(&mut self, manifest: &Manifest, link: Link, stored_at: Timestamp) -> Result<(), String> {
        for (name, sum) in &manifest.totals.money {
            let mut total = Total::default();
            total.add(Value::Text(sum));
            self.money.entry(name.clone()).or_default().add_total(&total);
        }
        let place = (link.epoch, link.number);
        let report = &mut self.report;
        match report
            .publishers
            .last_mut()
            .filter(|stretch| stretch.instance == manifest.publisher.instance)
        {
            Some(stretch) => stretch.to = place,
            None => report.publishers.push(Stretch {
                instance: manifest.publisher.instance.clone(),
                from: place,
                to: place,
            }),
        }
        report.chunks += 1;
        report.rows += manifest.totals.rows;
        report.deleted += manifest.totals.deleted;
        let sealed = manifest
            .body
            .sealing
            .as_ref()
            .filter(|_| manifest.rejects.is_empty());
        report.rejects += sealed.map_or(manifest.rejects.len() as u64, |sealing| sealing.rejects);
        report.read_under_a_shut_gate += u64::from(
            manifest.totals.rows > 0
                && manifest
                    .load
                    .verdicts
                    .first()
                    .is_some_and(|v| v.state == GateState::Shut),
        );
        (report.epoch, report.number, report.head) = (link.epoch, link.number, Some(link.digest));
        report.stored = Some((report.stored.map_or(stored_at, |(first, _)| first), stored_at));
        if manifest.read_to < manifest.read_from {
            return Err("its reading ended before it began".to_owned());
        }
        self.links.push(link);
        self.last = Some(Last {
            link,
            cursor: manifest.cursor_after.clone(),
            instance: manifest.publisher.instance.clone(),
        });
        Ok(())
    }

    /// Whether a chunk of this name stands in the chain.
    #[must_use]
    pub fn holds(&self, epoch: u32, number: u64, digest: schemas::digest::Digest) -> bool {
        self.links.contains(&Link {
            epoch,
            number,
            digest,
        })
    }

    /// The last chunk; none: there is none.
    #[must_use]
    pub fn last(&self) -> Option<Link> {
        self.last.as_ref().map(|last| last.link)
    }

    /// Returns whether the chain holds a chunk, or held it before its beginning, where the stream no longer keeps it.
    #[must_use]
    pub fn reaches(&self, link: Link) -> bool {
        let is_before = |begin: Link| (begin.epoch, begin.number) > (link.epoch, link.number);
        self.links.contains(&link) || self.report.begins_at.is_some_and(is_before)
    }

    /// The sum so far.
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

/// Whether it was told that it begins where the last one ends.
fn follow(last: &Last, manifest: &Manifest) -> Result<bool, String> {
    if manifest.number != last.link.number + 1 {
        return Err(format!(
            "number {} by {} stands behind number {} by {}",
            manifest.number, manifest.publisher.instance, last.link.number, last.instance
        ));
    }
    if manifest.previous != Some(last.link.digest) {
        return Err(format!(
            "it does not name the digest of number {}",
            last.link.number
        ));
    }
    if manifest.opening.is_some() {
        return Err("an opening stands in the middle of an epoch".to_owned());
    }
    match position::same(last.cursor.as_ref(), manifest.cursor_before.as_ref()) {
        Some(false) => Err(format!(
            "its rows do not begin where those of number {} end",
            last.link.number
        )),
        same => Ok(same.is_some()),
    }
}

#[cfg(test)]
pub(crate) mod tests;
