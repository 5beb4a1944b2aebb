//! The end of a verification: what refers to other messages, what is not covered, and the heads.

use std::collections::BTreeSet;

use schemas::heads::RecordRef;
use schemas::name::RecipientName;
use schemas::stream::Stream;
use schemas::subject::Subject;

use super::{Scope, Verifier};
use crate::chain::Chain;
use crate::fault::{Fault, FaultClass};
use crate::findings::Findings;
use crate::heads::KeptHeads;
use crate::message::StreamId;
use crate::receipts::KEPT_FOR_EACH_LANE;
use crate::trust::Trust;
use crate::violation::Violation;

impl Verifier<'_> {
    /// Ends the verification. The streams must hold the heads that the auditor kept.
    #[must_use]
    pub fn finish(mut self, since: Option<&KeptHeads>) -> Findings {
        let unanchored = std::mem::take(&mut self.unanchored);
        unanchored.into_iter().for_each(|fault| self.findings.add(fault));
        self.check_receipt_gaps();
        self.check_receipts();
        self.check_entries();
        self.check_orders();
        self.check_requests();
        self.findings.heads = self.heads();
        if let Some(since) = since {
            let missing = since.missing(&self.lanes, &self.receipts, &self.entries, &self.orders);
            missing.into_iter().for_each(|fault| self.findings.add(fault));
        }
        self.list_not_covered();
        self.findings.keys = self.keys.list();
        for (lane, chain) in &self.lanes {
            if chain.last().is_some() {
                self.findings.lanes.insert(lane.to_string(), chain.report());
            }
        }
        self.findings
    }

    /// A stream of receipts drops the oldest receipt of a lane that has as many as it keeps. If it has a lane with so many, a gap between
    /// receipts is not covered; else it is a fault.
    fn check_receipt_gaps(&mut self) {
        let mut dropped = 0;
        for (stream, missing, fault) in std::mem::take(&mut self.receipt_gaps) {
            let is_full = self.receipts.iter().any(|(lane, receipts)| {
                lane.recipient.as_str() == stream.party.as_str() && receipts.count >= KEPT_FOR_EACH_LANE
            });
            if is_full || self.starts_late || self.trust.receipts.is_empty() {
                dropped += missing;
            } else {
                self.findings.add(fault);
            }
        }
        if dropped > 0 {
            self.findings.not_covered.push(format!(
                "{dropped} receipts between others: the stream keeps the last {KEPT_FOR_EACH_LANE} of each lane, and a receipt covers \
                 all chunks before it"
            ));
        }
    }

    fn check_receipts(&mut self) {
        if self.trust.chunks.is_empty() {
            return;
        }
        let mut faults = Vec::new();
        for (lane, receipts) in &self.receipts {
            let data = Subject::Data(lane.clone()).to_string();
            if !self.is_passed(Stream::Data, lane.recipient.as_str()) {
                continue;
            }
            let Some(chain) = self.lanes.get(lane).filter(|_| !self.stopped.contains(&data)) else {
                continue;
            };
            if self.starts_late && chain.last().is_none() {
                continue;
            }
            // The first one locates the fault: later receipts cover the same chunks.
            let Some((pending, violation)) = receipts.disagreeing(chain).next() else {
                continue;
            };
            let mut fault = missing(
                Stream::Receipts,
                &lane.recipient,
                Subject::Receipt(lane.clone()).to_string(),
                &violation,
            );
            fault.file = pending.place.file.as_deref().map(str::to_owned);
            fault.record = pending.place.record;
            fault.sequence = pending.sequence;
            faults.push(fault);
        }
        faults.into_iter().for_each(|fault| self.findings.add(fault));
    }

    fn check_entries(&mut self) {
        if self.trust.entries.is_empty() {
            return;
        }
        for (subject, anchor) in self.anchors.audit() {
            if !self.is_passed(Stream::Audit, subject.split('.').nth(1).unwrap_or_default()) {
                continue;
            }
            let chain = self.entries.get(subject);
            if self.starts_late && chain.is_none() {
                continue;
            }
            if !chain.is_some_and(|chain| chain.holds(anchor.mark)) {
                let ends = chain
                    .and_then(crate::entries::Entries::last)
                    .map_or("is empty".to_owned(), |last| format!("ends with {last}"));
                let violation = Violation::EntryOfMissing {
                    by: anchor.by.clone(),
                    mark: anchor.mark,
                    ends,
                };
                let what = violation.to_string();
                let fault = Fault::of_missing(None, subject.clone(), FaultClass::Chain, what);
                self.findings.add(fault);
            }
        }
    }

    fn check_orders(&mut self) {
        let is_passed = self.scope == Scope::Whole && self.is_passed(Stream::Control, "");
        let is_older = self.starts_late && self.orders.is_empty();
        if !is_passed || is_older || self.trust.entries.is_empty() {
            return;
        }
        let Some((mark, by)) = self.anchors.control() else {
            return;
        };
        let holds = |mark: RecordRef| self.orders.values().any(|chain| chain.holds(mark));
        if !holds(mark) {
            let by = by.to_owned();
            let what = Violation::RecordOfMissing { by, mark }.to_string();
            let subject = Stream::Control.token().to_owned();
            self.findings
                .add(Fault::of_missing(None, subject, FaultClass::Chain, what));
        }
    }

    fn check_requests(&mut self) {
        let needed = [Stream::Requests, Stream::Replies, Stream::Parts];
        let incomplete: BTreeSet<(Stream, RecipientName)> = self
            .parties()
            .into_iter()
            .flat_map(|recipient| needed.map(|stream| (stream, recipient.clone())))
            .filter(|(stream, recipient)| self.is_incomplete(*stream, recipient))
            .collect();
        let (summary, late) = self.requests.finish(&incomplete);
        self.findings.requests = summary;
        for found in late {
            let stream = found
                .subject
                .split('.')
                .nth(1)
                .and_then(|party| format!("{}.{party}", found.stream).try_into().ok());
            let class = found.violation.class();
            let what = found.violation.to_string();
            let mut fault = Fault::of_missing(stream.as_ref(), found.subject, class, what);
            fault.file = found.at.place.file.as_deref().map(str::to_owned);
            fault.record = found.at.place.record;
            fault.sequence = found.at.sequence;
            self.findings.add(fault);
        }
    }

    /// Returns whether messages of a stream may exist that are not in the evidence, or are not verified.
    fn is_incomplete(&self, stream: Stream, recipient: &RecipientName) -> bool {
        let id = recipient.as_str().parse().map(|party| StreamId { stream, party });
        !self.is_passed(stream, recipient.as_str())
            || self.trust.keys(stream).is_empty()
            || id.is_ok_and(|id| self.begins_late(&id))
    }

    /// Returns the recipients with a stream.
    fn parties(&self) -> BTreeSet<RecipientName> {
        let names = self.streams.keys();
        names
            .filter_map(|stream| stream.party.as_str().parse().ok())
            .collect()
    }

    fn list_not_covered(&mut self) {
        let mut list = std::mem::take(&mut self.findings.not_covered);
        let found = &self.findings;
        let mut add = |count: u64, what: String| {
            if count > 0 {
                list.push(what);
            }
        };
        let encrypted = |count: u64, what: &str| {
            format!(
                "rows, rejects and sums of money of {count} encrypted {what}: no decryption key was given; signatures, links, numbers \
                 and bodies are valid"
            )
        };
        add(
            found.chunks_not_decrypted,
            encrypted(found.chunks_not_decrypted, "chunks"),
        );
        add(
            found.parts_not_decrypted,
            encrypted(found.parts_not_decrypted, "parts"),
        );
        let not_compared: u64 = self
            .lanes
            .values()
            .map(|chain| chain.report().positions_not_compared)
            .sum();
        add(
            not_compared,
            format!(
                "the positions of {not_compared} consecutive chunks: they are encrypted with different keys"
            ),
        );
        add(
            found.loads_not_measured,
            format!(
                "the load under which {} chunks and parts were read: the gate was fixed open by configuration",
                found.loads_not_measured
            ),
        );
        for (stream, count) in &self.unverified {
            let name = Trust::list(*stream);
            add(
                *count,
                format!("{count} messages of the {stream} streams: no key is trusted under {name}"),
            );
        }
        for (stream, ends) in &self.streams {
            let before = ends.first.saturating_sub(1);
            add(
                before,
                format!(
                    "{stream} before sequence {}: those messages are not in the evidence",
                    ends.first
                ),
            );
        }
        let lost: u64 = self
            .receipts
            .iter()
            .filter_map(|(lane, receipts)| Some(receipts.declared_lost(self.lanes.get(lane)?)))
            .sum();
        add(
            lost,
            format!(
                "the chunks of {lost} receipts: they are not in the stream, and an operator opened an epoch after that; the \
                 lane's openings name who and why"
            ),
        );
        let replaced: u64 = self.lanes.values().map(Chain::replaced).sum();
        add(
            replaced,
            format!("{replaced} chunks that a later epoch replaced, unless an earlier receipt covers them"),
        );
        let unreceipted = self.unreceipted();
        add(
            unreceipted,
            format!(
                "the arrival of {unreceipted} chunks at the end of their lanes: there is no receipt for them yet"
            ),
        );
        add(
            found.requests.open,
            format!("{} requests without a reply yet", found.requests.open),
        );
        add(
            found.requests.unconfirmed,
            format!(
                "the arrival of {} replies: there is no confirmation yet",
                found.requests.unconfirmed
            ),
        );
        let skipped: Vec<&str> = self.stopped.iter().map(String::as_str).collect();
        add(
            skipped.len() as u64,
            format!("the chunks after the first fault of {}", skipped.join(", ")),
        );
        self.findings.not_covered = list;
    }

    /// Returns the number of chunks after the last receipt, of all lanes.
    fn unreceipted(&self) -> u64 {
        let of_lane = |(lane, chain): (&schemas::name::Lane, &Chain)| {
            let Some(last) = chain.last() else { return 0 };
            if !self.is_passed(Stream::Receipts, lane.recipient.as_str()) {
                return 0;
            }
            match self.lane_receipted.get(lane) {
                Some((epoch, to)) if *epoch == last.epoch => last.number.saturating_sub(*to),
                Some((epoch, _)) if *epoch > last.epoch => 0,
                _ => last.number,
            }
        };
        self.lanes.iter().map(of_lane).sum()
    }
}

fn missing(stream: Stream, party: &RecipientName, subject: String, violation: &Violation) -> Fault {
    let id = party
        .as_str()
        .parse()
        .ok()
        .map(|party| StreamId { stream, party });
    Fault::of_missing(id.as_ref(), subject, violation.class(), violation.to_string())
}
