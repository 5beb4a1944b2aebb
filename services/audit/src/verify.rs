//! Verifies the live streams.
//!
//! It checks signatures, links, numbers and totals of every chunk, the receipts against their chunks, and the audit chains. Each
//! lane is checked up to its first fault, which is located; the others continue.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use exchange::port::Stream;
use exchange::{AuditExchange, Stored};
use schemas::audit::AuditEntry;
use schemas::chunk::{self, ExaminedChunk};
use schemas::encryption::DecryptionKeys;
use schemas::envelope::{Envelope, EnvelopeError, Payload};
use schemas::name::Lane;
use schemas::origin::Origin;
use schemas::receipt::Receipt;
use schemas::sign::PublicKey;
use schemas::subject::Subject;
use serde::Serialize;

use crate::anchors::Anchors;
use crate::chain::{self, Chain};
use crate::entries::Entries;
use crate::error::AuditError;
use crate::heads::KeptHeads;
use crate::receipts::Receipts;
use crate::selection::Selection;
use crate::violation::Violation;
use crate::walk::walk;

pub use crate::fault::Fault;

/// The trusted keys, by purpose.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// Publishers of chunks.
    pub chunks: Vec<PublicKey>,
    /// Receivers, who sign receipts.
    pub receipts: Vec<PublicKey>,
    /// Writers of audit entries.
    pub entries: Vec<PublicKey>,
    /// The origin that chunks and receipts must have.
    pub here: Origin,
    /// The keys that decrypt bodies. Without a key, the signature, chain and body of a chunk are checked, but not rows and sums.
    pub decryption_keys: DecryptionKeys,
}

/// The result of a verification.
#[derive(Debug, Default, Serialize)]
pub struct Findings {
    /// Lanes by name.
    pub lanes: BTreeMap<String, chain::Report>,
    /// Valid chunks of all lanes.
    pub chunks_verified: u64,
    /// Those of `chunks_verified` whose rows and sums were not checked: they are encrypted and no key was given.
    pub chunks_not_decrypted: u64,
    /// Chunks in the stream, of all lanes.
    pub chunks: u64,
    /// Valid receipts.
    pub receipts_verified: u64,
    /// Valid audit entries.
    pub entries_verified: u64,
    /// Chunks that were published under an older control record than an earlier chunk names.
    pub chunks_unanchored: u64,
    /// The heads that the auditor keeps for `--since`: of every chain that was read completely.
    pub heads: KeptHeads,
    /// The first fault of each lane or chain.
    pub faults: Vec<Fault>,
}

impl Findings {
    /// Returns whether there is no fault.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }
}

/// The maximum number of listed chunks under an older control record. All are counted.
const MAX_UNANCHORED: u64 = 100;

/// Checks the live streams, limited to the recipient and feed of `scope`. The streams must still hold the heads that the auditor
/// kept.
///
/// # Errors
/// [`AuditError`] if a stream cannot be read. A fault is a finding.
pub async fn verify(
    exchange: &dyn AuditExchange,
    trust: &Trust,
    scope: &Selection,
    since: Option<&KeptHeads>,
) -> Result<Findings, AuditError> {
    let mut findings = Findings::default();
    let (lanes, anchors) = chunks(exchange, trust, scope, &mut findings).await?;
    let receipts = receipts(exchange, trust, scope, &lanes, &mut findings).await?;
    let mut chains = BTreeMap::new();
    if scope.recipient.is_none() && scope.feed.is_none() {
        chains = entries(exchange, trust, &anchors, &mut findings).await?;
    }
    findings.heads = KeptHeads::of(&lanes, &receipts, &chains);
    if let Some(since) = since {
        findings.faults.extend(since.missing(&lanes, &receipts, &chains));
    }
    for (lane, chain) in &lanes {
        findings.lanes.insert(lane.to_string(), chain.report());
    }
    Ok(findings)
}

async fn chunks(
    exchange: &dyn AuditExchange,
    trust: &Trust,
    scope: &Selection,
    findings: &mut Findings,
) -> Result<(BTreeMap<Lane, Chain>, Anchors), AuditError> {
    let mut lanes: BTreeMap<Lane, Chain> = BTreeMap::new();
    let (mut anchors, mut unanchored) = (Anchors::default(), Vec::new());
    let selection = Selection {
        stream: Stream::Data,
        ..scope.clone()
    };
    walk(exchange, &selection, |message| {
        findings.chunks += 1;
        let lane = match message.subject.parse() {
            Ok(Subject::Data(lane)) => lane,
            _ => {
                findings.faults.push(fault(&message, &Violation::NoLane));
                return Ok(ControlFlow::Continue(()));
            }
        };
        if findings
            .faults
            .iter()
            .any(|fault| fault.subject == message.subject)
        {
            return Ok(ControlFlow::Continue(()));
        }
        let mut older = None;
        let held = ExaminedChunk::open(&message.bytes, &trust.chunks, &trust.decryption_keys)
            .map_err(Violation::from)
            .and_then(|chunk| {
                let (manifest, digest, opened) = match &chunk {
                    ExaminedChunk::Opened(chunk) => (&chunk.manifest, chunk.digest, true),
                    ExaminedChunk::KeyMissing { manifest, digest } => (manifest.as_ref(), *digest, false),
                };
                trust.here.admit(manifest.origin.as_ref())?;
                lanes.entry(lane.clone()).or_default().push(
                    &lane,
                    manifest,
                    digest,
                    opened,
                    message.stored_at,
                )?;
                if let Err(what) = anchors.push(&lane, manifest, message.stored_at) {
                    older = Some(what);
                }
                Ok(opened)
            });
        match held {
            Ok(opened) => {
                findings.chunks_verified += 1;
                findings.chunks_not_decrypted += u64::from(!opened);
            }
            Err(what) => findings.faults.push(fault(&message, &what)),
        }
        // The chain of the lane is valid, so reading continues.
        if let Some(what) = older {
            findings.chunks_unanchored += 1;
            if findings.chunks_unanchored <= MAX_UNANCHORED {
                unanchored.push(fault(&message, &what));
            }
        }
        Ok(ControlFlow::Continue(()))
    })
    .await?;
    findings.faults.append(&mut unanchored);
    Ok((lanes, anchors))
}

async fn receipts(
    exchange: &dyn AuditExchange,
    trust: &Trust,
    scope: &Selection,
    lanes: &BTreeMap<Lane, Chain>,
    findings: &mut Findings,
) -> Result<BTreeMap<Lane, Receipts>, AuditError> {
    let selection = Selection {
        stream: Stream::Receipts,
        from: exchange::port::ReadFrom::Sequence(1),
        ..scope.clone()
    };
    let mut receipts: BTreeMap<Lane, (u64, Receipts)> = BTreeMap::new();
    walk(exchange, &selection, |message| {
        let Ok(Subject::Receipt(lane)) = message.subject.parse() else {
            findings.faults.push(fault(&message, &Violation::NoLane));
            return Ok(ControlFlow::Continue(()));
        };
        let entry = receipts.entry(lane.clone()).or_default();
        entry.0 = message.sequence;
        let held = open::<Receipt>(&message, &trust.receipts)
            .map_err(Violation::from)
            .and_then(|(receipt, _)| {
                trust.here.admit(receipt.origin.as_ref())?;
                entry.1.push(&lane, receipt)
            });
        match held {
            Ok(()) => findings.receipts_verified += 1,
            Err(what) => findings.faults.push(fault(&message, &what)),
        }
        Ok(ControlFlow::Continue(()))
    })
    .await?;
    let is_whole = scope.from == exchange::port::ReadFrom::Sequence(1)
        && scope.to_sequence.is_none()
        && scope.to_time.is_none();
    for (lane, (sequence, receipts)) in receipts.iter().filter(|_| is_whole) {
        let nothing = Chain::default();
        let chain = lanes.get(lane).unwrap_or(&nothing);
        let has_fault = findings
            .faults
            .iter()
            .any(|fault| fault.subject == Subject::Data(lane.clone()).to_string());
        if let (false, Err(what)) = (has_fault, receipts.check_against(chain)) {
            let subject = Subject::Receipt(lane.clone()).to_string();
            findings.faults.push(Fault {
                subject,
                sequence: *sequence,
                chunk: None,
                what: what.to_string(),
            });
        }
    }
    let receipts = receipts.into_iter().map(|(lane, (_, receipts))| (lane, receipts));
    Ok(receipts.collect())
}

async fn entries(
    exchange: &dyn AuditExchange,
    trust: &Trust,
    anchors: &Anchors,
    findings: &mut Findings,
) -> Result<BTreeMap<String, Entries>, AuditError> {
    let mut chains: BTreeMap<String, Entries> = BTreeMap::new();
    walk(exchange, &Selection::all(Stream::Audit), |message| {
        let chain = chains.entry(message.subject.clone()).or_default();
        let entry = open::<AuditEntry>(&message, &trust.entries);
        match chain.push(&message, entry) {
            Ok(()) => findings.entries_verified += 1,
            Err(what) => findings.faults.push(fault(&message, &what)),
        }
        Ok(ControlFlow::Continue(()))
    })
    .await?;
    for (subject, anchor) in anchors.audit() {
        let chain = chains.get(subject);
        if !chain.is_some_and(|chain| chain.holds(anchor.mark)) {
            let ends = chain
                .and_then(Entries::last)
                .map_or("is empty".to_owned(), |last| format!("ends with {last}"));
            findings.faults.push(Fault {
                subject: subject.clone(),
                sequence: 0,
                chunk: None,
                what: Violation::EntryOfMissing {
                    by: anchor.by.clone(),
                    mark: anchor.mark,
                    ends,
                }
                .to_string(),
            });
        }
    }
    Ok(chains)
}

fn open<P: Payload>(
    message: &Stored,
    trusted: &[PublicKey],
) -> Result<(P, schemas::digest::Digest), EnvelopeError> {
    let envelope = Envelope::decode(&message.bytes)?;
    Ok((envelope.verify(trusted)?, envelope.digest()))
}

fn fault(message: &Stored, what: &Violation) -> Fault {
    let chunk = chunk::read_untrusted(&message.bytes).map(|(manifest, _)| (manifest.epoch, manifest.number));
    Fault {
        subject: message.subject.clone(),
        sequence: message.sequence,
        chunk,
        what: what.to_string(),
    }
}
