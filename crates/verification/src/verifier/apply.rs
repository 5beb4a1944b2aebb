//! Applies the rules of a message's stream.

use schemas::load::Load;
use schemas::manifest::Manifest;
use schemas::receipt::Receipt;
use schemas::stream::Stream;
use schemas::subject::Subject;

use super::{MAX_UNANCHORED, Verifier};
use crate::examine::{Content, Examined};
use crate::fault::{Fault, FaultClass};
use crate::load::{self, LoadFinding};
use crate::message::Message;
use crate::requests::At;
use crate::violation::Violation;

impl Verifier<'_> {
    pub(super) fn apply(&mut self, message: &Message<'_>, examined: Result<Examined, Violation>) {
        let Some(subject) = subject_of(message) else {
            let violation = match message.stream.stream {
                Stream::Data | Stream::Receipts => Violation::NoLane,
                _ => Violation::ForeignSubject,
            };
            self.fail(message, &violation);
            return;
        };
        let held = match message.stream.stream {
            Stream::Data => {
                self.chunk(message, &subject, examined);
                return;
            }
            Stream::Audit => self.entry(message, examined),
            Stream::Control => self.order(message, examined),
            _ => examined.and_then(|examined| self.other(message, &subject, examined)),
        };
        if let Err(violation) = held {
            self.fail(message, &violation);
        }
    }

    fn chunk(&mut self, message: &Message<'_>, subject: &Subject, examined: Result<Examined, Violation>) {
        let held = examined.and_then(|examined| match examined.content {
            Content::Chunk(manifest, is_opened) => {
                self.link(message, subject, &manifest, examined.digest, is_opened)?;
                Ok((manifest, is_opened))
            }
            _ => Err(Violation::ForeignSubject),
        });
        match held {
            Ok((manifest, is_opened)) => {
                self.findings.chunks_verified += 1;
                self.findings.chunks_not_decrypted += u64::from(!is_opened);
                self.findings.rows_verified += if is_opened {
                    manifest.content.totals.rows
                } else {
                    0
                };
                if manifest.content.totals.rows > 0 {
                    self.check_load(message, &manifest.content.load);
                }
            }
            Err(violation) => {
                self.stopped.insert(message.subject.to_owned());
                self.fail(message, &violation);
            }
        }
    }

    fn link(
        &mut self,
        message: &Message<'_>,
        subject: &Subject,
        manifest: &Manifest,
        digest: schemas::digest::Digest,
        is_opened: bool,
    ) -> Result<(), Violation> {
        let Subject::Data(lane) = subject else {
            return Err(Violation::NoLane);
        };
        let is_whole = !self.begins_late(message.stream);
        let chain = self.lanes.entry(lane.clone()).or_default();
        if is_whole && chain.last().is_none() && manifest.number > 1 {
            return Err(Violation::FirstMissing(manifest.number));
        }
        chain.push(lane, manifest, digest, is_opened, message.stored_at)?;
        // The chain of the lane is valid, so reading continues.
        if let Err(violation) = self.anchors.push(lane, manifest, message.stored_at) {
            self.findings.chunks_unanchored += 1;
            if self.unanchored.len() < MAX_UNANCHORED {
                let fault = Fault::of_message(message, violation.class(), violation.to_string());
                self.unanchored.push(fault);
            }
        }
        Ok(())
    }

    /// Checks load evidence. The first fault of each subject is listed, all are counted.
    fn check_load(&mut self, message: &Message<'_>, evidence: &Load) {
        match load::check(evidence) {
            LoadFinding::Allowed => self.findings.loads_checked += 1,
            LoadFinding::NotMeasured => self.findings.loads_not_measured += 1,
            LoadFinding::Violated(violation) => {
                self.findings.loads_checked += 1;
                self.findings.loads_violated += 1;
                if self.overloaded.insert(message.subject.to_owned()) {
                    let what = violation.to_string();
                    self.findings
                        .add(Fault::of_message(message, FaultClass::Load, what));
                }
            }
        }
    }

    fn entry(
        &mut self,
        message: &Message<'_>,
        examined: Result<Examined, Violation>,
    ) -> Result<(), Violation> {
        let entry = examined.and_then(|examined| match examined.content {
            Content::Entry(entry) => Ok((*entry, examined.digest)),
            _ => Err(Violation::ForeignSubject),
        });
        let begins_late = self.begins_late(message.stream);
        let chain = self.entries.entry(message.subject.to_owned()).or_default();
        chain.push(message, entry, begins_late)?;
        self.findings.entries_verified += 1;
        Ok(())
    }

    fn order(
        &mut self,
        message: &Message<'_>,
        examined: Result<Examined, Violation>,
    ) -> Result<(), Violation> {
        let record = examined.and_then(|examined| match examined.content {
            Content::Order(record) => Ok((*record, examined.digest)),
            _ => Err(Violation::ForeignSubject),
        });
        let chain = self.orders.entry(message.stream.party.clone()).or_default();
        chain.push(message, record)?;
        self.findings.orders_verified += 1;
        Ok(())
    }

    fn receipt(
        &mut self,
        message: &Message<'_>,
        subject: &Subject,
        receipt: Receipt,
    ) -> Result<(), Violation> {
        let Subject::Receipt(lane) = subject else {
            return Err(Violation::NoLane);
        };
        let receipts = self.receipts.entry(lane.clone()).or_default();
        let covered = (receipt.epoch, receipt.to);
        receipts.push(lane, receipt)?;
        let chain = self.lanes.entry(lane.clone()).or_default();
        receipts.compare(chain, message.sequence, &message.place);
        self.lane_receipted.insert(lane.clone(), covered);
        self.findings.receipts_verified += 1;
        Ok(())
    }

    /// Applies the rules of receipts, requests and what belongs to them.
    fn other(
        &mut self,
        message: &Message<'_>,
        subject: &Subject,
        examined: Examined,
    ) -> Result<(), Violation> {
        let own = own_subject(&examined.content);
        if let Some(own) = own.filter(|own| own != subject) {
            return Err(Violation::WrongSubject(own.to_string()));
        }
        let digest = examined.digest;
        let at = At {
            sequence: message.sequence,
            place: message.place.clone(),
        };
        match examined.content {
            Content::Receipt(receipt) => self.receipt(message, subject, *receipt),
            Content::Request(request) => {
                self.requests.file(&request, digest)?;
                self.findings.requests_verified += 1;
                Ok(())
            }
            Content::Cancel(cancel) => {
                self.requests.cancel(&cancel, at)?;
                self.findings.cancels_verified += 1;
                Ok(())
            }
            Content::Approval(approval) => {
                self.requests.decide(&approval, at)?;
                self.findings.approvals_verified += 1;
                Ok(())
            }
            Content::Progress(_) => {
                self.findings.progress_verified += 1;
                Ok(())
            }
            Content::Part(part, is_opened) => {
                self.requests.part(&part, digest)?;
                self.findings.parts_verified += 1;
                self.findings.parts_not_decrypted += u64::from(!is_opened);
                self.findings.rows_verified += if is_opened { part.content.totals.rows } else { 0 };
                if part.content.totals.rows > 0 {
                    self.check_load(message, &part.content.load);
                }
                Ok(())
            }
            Content::Reply(reply) => {
                self.requests.reply(&reply, digest, at)?;
                self.findings.replies_verified += 1;
                Ok(())
            }
            Content::Confirm(confirm) => {
                self.requests.confirm(&confirm, at)?;
                self.findings.confirms_verified += 1;
                Ok(())
            }
            Content::Chunk(..) | Content::Entry(_) | Content::Order(_) => Err(Violation::ForeignSubject),
        }
    }
}

/// Returns the subject of a message, if it belongs to the message's stream.
fn subject_of(message: &Message<'_>) -> Option<Subject> {
    let mut tokens = message.subject.split('.');
    let is_of_stream = tokens.next() == Some(message.stream.stream.token())
        && tokens.next() == Some(message.stream.party.as_str());
    is_of_stream.then(|| message.subject.parse().ok())?
}

/// Returns the subject that a message names itself; receipts are compared by their lane.
fn own_subject(content: &Content) -> Option<Subject> {
    let own = match content {
        Content::Request(request) => Subject::Request(request.recipient.clone(), request.id.clone()),
        Content::Cancel(cancel) => Subject::Cancel(cancel.recipient.clone(), cancel.id.clone()),
        Content::Approval(approval) => Subject::Approval(
            approval.recipient.clone(),
            approval.id.clone(),
            approval.officer.clone(),
        ),
        Content::Progress(progress) => Subject::Progress(progress.recipient.clone(), progress.id.clone()),
        Content::Part(part, _) => part.subject(),
        Content::Reply(reply) => Subject::Reply(reply.recipient.clone(), reply.id.clone()),
        Content::Confirm(confirm) => Subject::Confirm(confirm.recipient.clone(), confirm.id.clone()),
        _ => return None,
    };
    Some(own)
}
