//! The live streams, checked whole.
//!
//! Signatures, links, numbers and totals of every chunk, the receipts against the chunks they
//! sign for, and the chains of acts. Each lane goes up to its first fault, which is named by
//! its place; the others go on.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use exchange::port::Stream;
use exchange::{Exchange, Stored};
use schemas::audit::AuditEntry;
use schemas::chunk::{self, Examined};
use schemas::envelope::{Envelope, Payload};
use schemas::name::Lane;
use schemas::origin::Origin;
use schemas::receipt::Receipt;
use schemas::seal::SealRing;
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
use crate::walk::walk;

/// Whose signatures count for what.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// Publishers of chunks.
    pub chunks: Vec<PublicKey>,
    /// Receivers, who sign receipts.
    pub receipts: Vec<PublicKey>,
    /// Writers of audit entries.
    pub entries: Vec<PublicKey>,
    /// Where chunks and receipts have to belong.
    pub here: Origin,
    /// What sealed bodies are opened with; of the others signature, chain and body are checked,
    /// and rows and sums are not.
    pub seals: SealRing,
}

/// Where the first thing that does not hold stands, and what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Subject of the message.
    pub subject: String,
    /// Its sequence in the stream; 0 where a message is missing.
    pub sequence: u64,
    /// Epoch and number it claims, where it is a chunk that can be read.
    pub chunk: Option<(u32, u64)>,
    /// What does not hold.
    pub what: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at sequence {}", self.subject, self.sequence)?;
        if let Some((epoch, number)) = self.chunk {
            write!(f, " (epoch {epoch} number {number})")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// What verification found.
#[derive(Debug, Default, Serialize)]
pub struct Findings {
    /// Lanes by name.
    pub lanes: BTreeMap<String, chain::Report>,
    /// Chunks that hold, over all lanes.
    pub chunks_verified: u64,
    /// Of these, chunks whose rows and sums were not checked, for they are sealed and no key was given.
    pub chunks_not_opened: u64,
    /// Chunks in the stream, over all lanes.
    pub chunks: u64,
    /// Receipts that hold.
    pub receipts_verified: u64,
    /// Audit entries that hold.
    pub entries_verified: u64,
    /// Chunks that were published under an older control record than an earlier chunk names.
    pub chunks_unanchored: u64,
    /// What the auditor keeps for `--since`: the heads of every chain that was read whole.
    pub heads: KeptHeads,
    /// The first fault of each lane or chain.
    pub faults: Vec<Fault>,
}

impl Findings {
    /// Whether everything holds.
    #[must_use]
    pub fn sound(&self) -> bool {
        self.faults.is_empty()
    }
}

/// Chunks under an older control record that are listed, at most; all are counted.
const MOST_UNANCHORED: u64 = 100;

/// Checks the live streams, one recipient's and feed's only where `scope` says so. Heads that the auditor kept have to stand
/// in the streams still.
///
/// # Errors
/// [`AuditError`] when a stream cannot be read; what does not hold is a finding.
pub async fn verify(
    exchange: &dyn Exchange,
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
    exchange: &dyn Exchange,
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
                findings.faults.push(fault(
                    &message,
                    "a message on a subject that is no lane's".to_owned(),
                ));
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
        let held = chunk::examine(&message.bytes, &trust.chunks, &trust.seals)
            .map_err(|error| error.to_string())
            .and_then(|chunk| {
                let (manifest, digest, opened) = match &chunk {
                    Examined::Opened(chunk) => (&chunk.manifest, chunk.digest, true),
                    Examined::Closed { manifest, digest } => (manifest.as_ref(), *digest, false),
                };
                let admitted = trust.here.admit(manifest.origin.as_ref());
                admitted.map_err(|error| error.to_string())?;
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
                findings.chunks_not_opened += u64::from(!opened);
            }
            Err(what) => findings.faults.push(fault(&message, what)),
        }
        // The chain of the lane holds all the same, so it is read on.
        if let Some(what) = older {
            findings.chunks_unanchored += 1;
            if findings.chunks_unanchored <= MOST_UNANCHORED {
                unanchored.push(fault(&message, what));
            }
        }
        Ok(ControlFlow::Continue(()))
    })
    .await?;
    findings.faults.append(&mut unanchored);
    Ok((lanes, anchors))
}

async fn receipts(
    exchange: &dyn Exchange,
    trust: &Trust,
    scope: &Selection,
    lanes: &BTreeMap<Lane, Chain>,
    findings: &mut Findings,
) -> Result<BTreeMap<Lane, Receipts>, AuditError> {
    let selection = Selection {
        stream: Stream::Receipts,
        from: exchange::port::From::Sequence(1),
        ..scope.clone()
    };
    let mut receipts: BTreeMap<Lane, (u64, Receipts)> = BTreeMap::new();
    walk(exchange, &selection, |message| {
        let Ok(Subject::Receipt(lane)) = message.subject.parse() else {
            findings.faults.push(fault(
                &message,
                "a message on a subject that is no lane's".to_owned(),
            ));
            return Ok(ControlFlow::Continue(()));
        };
        let entry = receipts.entry(lane.clone()).or_default();
        entry.0 = message.sequence;
        let held = open::<Receipt>(&message, &trust.receipts).and_then(|(receipt, _)| {
            let admitted = trust.here.admit(receipt.origin.as_ref());
            admitted.map_err(|error| error.to_string())?;
            entry.1.push(&lane, receipt)
        });
        match held {
            Ok(()) => findings.receipts_verified += 1,
            Err(what) => findings.faults.push(fault(&message, what)),
        }
        Ok(ControlFlow::Continue(()))
    })
    .await?;
    let whole = scope.from == exchange::port::From::Sequence(1)
        && scope.to_sequence.is_none()
        && scope.to_time.is_none();
    for (lane, (sequence, receipts)) in receipts.iter().filter(|_| whole) {
        let nothing = Chain::default();
        let chain = lanes.get(lane).unwrap_or(&nothing);
        let faulty = findings
            .faults
            .iter()
            .any(|fault| fault.subject == Subject::Data(lane.clone()).to_string());
        if let (false, Err(what)) = (faulty, receipts.agree_with(chain)) {
            let subject = Subject::Receipt(lane.clone()).to_string();
            findings.faults.push(Fault {
                subject,
                sequence: *sequence,
                chunk: None,
                what,
            });
        }
    }
    let receipts = receipts.into_iter().map(|(lane, (_, receipts))| (lane, receipts));
    Ok(receipts.collect())
}

async fn entries(
    exchange: &dyn Exchange,
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
            Err(what) => findings.faults.push(fault(&message, what)),
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
                what: format!(
                    "{} names entry {} of this chain, which does not hold it ({}): it was cut off, restored from an older copy or \
                     rewritten",
                    anchor.by, anchor.mark, ends
                ),
            });
        }
    }
    Ok(chains)
}

fn open<P: Payload>(message: &Stored, trusted: &[PublicKey]) -> Result<(P, schemas::digest::Digest), String> {
    let envelope = Envelope::decode(&message.bytes).map_err(|error| error.to_string())?;
    let payload = envelope.verify(trusted).map_err(|error| error.to_string())?;
    Ok((payload, envelope.digest()))
}

fn fault(message: &Stored, what: String) -> Fault {
    let chunk = chunk::place(&message.bytes).map(|(manifest, _)| (manifest.epoch, manifest.number));
    Fault {
        subject: message.subject.clone(),
        sequence: message.sequence,
        chunk,
        what,
    }
}
