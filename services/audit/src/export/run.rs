//! Exports the streams, one file for each period.

use std::collections::VecDeque;
use std::io::Write;

use exchange::port::ReadFrom;
use exchange::{AuditExchange, Stored};
use jiff::{SignedDuration, Timestamp};
use schemas::digest::Digest;
use schemas::name::{PartyName, SiteName};
use schemas::sign::SigningKey;
use verification::export::manifest::{Header, Manifest};
use verification::findings::KeyUses;
use verification::trust::KeyRule;

use super::claims::Claims;
use super::writer::{Writer, Written};
use crate::ends::{EndOf, READING_ORDER, StreamEnd, find_ends};
use crate::error::AuditError;
use crate::selection::Selection;
use crate::walk::{Page, WalkEnd, next_page};

/// What is exported.
#[derive(Debug, Clone)]
pub struct ExportPlan {
    /// The site.
    pub site: SiteName,
    /// Messages that were stored before are left out.
    pub from: Option<Timestamp>,
    /// Messages that were stored at this time or later are left out.
    pub until: Option<Timestamp>,
    /// Only the streams of these parties; empty means all.
    pub parties: Vec<PartyName>,
    /// The length of a period, which begins at a multiple of it since 1970-01-01 UTC; `None` writes one file.
    pub period: Option<SignedDuration>,
    /// The history of the keys, for the manifest.
    pub rules: Vec<KeyRule>,
}

/// The last file of an export that is continued.
#[derive(Debug, Clone)]
pub struct PreviousFile {
    /// Its signed manifest.
    pub manifest: Manifest,
    /// The digest of its last block.
    pub digest: Digest,
}

/// An export in progress.
pub struct Exporter<'a> {
    exchange: &'a dyn AuditExchange,
    plan: ExportPlan,
    key: &'a SigningKey,
    cursors: Vec<Cursor>,
    claims: Claims,
    number: u64,
    previous: Option<Digest>,
    denied: Vec<verification::StreamId>,
    done: u64,
}

/// The position in a stream.
struct Cursor {
    end_of: EndOf,
    filter: String,
    from: ReadFrom,
    next: u64,
    buffer: VecDeque<Stored>,
    /// How the stream ended, if it did.
    ended: Option<WalkEnd>,
    /// When its next message was stored, if that is known.
    next_at: Option<Timestamp>,
}

impl<'a> Exporter<'a> {
    /// Asks for the ends of all streams, and continues after the last file of an earlier run.
    ///
    /// # Errors
    /// [`AuditError`] from the exchange.
    pub async fn begin(
        exchange: &'a dyn AuditExchange,
        plan: ExportPlan,
        key: &'a SigningKey,
        previous: Option<PreviousFile>,
    ) -> Result<Self, AuditError> {
        let mut denied = Vec::new();
        let ends = find_ends(exchange, &READING_ORDER, &plan.parties, &mut denied).await?;
        let cursors = ends.into_iter().map(|end_of| {
            let filter = Selection::all(end_of.stream.stream).filter(&end_of.stream.party);
            let known = previous.as_ref().and_then(|previous| {
                let mut parts = previous.manifest.streams.iter();
                parts.find(|part| part.stream == end_of.stream)
            });
            let from = match (known, plan.from) {
                (Some(part), _) if part.next > 1 => ReadFrom::Sequence(part.next),
                (_, Some(time)) => ReadFrom::Time(time),
                (_, None) => ReadFrom::Sequence(1),
            };
            Cursor {
                end_of,
                filter,
                from,
                next: known.map_or(1, |part| part.next),
                buffer: VecDeque::new(),
                ended: None,
                next_at: None,
            }
        });
        Ok(Self {
            exchange,
            cursors: cursors.collect(),
            key,
            claims: previous.as_ref().map_or_else(Claims::default, |previous| Claims {
                heads: previous.manifest.heads.clone(),
                keys: KeyUses::continuing(&previous.manifest.keys),
            }),
            number: previous
                .as_ref()
                .map_or(0, |previous| previous.manifest.header.number),
            previous: previous.map(|previous| previous.digest),
            plan,
            denied,
            done: 0,
        })
    }

    /// Returns an upper bound of the number of messages to export; `None` if an end is not known.
    #[must_use]
    pub fn messages(&self) -> Option<u64> {
        let of = |cursor: &Cursor| match cursor.end_of.end {
            StreamEnd::Sequence(end) => Some((end + 1).saturating_sub(cursor.next)),
            StreamEnd::Unknown => None,
        };
        self.cursors.iter().map(of).sum()
    }

    /// Returns the number of messages that were exported.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.done
    }

    /// Returns the number of the next file.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        self.number + 1
    }

    /// Returns the streams that the credential may not read.
    #[must_use]
    pub fn denied(&self) -> &[verification::StreamId] {
        &self.denied
    }

    /// Returns whether the export has not reached its end, so that another file follows. The first file is written also if it
    /// holds nothing.
    ///
    /// # Errors
    /// [`AuditError`] from the exchange.
    pub async fn has_more(&mut self) -> Result<bool, AuditError> {
        Ok(self.number == 0 || self.next_time().await?.is_some())
    }

    /// Returns when the oldest message that is not exported was stored; `None` if there is none.
    async fn next_time(&mut self) -> Result<Option<Timestamp>, AuditError> {
        let mut oldest = None;
        for cursor in &mut self.cursors {
            if cursor.next_at.is_none() {
                cursor.fill(self.exchange).await?;
            }
            let next_at = cursor
                .next_at
                .filter(|at| self.plan.until.is_none_or(|until| *at < until));
            oldest = [oldest, next_at].into_iter().flatten().min();
        }
        Ok(oldest)
    }

    /// Writes the next file. `progress` gets the number of messages so far.
    ///
    /// # Errors
    /// [`AuditError`] from the exchange or the output.
    pub async fn write_file<W: Write>(
        &mut self,
        out: W,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<Written<W>, AuditError> {
        let period_end = match (self.plan.period, self.next_time().await?) {
            (Some(period), Some(time)) => period_end(time, period),
            _ => None,
        };
        let until = [self.plan.until, period_end].into_iter().flatten().min();
        let header = Header {
            site: self.plan.site.clone(),
            number: self.number + 1,
            previous: self.previous,
            from: self.plan.from,
            until,
            streams: self
                .cursors
                .iter()
                .map(|cursor| cursor.end_of.stream.clone())
                .collect(),
            is_selection: !self.plan.parties.is_empty() || !self.denied.is_empty(),
        };
        let mut writer = Writer::new(out, header)?;
        for index in 0..self.cursors.len() {
            let Some(cursor) = self.cursors.get_mut(index) else {
                break;
            };
            while let Some(message) = cursor.next_before(self.exchange, until).await? {
                writer.push(index, &message)?;
                self.claims.add(&cursor.end_of.stream, &message);
                self.done += 1;
                progress(self.done);
            }
            if let Some(part) = writer.parts_mut().get_mut(index) {
                part.next = cursor.next;
                match cursor.ended {
                    Some(WalkEnd::Missed { end }) => part.missed = Some(end),
                    Some(WalkEnd::Unknown) => part.is_end_unknown = true,
                    _ => {}
                }
            }
            // Of other streams one page would stay in memory.
            cursor.release();
        }
        let written = writer.finish(&self.claims, &self.plan.rules, self.key)?;
        (self.number, self.previous) = (self.number + 1, Some(written.digest));
        Ok(written)
    }

    /// Returns the streams whose end was not reached, with the reason.
    #[must_use]
    pub fn missed(&self) -> Vec<String> {
        let of = |cursor: &Cursor| match cursor.ended {
            Some(WalkEnd::Missed { end }) => Some(format!(
                "{}: read up to sequence {}, its leader has {end}",
                cursor.end_of.stream,
                cursor.next.saturating_sub(1)
            )),
            Some(WalkEnd::Unknown) => Some(format!(
                "{}: the transport does not report its last sequence",
                cursor.end_of.stream
            )),
            _ => None,
        };
        self.cursors.iter().filter_map(of).collect()
    }
}

impl Cursor {
    /// Reads the next page if the buffer is empty.
    async fn fill(&mut self, exchange: &dyn AuditExchange) -> Result<(), AuditError> {
        if self.buffer.is_empty() && self.ended.is_none() {
            let EndOf { stream, end } = &self.end_of;
            match next_page(exchange, stream, *end, &self.filter, self.from).await? {
                Page::Messages(messages) => {
                    // What was stored after the end was asked for is left to the next export.
                    let is_before = |message: &Stored| match end {
                        StreamEnd::Sequence(end) => message.sequence <= *end,
                        StreamEnd::Unknown => true,
                    };
                    self.buffer.extend(messages.into_iter().filter(is_before));
                    if self.buffer.is_empty() {
                        self.ended = Some(WalkEnd::Reached);
                    }
                }
                Page::End(end) => self.ended = Some(end),
            }
        }
        self.next_at = self.buffer.front().map(|message| message.stored_at);
        Ok(())
    }

    /// Returns the next message, if it was stored before this time.
    async fn next_before(
        &mut self,
        exchange: &dyn AuditExchange,
        until: Option<Timestamp>,
    ) -> Result<Option<Stored>, AuditError> {
        self.fill(exchange).await?;
        let is_before = |message: &Stored| until.is_none_or(|until| message.stored_at < until);
        if !self.buffer.front().is_some_and(is_before) {
            return Ok(None);
        }
        let message = self.buffer.pop_front();
        if let Some(message) = &message {
            self.next = message.sequence + 1;
            self.from = ReadFrom::Sequence(self.next);
        }
        Ok(message)
    }

    fn release(&mut self) {
        self.buffer = VecDeque::new();
    }
}

/// Returns the end of the period that a time is in.
fn period_end(time: Timestamp, period: SignedDuration) -> Option<Timestamp> {
    let length = period.as_secs().max(1);
    let begin = time.as_second().div_euclid(length).saturating_mul(length);
    Timestamp::from_second(begin.saturating_add(length)).ok()
}
